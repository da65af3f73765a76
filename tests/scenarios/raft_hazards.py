#!/usr/bin/env python3
"""What goes wrong while a set is moved, one case each, from a point that all share: the refusal, the pause or the cure is seen, and where
there is a cure the pod is moved in the end."""
import os
import sys

sys.path.insert(0, os.path.join(os.environ.get("top_srcdir", "."), "tests", "lib"))
from roll import *

CLAIMS = ("data-vault-0", "audit-vault-0")


def on_new(r, what, pod="vault-0"):
    now = objects(r.sandbox)["claims"]
    check(all(now[f"{c}-{pod}"]["spec"]["storageClassName"] == ENCRYPTED and "deletionTimestamp" not in now[f"{c}-{pod}"]["metadata"] for c in ("data", "audit")),
          f"{what}: {pod} is on new claims")


def untouched(r, before, what):
    now = objects(r.sandbox)
    check(all(uid(now["claims"][c]) == uid(before["claims"][c]) and "deletionTimestamp" not in now["claims"][c]["metadata"] for c in CLAIMS) and
          {n: uid(p) for n, p in now["pods"].items()} == {n: uid(p) for n, p in before["pods"].items()}, f"{what}: nothing was touched")


def pvc_race(r):
    r.control("scenario", "pvc-race", "on")
    said = r.run("pod-1")
    check(re.search(r"erminating|on its way out", said), "pvc-race: it says that the pod is on claims that terminate")
    on_new(r, "pvc-race, cured by one more deletion")


def sealed_after_restart(r):
    r.control("scenario", "sealed-after-restart", "on")
    p = r.start("pod-1")
    r.until(p, r"WAITING.*sealed", "sealed-after-restart: it waits, and says for what")
    r.control("scenario", "sealed-after-restart", "off")
    r.finish(p)
    on_new(r, "sealed-after-restart, unsealed")


def removed_after_rejoin(r):
    r.control("scenario", "removed-after-rejoin", "on")
    r.refused("pod-1", ["says that it was removed from the cluster", "do not call remove-peer"], "removed-after-rejoin: it is seen, with the way out", "--override", "image=a test")
    code, body = Api(r.sandbox.kubeconfig).vault("vault-0", "sys/health")
    check(code == 530 and json.loads(body)["removed_from_cluster"], "removed-after-rejoin: 530")
    r.ferryman(*r.words("rollback"))
    r.run("pod-1", "--override", "image=a test")
    on_new(r, "removed-after-rejoin, rolled back and wiped once more")


def leader_moves(r):
    before = objects(r.sandbox)
    r.control("scenario", "leader-moves-between-dialog-and-act", "on")
    r.refused("pod-1", ["vault-0"], "leader-moves-between-dialog-and-act: the node that leads now is not taken away", typed="vault-0")
    untouched(r, before, "leader-moves")
    check(r.leader() == "vault-0", "leader-moves: vault-0 leads")


def follower_lagging(r):
    before = objects(r.sandbox)
    r.control("scenario", "follower-lagging", "on")
    p = r.start("pod-1", typed="vault-0")
    r.until(p, r"behind|applied .* of |not level|UNHEALTHY|unhealthy", "follower-lagging: it does not begin, and says why", 120)
    p.terminate()
    p.wait(60)
    untouched(r, before, "follower-lagging")


def second_node_fails(r):
    r.control("scenario", "second-node-fails-mid-swap", "on")
    p = r.start("pod-1")
    until(lambda: "QUORUM LOST" in r.control("alarms"), "the majority is gone", 60)
    r.until(p, r"WAITING.*(vault-1|no node|active|majority|503|500)|PAUSED|FAILED", "second-node-fails-mid-swap: it says what is missing", 60)
    r.control("scenario", "second-node-fails-mid-swap", "off")
    until(lambda: "quorum is back" in r.control("alarms"), "the majority is back", 90)
    check("FOR GOOD" not in r.control("alarms"), "second-node-fails: and was not lost for good")
    p.said += p.stdout.read()
    if p.wait(LIMIT):
        r.run("pod-1")
    on_new(r, "second-node-fails, when it is back")


