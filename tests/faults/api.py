#!/usr/bin/env python3
"""What an API server and the way to it can do wrong: each fault is shown as what it is, nothing that was known is lost or called
healthy, and it comes back by itself."""
import os
import sys

sys.path.insert(0, os.path.join(os.environ.get("top_srcdir", "."), "tests", "lib"))
from ferry import *

CLAIMS = "kube/persistentvolumeclaims"
sandbox = Sandbox("--small-db")
s = Stream(sandbox.args)
live = lambda: s.sources("kube") and set(s.sources("kube").values()) == {"LIVE"}
s.wait(lambda: len(s.rows("claims")) >= 110 and live(), "everything is live")
claims = {r["_key"] for r in s.rows("claims")}


def fault(name, provoke, shown, what, seconds=90):
    """Turns a fault on while watches are open, sees it, turns it off, sees it end and nothing lost."""
    sandbox.control("scenario", name, "on")
    provoke()
    s.wait(shown, f"{name}: {what}", seconds)
    ok(f"{name}: {what}: {(s.source(CLAIMS)[1] or '')[:110]}")
    check({r["_key"] for r in s.rows("claims")} >= claims, f"{name}: what was known is still there")
    sandbox.control("rate", "0")
    sandbox.control("scenario", name, "off")
    s.wait(live, f"{name}: live again", 120)
    s.wait(lambda: {r["_key"] for r in s.rows("claims")} == claims, f"{name}: the same claims as before", 30)
    ok(f"{name}: live again by itself")


not_live = lambda: s.source(CLAIMS)[0] in ("DOWN", "STALE")
cut = lambda: (sandbox.control("scenario", "api-down", "on"), sandbox.control("scenario", "api-down", "off"))
says = lambda *words: lambda: not_live() and any(w in (s.source(CLAIMS)[1] or "") for w in words)
fault("api-500", cut, says("500"), "an API server that fails is DOWN")
fault("api-truncated", cut, says("middle of the answer"), "a body that ends early is no list")
fault("api-garbage", lambda: (cut(), sandbox.control("rate", "5")), says("JSON", "malformed"), "malformed JSON is told")
fault("api-longline", lambda: None, says("larger than"), "a line of 10 MB is refused")
check(int(open(f"/proc/{s.process.pid}/statm").read().split()[1]) * 4096 < 600 * 2**20, "and not kept in memory")

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
import re
with open(away, "w") as f:
    f.write(re.sub(r"server: .*", "server: https://127.0.0.1:1", config))
w = Stream(["--plan", sandbox.plan, "--kubeconfig", away])
w.wait(lambda: w.source(CLAIMS)[0] == "DOWN", "an API server that refuses is DOWN")
check("refused" in w.source(CLAIMS)[1], "with the reason: " + w.source(CLAIMS)[1])
w.wait(lambda: w.source("postgres/immich-postgres")[0] == "POLLED", "PostgreSQL does not mind")
w.end_well()
import subprocess
r = subprocess.run([FERRYMAN, "--kubeconfig", away, "--timeout", "5s", "status"], capture_output=True, text=True, env=clean_env(), timeout=60)
check(r.returncode == 69, f"status exits 69 when nothing answers (was {r.returncode})")
done()
