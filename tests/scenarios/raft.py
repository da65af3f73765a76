#!/usr/bin/env python3
"""Vault is moved from preflight to verify by `ferryman run`, leader last, with a window after each pod, while somebody writes to it all the
time; then its last pod is rolled back. A second set, whose pods come one after the other, takes the first step of it."""
import os
import sys

sys.path.insert(0, os.path.join(os.environ.get("top_srcdir", "."), "tests", "lib"))
from roll import *

r = Roll()
before = objects(r.sandbox)
claims = [n for n in before["claims"] if n.endswith(("vault-0", "vault-1", "vault-2"))]
check(len(claims) == 6 and {before["claims"][n]["spec"]["storageClassName"] for n in claims} == {"nfs-proxmox"}, "six claims on NFS")
check(r.leader() == "vault-2", "vault-2 leads")
writer = Writer(r.sandbox)
writer.start()
spans = {}
for phase in PHASES:
    began = time.monotonic()
    if phase == "step-down":
        check(len(writer.gaps) == 0, f"{writer.writes} writes, none of which failed before the step-down {writer.gaps}")
    r.run(phase)
    spans[phase] = (began, time.monotonic())
    ok(f"run {phase}, {r.took:.0f} s")
    if phase == "template":
        now = objects(r.sandbox)
        check(uid(now["set"]) != uid(before["set"]) and {n: uid(p) for n, p in now["pods"].items()} == {n: uid(p) for n, p in before["pods"].items()},
              "another set, the same pods")
        check(all(uid(now["claims"][n]) == uid(before["claims"][n]) for n in claims), "and the same claims")
    if phase == "pod-1":
        check(r.leader() == "vault-2" and r.facts()["pod.1.name"] == "vault-0", "the first is vault-0; vault-2 still leads")
gaps = writer.end()
inside = [(a, b) for a, b in gaps if spans["step-down"][0] <= a and b <= spans["step-down"][1] + 1]
check(len(gaps) == len(inside) and sum(b - a for a, b in gaps) < 15, f"no write failed outside the step-down ({writer.writes} writes, gaps of {[round(b - a, 1) for a, b in gaps]} s)")
check(r.control("alarms") == "", "no majority was ever lost")

after = objects(r.sandbox)
facts = r.facts()
check([facts[f"pod.{t}.name"] for t in ("1", "2", "last")] == ["vault-0", "vault-1", "vault-2"], "the leader went last")
for n in claims:
    old, new = before["claims"][n], after["claims"][n]
    volume = after["volumes"].get(old["spec"]["volumeName"])
    if uid(old) == uid(new) or new["spec"]["storageClassName"] != ENCRYPTED or new["status"]["phase"] != "Bound":
        fail(f"{n}: {json.dumps(new)[:600]}")
    if not volume or volume["status"]["phase"] != "Released" or volume["spec"]["persistentVolumeReclaimPolicy"] != "Retain" or volume["spec"]["claimRef"]["uid"] != uid(old):
        fail(f"old volume of {n}: {json.dumps(volume)[:800]}")
ok("six new claims by uid, on the new class, bound; six old volumes Released and Retain")
check(all(uid(after["pods"][n]) != uid(before["pods"][n]) for n in before["pods"]), "three new pods")
check(not any("ferryman-canary" in n for n in [*after["claims"], *after["pods"]]), "nothing of the canary is left")
leader = r.leader()
check(leader != "vault-2" and leader in facts["leader.proved"], f"{leader} leads, and was proved as leader by writes")
snapshots = [f["value"] for f in r.journal("fact") if f["name"] == "snapshot.file" and f["value"]]
check(len(snapshots) >= 1 and all(os.path.getsize(f) > 100000 for f in set(snapshots)), f"{len(set(snapshots))} snapshots")
for f in sorted(set(snapshots)):
    r.ferryman("snapshot", "verify", f, "--passphrase-file", os.path.join(r.sandbox.dir, "dump-passphrase"))
ok("each of them is proved from the command line, too")
check("unbroken chain" in r.ferryman("journal", "verify")[1], "the journal's chain is whole")
r.refused("cleanup", ["kept until"], "it is not cleaned up before its retention ends")

# ---- The last pod goes back: onto the volumes that were kept

r.ferryman(*r.words("rollback"))
back = objects(r.sandbox)
old = [n for n in claims if n.endswith("vault-2")]
check(all(back["claims"][n]["spec"]["volumeName"] == before["claims"][n]["spec"]["volumeName"] and back["claims"][n]["status"]["phase"] == "Bound" for n in old),
      "vault-2 is on its old volumes again")
check(all(uid(back["claims"][n]) == uid(after["claims"][n]) for n in claims if n not in old), "the claims of the others are untouched")
check({n: uid(p) for n, p in back["pods"].items() if n != "vault-2"} == {n: uid(p) for n, p in after["pods"].items() if n != "vault-2"}, "and so are their pods")
check(all(p["metadata"]["ownerReferences"][0]["uid"] == uid(back["set"]) for p in back["pods"].values()), "a set has adopted them all")
code, body = Api(r.sandbox.kubeconfig).vault("vault-2", "sys/health?standbycode=200")
check(code == 200 and not json.loads(body)["sealed"], "vault-2 is unsealed, and no wiped node")
check(r.control("alarms") == "", "no majority was lost on the way back")
r.run("pod-last")
check(all(c["spec"]["storageClassName"] == ENCRYPTED for n, c in objects(r.sandbox)["claims"].items() if n in claims), "and its turn can come again")
r.stop()

# ---- OrderedReady

r = Roll(scenarios=["ordered-ready"])
for phase in ("preflight", "canary", "snapshot", "template", "pod-1"):
    r.run(phase)
now = objects(r.sandbox)
check(now["set"]["spec"]["podManagementPolicy"] == "OrderedReady" and all(now["claims"][f"{c}-vault-0"]["spec"]["storageClassName"] == ENCRYPTED for c in ("data", "audit")),
      "a set whose pods come one after the other moves alike")
check(r.control("alarms") == "", "without a majority lost")
r.stop()
done()
