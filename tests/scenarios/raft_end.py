#!/usr/bin/env python3
"""The end of a move of Vault: verify freezes what it saw; after the retention the old volumes are purged by uid and handle, unless somebody
else has something there; what only an operator knows is asked for, and the places that hold plaintext are named until it is typed."""
import os
import signal
import sys

sys.path.insert(0, os.path.join(os.environ.get("top_srcdir", "."), "tests", "lib"))
from roll import *

ASKED = {"foreign-files": "nothing else", "audit-logs": "archived on tape 7"}


def overrides(**more):
    return [w for gate, why in {**ASKED, **more}.items() for w in ("--override", f"{gate}={why}")]


r = Roll(duration="90s")
for phase in PHASES:
    r.run(phase)
facts = r.facts()
for name in ("claims on target class", "voters healthy and level", "no stale peers", "old volumes kept", "leader proved"):
    c = json.loads(facts[f"criterion.{name}"])
    check(c["state"] == "PASS" and c["text"], f"verify froze: {name}: {c['text'][:140]}")
moved = objects(r.sandbox)
of_vault = lambda v: (v["spec"].get("claimRef") or {}).get("namespace") == "vault"
old = {n: v for n, v in moved["volumes"].items() if of_vault(v) and v["status"]["phase"] == "Released"}
check(len(old) == 6 and all(v["spec"]["persistentVolumeReclaimPolicy"] == "Retain" for v in old.values()), "six old volumes, Released and Retain")

# ---- Not before its time, and not before what only an operator knows is said

r.refused("cleanup", ["kept until"], "before the retention has ended")
r.control("advance", "8d")
r.refused("cleanup", ["foreign-files"], "what else lies there is asked for")
r.refused("cleanup", ["audit-logs"], "and where the audit logs are", "--override", "foreign-files=nothing else")
check(set(old) <= set(objects(r.sandbox)["volumes"]), "nothing went")

# ---- Somebody else has something there

victim = old[sorted(old)[0]]["spec"]["csi"]["volumeAttributes"]
late = {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "backups-of-somebody"},
        "spec": {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteMany"], "persistentVolumeReclaimPolicy": "Retain",
                 "nfs": {"server": victim["server"], "path": f"{victim['share']}/{victim['subdir']}/backups"}}}
r.kubectl("create", "-f", "-", stdin=json.dumps(late))
r.refused("cleanup", ["backups-of-somebody lies on", "too"], "a volume below an old one's folder holds it", *overrides())
check(set(old) <= set(objects(r.sandbox)["volumes"]), "and all of them are there still")
r.kubectl("delete", "pv", "backups-of-somebody")

# ---- The purge; plaintext is named until somebody says what was done about it

p = r.start("cleanup", *overrides())
line = r.until(p, "PLAINTEXT IS STILL ON", "the places are named")
check(victim["server"] in line and not any(n in objects(r.sandbox)["volumes"] for n in old), "all six objects are gone, and nothing else")
check(set(moved["volumes"]) - set(old) == set(objects(r.sandbox)["volumes"]), "every other volume is there")
p.send_signal(signal.SIGINT)
p.said += p.stdout.read()
check(p.wait(LIMIT) != 0, "and it waits: stopped, it is not done")
said = r.run("cleanup", *overrides(plaintext="removed on the server by hand"))
check("typed: removed on the server by hand" in said and r.facts()["cleanup.done"], "it is done when that is typed")
check(len(json.loads(r.facts()["cleanup.places"])) == 6, "the journal keeps the six places")
snapshots = sorted({f["value"] for f in r.journal("fact") if f["name"] == "snapshot.file" and f["value"]})
check([os.path.exists(f) for f in snapshots] == [False] * (len(snapshots) - 1) + [True], f"of {len(snapshots)} snapshots the newest stays")
r.refused("rollback", ["purged"], "there is no way back any more")
check("unbroken chain" in r.ferryman("journal", "verify")[1], "the journal's chain is whole")
r.stop()
done()
