#!/usr/bin/env python3
"""An API server that is away: what vanished meanwhile vanishes when it is back; and one that was never there."""
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.join(os.environ.get("top_srcdir", "."), "tests", "lib"))
from ferry import *

CLAIMS = "kube/persistentvolumeclaims"
sandbox = Sandbox("--small-db")
s = Stream(sandbox.args)
live = lambda: s.sources("kube") and set(s.sources("kube").values()) == {"LIVE"}
s.wait(lambda: len(s.rows("claims")) >= 110 and live(), "everything is live")
not_live = lambda: s.source(CLAIMS)[0] in ("DOWN", "STALE")


# Gone while nobody looked: deleted during an outage, and gone from the screen after it.
sandbox.control("create", "claim", "immich/short-lived")
s.wait(lambda: s.row("claims", name="short-lived"), "a new claim")
sandbox.control("scenario", "api-down", "on")
s.wait(not_live, "the API server is away")
sandbox.control("delete", "claim", "immich/short-lived")
check(s.row("claims", name="short-lived"), "during an outage the old row stays, as old")
sandbox.control("scenario", "api-down", "off")
s.wait(lambda: live() and not s.row("claims", name="short-lived"), "what vanished meanwhile vanishes", 90)
ok("what vanished during an outage vanishes after it")
s.end_well()

# An API server that was never there.
with open(sandbox.kubeconfig) as f:
    config = f.read()
away = os.path.join(sandbox.dir, "away")
with open(away, "w") as f:
    f.write(re.sub(r"server: .*", "server: https://127.0.0.1:1", config))
w = Stream(["--plan", sandbox.plan, "--kubeconfig", away])
w.wait(lambda: w.source(CLAIMS)[0] == "DOWN", "an API server that refuses is DOWN")
check("refused" in w.source(CLAIMS)[1], "with the reason: " + w.source(CLAIMS)[1])
w.wait(lambda: w.source("postgres/immich-postgres")[0] == "POLLED", "PostgreSQL does not mind")
w.end_well()
r = subprocess.run([FERRYMAN, "--kubeconfig", away, "--timeout", "5s", "status"], capture_output=True, text=True, env=clean_env(), timeout=60)
check(r.returncode == 69, f"status exits 69 when nothing answers (was {r.returncode})")
done()
