#!/usr/bin/env python3
"""One line of 10 MB: refused, and not kept in memory."""
import os
import sys

sys.path.insert(0, os.path.join(os.environ.get("top_srcdir", "."), "tests", "lib"))
from ferry import *
from api_fault import ApiFault

fault = ApiFault("api-longline", ("larger than",), cut=False)
check(fault.peak < 600 * 2**20, f"and not kept in memory ({fault.peak / 2**20:.0f} MB)")
done()
