#!/usr/bin/env python3
"""Readers that stop reading: they hold up nobody, cost no memory, and meet the latest state when they read on. And the engine killed."""
import json
import os
import signal
import subprocess
import sys
import threading

sys.path.insert(0, os.path.join(os.environ.get("top_srcdir", "."), "tests", "lib"))
from ferry import *

sandbox = Sandbox("--small-db", "--claims", "2000")
rss = lambda pid: int(open(f"/proc/{pid}/statm").read().split()[1]) * 4096

slow = subprocess.Popen([FERRYMAN, *sandbox.args, "--headless", "--json", "watch"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=clean_env())
impatience = threading.Timer(60, slow.kill)  # a read that nothing answers ends the test, not the day
impatience.daemon = True
impatience.start()
rows, lagged, ended = {}, None, False


def read_until(condition):
    """Reads records of the slow reader until the condition holds."""
    global lagged, ended
    for line in slow.stdout:
        r = json.loads(line)
        if r["t"] == "upsert" and r["table"] == "claims":
            rows[r["key"]] = r
        lagged = r if r["t"] == "lagged" else lagged
        ended = ended or r["t"] == "end"
        if condition():
            return
    fail(f"the slow reader's stream ended: lagged {lagged}, {len(rows)} rows")


first = json.loads(slow.stdout.readline())
check(first["t"] == "hello" and first["schema"] == 1, "the first record is hello")
read_until(lambda: ended and len(rows) >= 2000)  # then it stops reading
other = Stream(sandbox.args)
other.wait(lambda: len(other.rows("claims")) >= 2000, "another reader has everything, though nothing changes", 10)
until(lambda: rss(slow.pid) > 0, "the stalled one lives")
before, start = rss(slow.pid), other.now
sandbox.control("rate", "500")
other.wait(lambda: other.now - start > 6000, "changes have passed for 6 s by the stream's clock", 60)
sandbox.control("rate", "0")
grown = rss(slow.pid) - before
check(grown < 40 * 2**20, f"a reader that does not read costs no queue ({grown / 2**20:.1f} MB)")
sandbox.kubectl("label", "--overwrite", "pvc", "-n", "vault", "data-vault-0", "after=1")
latest = {r["_key"]: r["version"] for r in other.rows("claims")}
read_until(lambda: lagged and all(k in rows and int(rows[k]["row"]["version"]) >= int(v) for k, v in latest.items()))
check(lagged and lagged["ms"] > 0, f"when it reads on it is told that it lagged ({lagged})")
ok("and meets each row in its latest state")
impatience.cancel()
slow.stdout.close()
slow.wait(20)
ok("a reader that goes away ends its watch")
other.end_well()

# The engine is killed under a console: the console says so, starts another and goes on.
t = Terminal([FERRYMAN, *sandbox.args], 120, 40)
t.keys("2")
t.wait("data-vault-0", 30)
engine = engines(sandbox.dir)
check(len(engine) == 1, "one engine runs")
a = Terminal([FERRYMAN, *sandbox.args, "attach"], 100, 30)
a.wait("vault", 30)
check(len(engines(sandbox.dir)) == 1, "attach shares it")
os.kill(engine[0], signal.SIGKILL)
until(lambda: [p for p in engines(sandbox.dir) if p != engine[0]], "another engine is started", 20)
sandbox.kubectl("create", "--validate=false", "-f", "-", stdin=json.dumps({
    "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "after-the-kill", "namespace": "immich"},
    "spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": "nfs-proxmox", "resources": {"requests": {"storage": "1Gi"}}}}))
t.keys("/")
t.type("after-the-kill")
t.keys("Enter")
t.wait("after-the-kil", 20)
ok("the console goes on with a new engine after kill -9 of the old one")
t.keys("q")
done()
