#!/usr/bin/env python3
"""A saved sandbox goes on where it was: same objects, same pods, same data, same ports."""
import os
import shutil
import sys
import time

sys.path.insert(0, os.path.join(os.environ.get("top_srcdir", "."), "tests", "lib"))
from ferry import *

home = tempfile.mkdtemp(prefix="ferryman-saved-")
atexit.register(shutil.rmtree, home, True)
s = Sandbox("--small-db")
s.psql("CREATE TABLE kept AS SELECT generate_series(1, 1000) AS n")
s.kubectl("scale", "-n", "immich", "deployment/immich-server", "--replicas=0")
until(lambda: s.pod("immich-server") is None, "the application is gone")
s.control("scenario", "app-down", "on")
before = s.pod()
plan, audit = open(s.plan).read(), s.control("audit")
begun = time.monotonic()
s.control("save", os.path.join(home, "one"))
check(time.monotonic() - begun < 15, f"saving takes a moment ({time.monotonic() - begun:.2f})")
objects = s.kubectl("get", "pods,pvc,pv,deployments,secrets", "-A", "-o", "jsonpath={range .items[*]}{.metadata.uid} {.metadata.name}{'\\n'}{end}")
until(lambda: s.psql("INSERT INTO kept VALUES (1001) RETURNING 1", may_fail=True), "the server is back")
check(s.psql("SELECT count(*) FROM kept") == "1001", "the saved sandbox itself goes on")
folder = s.dir
s.stop()

t = Sandbox("--from", os.path.join(home, "one"), dir=folder)
check(open(t.plan).read() == plan, "in the same folder the plan is the same, ports and all")
check(t.psql("SELECT count(*) FROM kept") == "1000", "the data is that of the moment")
after = t.pod()
check(after["metadata"]["uid"] == before["metadata"]["uid"] and after["status"]["podIP"] == before["status"]["podIP"], "the database pod is the same, at the same address")
check(after["status"]["containerStatuses"][0]["restartCount"] == 0, "and was not restarted")
check("database system was shut down" in t.kubectl("logs", "-n", "immich", before["metadata"]["name"]), "its log goes on with an orderly start")
check(t.psql("SELECT n_tup_ins FROM pg_stat_user_tables WHERE relname = 'kept'") == "1000", "the statistics are still there")
now = t.kubectl("get", "pods,pvc,pv,deployments,secrets", "-A", "-o", "jsonpath={range .items[*]}{.metadata.uid} {.metadata.name}{'\\n'}{end}")
check(now == objects, "every object has its uid")
check(t.control("audit") == audit, "what was changed before is still known")
check("scenario app-down on" in t.control("status"), "scenarios stay planted")
check(len([l for l in t.kubectl("get", "pods", "-n", "vault", "--no-headers").splitlines() if "2/2" in l and l.startswith("vault-")]) == 3, "Vault is as it was")
t.kubectl("delete", "pod", "-n", "immich", before["metadata"]["name"], "--wait=false")
t.control("save", os.path.join(home, "two"), "crash")
check(t.control("save", os.path.join(home, "two"), "crash"), "a saved sandbox is replaced by one of the same name")
r = subprocess.run([SANDBOX, "--control", t.dir, "save", "/tmp"], capture_output=True, text=True)
check(r.returncode and "no saved sandbox" in r.stderr, "any other folder is left alone")
t.stop()

u = Sandbox("--from", os.path.join(home, "two"))
until(lambda: u.pod() and u.pod()["metadata"]["uid"] != before["metadata"]["uid"] and u.psql("SELECT count(*) FROM kept", may_fail=True) == "1000", "a pod that was ending ends, and the next one serves", 40)
ok("elsewhere, from the middle of a pod's end")
u.stop()
r = subprocess.run([SANDBOX, "--dir", os.path.join(home, "new"), "--from", "/nonexistent"], capture_output=True, text=True, timeout=30)
check(r.returncode and "is no saved sandbox" in r.stderr, "a folder that is none is refused")
done()
