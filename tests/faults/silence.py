#!/usr/bin/env python3
"""Links that die without a word: packets are dropped, not connections closed. Nobody is told, so it has to be noticed."""
import os
import re
import sys

sys.path.insert(0, os.path.join(os.environ.get("top_srcdir", "."), "tests", "lib"))
from ferry import *

if os.geteuid() != 0:
    skip("dropping packets needs root (a socket filter)")
CLAIMS, PG = "kube/persistentvolumeclaims", "postgres/immich-postgres"
sandbox = Sandbox("--small-db")
with open(sandbox.kubeconfig) as f:
    config = f.read()
with open(sandbox.plan) as f:
    plan = f.read()
kube = Proxy("127.0.0.1", int(re.search(r"server: https://[^:]+:(\d+)", config).group(1)))
pg = Proxy("127.0.0.1", int(re.search(r"conninfo: \"host=127.0.0.1 port=(\d+)", plan).group(1)))
am = Proxy("127.0.0.1", int(re.search(r"alertmanager: \"http://[^:]+:(\d+)", plan).group(1)))
config_file, plan_file = os.path.join(sandbox.dir, "proxied"), os.path.join(sandbox.dir, "proxied.yaml")
with open(config_file, "w") as f:
    f.write(re.sub(r"(server: https://[^:]+:)\d+", rf"\g<1>{kube.port}", config))
with open(plan_file, "w") as f:
    plan = re.sub(r"(conninfo: \"host=127.0.0.1 port=)\d+", rf"\g<1>{pg.port}", plan)
    f.write(re.sub(r"(alertmanager: \"http://[^:]+:)\d+", rf"\g<1>{am.port}", plan))

s = Stream(["--plan", plan_file, "--kubeconfig", config_file])
s.wait(lambda: len(s.rows("claims")) >= 110 and s.sources("kube") and set(s.sources("kube").values()) == {"LIVE"}, "live through the proxy")
s.wait(lambda: s.source(PG)[0] == "POLLED", "PostgreSQL through the proxy")
s.wait(lambda: set(s.sources("alerts").values()) == {"POLLED"}, "Alertmanager through the proxy")

kube.drop()
start = time.monotonic()
s.wait(lambda: s.source(CLAIMS)[0] in ("DOWN", "STALE"), "a silent link to the API server is noticed within 45 s", 46)
ok(f"a silent link to the API server is noticed after {time.monotonic() - start:.0f} s: {s.source(CLAIMS)}")
check(s.source(PG)[0] == "POLLED", "nothing else is frozen by it")
kube.restore()
s.wait(lambda: set(s.sources("kube").values()) == {"LIVE"}, "live again when packets pass", 90)
ok("and it comes back by itself")

pg.drop()
s.wait(lambda: s.source(PG)[0] in ("DOWN", "STALE"), "a silent link to PostgreSQL is noticed", 45)
ok(f"a silent link to PostgreSQL: {s.source(PG)}")
check(set(s.sources("kube").values()) == {"LIVE"}, "Kubernetes goes on")
pg.restore()
s.wait(lambda: s.source(PG)[0] == "POLLED", "PostgreSQL is back", 60)
ok("PostgreSQL comes back by itself")

am.drop()
s.wait(lambda: set(s.sources("alerts").values()) <= {"DOWN", "STALE"}, "a silent Alertmanager is noticed", 60)
am.restore()
s.wait(lambda: set(s.sources("alerts").values()) == {"POLLED"}, "Alertmanager is back", 90)
ok("a silent Alertmanager is noticed and comes back")
s.end_well()
done()
