#!/usr/bin/env python3
"""A few kills of the crash matrix (tests/crash/run.py; all of it: make check-crash), from where the downtime begins to the restore, for about a minute."""
import os
import sys

run = os.path.join(os.environ.get("top_srcdir", "."), "tests", "crash", "run.py")
os.execv(sys.executable, [sys.executable, run, "--sample", "40", "--phases", "quiesce,swap,restore"])
