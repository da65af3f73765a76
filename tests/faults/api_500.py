#!/usr/bin/env python3
"""An API server that answers 500 to everything."""
import os
import sys

sys.path.insert(0, os.path.join(os.environ.get("top_srcdir", "."), "tests", "lib"))
from ferry import *
from api_fault import ApiFault

fault = ApiFault("api-500", ("500",))
done()
