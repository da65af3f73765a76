#!/usr/bin/env python3
"""Bodies that end in their middle."""
import os
import sys

sys.path.insert(0, os.path.join(os.environ.get("top_srcdir", "."), "tests", "lib"))
from ferry import *
from api_fault import ApiFault

fault = ApiFault("api-truncated", ("middle of the answer",))
done()
