#!/usr/bin/env python3
"""A few kills of the crash matrix (tests/crash/run.py; all of it: make check-crash), for about a minute each: of the database from where the
downtime begins to the restore, of Vault where its set is made anew and its first pod is moved."""
import os
import subprocess
import sys

run = os.path.join(os.environ.get("top_srcdir", "."), "tests", "crash", "run.py")
codes = [subprocess.run([sys.executable, run, "--workload", workload, "--sample", sample, "--phases", phases]).returncode
         for workload, sample, phases in (("immich-postgres", "40", "quiesce,swap,restore"), ("vault", "5", "template,pod-1"))]
sys.exit(77 if codes == [77, 77] else next((c for c in codes if c not in (0, 77)), 0))