def api_down(r):
    r.control("scenario", "api-down-mid-swap", "on")
    p = r.start("pod-1")
    until(lambda: re.search(r"api-down +on", r.control("scenarios")), "the API has gone down", 60)
    r.until(p, r"refused|no answer|not reach|DOWN|connect", "api-down-mid-swap: it says that the API does not answer", 60)
    r.control("scenario", "api-down", "off")
    p.said += p.stdout.read()
    if p.wait(LIMIT):
        r.run("pod-1")
    on_new(r, "api-down, when it is back")


def nowhere_to_land(r):
    before = objects(r.sandbox)
    r.control("scenario", "nowhere-to-land", "on")
    r.refused("pod-1", ["node"], "nowhere-to-land: before anything is deleted", typed="vault-0")
    untouched(r, before, "nowhere-to-land")


def claim_mounted(r):
    before = objects(r.sandbox)
    r.control("scenario", "claim-mounted-by-another", "on")
    until(lambda: r.kubectl("get", "pod", "audit-shipper", "-n", "vault", "-o", "jsonpath={.status.phase}", may_fail=True) == "Running", "the other pod runs")
    r.refused("pod-1", ["audit-shipper"], "claim-mounted-by-another: the pod is named", typed="vault-0")
    untouched(r, before, "claim-mounted-by-another")


def retain_reverted(r):
    before = objects(r.sandbox)
    volumes = [before["claims"][c]["spec"]["volumeName"] for c in CLAIMS]
    r.control("scenario", "retain-reverted", "on")
    r.control("when", "after", "patch", f"persistentvolumes/{volumes[0]}", "x9", "hazard", "revert-retain", "data-vault-0")
    r.refused("pod-1", ["Delete"], "retain-reverted: what is set back again and again stops it before the pod goes", typed="vault-0")
    now = objects(r.sandbox)
    check(uid(now["pods"]["vault-0"]) == uid(before["pods"]["vault-0"]) and "deletionTimestamp" not in now["pods"]["vault-0"]["metadata"], "retain-reverted: the pod still runs")
    check(all(v in now["volumes"] for v in volumes), "retain-reverted: the volumes are there")
    r.control("when", "clear")
    r.control("when", "after", "delete", "persistentvolumeclaims/*", "x9", "hazard", "revert-retain", "{name}")
    said = r.run("pod-1", typed="vault-0", status=None)
    if "phase pod-1: DONE" not in said:
        check("is paused" in said and "changed by terraform" in said, "retain-reverted: the foreign change pauses it, and who made it is named")
        r.control("when", "clear")
        r.run("pod-1", typed="vault-0")
    on_new(r, "retain-reverted, set to Retain once more when the claims terminate")
    now = objects(r.sandbox)["volumes"]
    check(all(v in now and now[v]["spec"]["persistentVolumeReclaimPolicy"] == "Retain" and now[v]["status"]["phase"] == "Released" for v in volumes),
          "retain-reverted: the old volumes are kept")


def helm_upgrade(r):
    before = objects(r.sandbox)
    r.control("scenario", "foreign-helm-upgrade", "on")
    r.refused("pod-1", ["image"], "foreign-helm-upgrade: the pod would come back as another", typed="vault-0")
    untouched(r, before, "foreign-helm-upgrade")


def fsgroup_lost(r):
    before = objects(r.sandbox)
    r.control("scenario", "fsgroup-missing", "on")
    r.refused("pod-1", ["fsGroup"], "fsgroup-missing: lost after the template was swapped", typed="vault-0")
    untouched(r, before, "fsgroup-missing")


