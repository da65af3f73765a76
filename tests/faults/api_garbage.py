#!/usr/bin/env python3
"""Malformed JSON, in lists and in watches."""
import os
import sys

sys.path.insert(0, os.path.join(os.environ.get("top_srcdir", "."), "tests", "lib"))
from ferry import *
from api_fault import ApiFault

fault = ApiFault("api-garbage", ("JSON", "malformed"), rate=5)
done()