def audit_unwritable(r):
    r.control("scenario", "audit-unwritable", "on")
    for n in (0, 1):
        r.control("kill", "pod", f"vault/vault-{n}")
    until(lambda: all(c.get("ready") for n in (0, 1) for c in objects(r.sandbox)["pods"][f"vault-{n}"]["status"]["containerStatuses"]), "both followers are back", 60)
    r.refused("step-down", ["nobody else became active", "audit device"], "audit-unwritable: nobody on new volumes becomes active, and that is said", typed="vault-2")
    check("proved_at" not in json.dumps([f["name"] for f in r.journal("fact") if f["name"] == "step-down.proved_at"]), "audit-unwritable: nobody is proved as leader")
    r.refused("pod-last", ["comes next"], "audit-unwritable: the former leader's turn does not come", typed="vault-2")


def audit_full(r):
    r.control("scenario", "audit-full", "on")
    for n in (0, 1):
        r.control("kill", "pod", f"vault/vault-{n}")
    until(lambda: all(c.get("ready") for n in (0, 1) for c in objects(r.sandbox)["pods"][f"vault-{n}"]["status"]["containerStatuses"]), "both followers are back", 60)
    p = r.start("step-down", typed="vault-2")
    r.until(p, r"500|internal error|FAILED", "audit-full: the new leader's writes fail, and that is said", 90)
    p.terminate()
    p.wait(90)
    check("step-down.proved_at" not in r.facts() or not r.facts()["step-down.proved_at"], "audit-full: it is not proved as leader")


def id_unstable(r):
    old = r.facts().get("pod.1.node_id")
    r.run("pod-1")
    api = Api(r.sandbox.kubeconfig)
    token = open(os.path.join(r.sandbox.dir, "vault-token")).read().strip()
    servers = json.loads(api.vault("vault-2", "sys/storage/raft/configuration", token=token)[1])["data"]["config"]["servers"]
    mine = [s for s in servers if s["address"].startswith("vault-0.")]
    check(len(servers) == 3 and len(mine) == 1 and mine[0]["voter"], f"id-unstable: another id, a voter, the old peer is gone ({mine[0]['node_id'][:8]}…, was {str(old)[:8]})")
    on_new(r, "id-unstable")


BEFORE_POD = {"pvc-race": pvc_race, "sealed-after-restart": sealed_after_restart, "removed-after-rejoin": removed_after_rejoin,
              "leader-moves-between-dialog-and-act": leader_moves, "follower-lagging": follower_lagging, "second-node-fails-mid-swap": second_node_fails,
              "api-down-mid-swap": api_down, "nowhere-to-land": nowhere_to_land, "claim-mounted-by-another": claim_mounted,
              "retain-reverted": retain_reverted, "foreign-helm-upgrade": helm_upgrade, "fsgroup-missing": fsgroup_lost}
BEFORE_STEP_DOWN = {"audit-unwritable": audit_unwritable, "audit-full": audit_full}
UNSTABLE = {"id-unstable": id_unstable}


def case(name, home):
    if name in BEFORE_POD:
        r = Roll(home, "pod-1")
        BEFORE_POD[name](r)
    elif name in BEFORE_STEP_DOWN:
        r = Roll(home, "step-down")
        BEFORE_STEP_DOWN[name](r)
    else:
        r = Roll(os.path.join(home, "unstable"), "pod-1")
        UNSTABLE[name](r)
    r.stop()
    done()


if len(sys.argv) == 4 and sys.argv[1] == "--case":
    case(sys.argv[2], sys.argv[3])
home = tempfile.mkdtemp(prefix="ferryman-raft-hazards-")
os.chmod(home, 0o755)
atexit.register(shutil.rmtree, home, True)
names = sys.argv[1:] or [*BEFORE_POD, *BEFORE_STEP_DOWN, *UNSTABLE]
if set(names) & set([*BEFORE_POD, *BEFORE_STEP_DOWN]):
    prepare(home, ["pod-1", "step-down"] if set(names) & set(BEFORE_STEP_DOWN) else ["pod-1"])
if set(names) & set(UNSTABLE):
    prepare(os.path.join(home, "unstable"), ["pod-1"], scenarios=["id-unstable"])
bad = parallel(os.path.abspath(__file__), names, home)
if bad:
    fail("these went otherwise: " + ", ".join(bad))
ok(f"{len(names)} hazards")
done()
