"""Pods of a set that are moved to new claims and back, again and again, on a real control plane; and the orders of
requests in which a pod comes back on claims that are being deleted (recordings s3, s3d, s4, s5)."""

import os
import re
import subprocess
import threading
import time

from ferry import *
from moves import *
from program import path, reached
from roll_world import *

TIMES = 20


def bound(w, pod, cls, but=()):
    """Whether the pod runs, ready, on bound claims of that class with other uids than those."""
    p = w.pod_object(pod)
    ready = p and any(c["type"] == "Ready" and c["status"] == "True" for c in p["status"].get("conditions", []))
    return (
        ready
        and not p["metadata"].get("deletionTimestamp")
        and all(
            c
            and c["spec"]["storageClassName"] == cls
            and c["status"]["phase"] == "Bound"
            and not c["metadata"].get("deletionTimestamp")
            and c["metadata"]["uid"] not in but
            for c in w.claims(pod).values()
        )
    )


def uids(w, pod):
    return {c["metadata"]["uid"] for c in w.claims(pod).values() if c}


def volumes(w, pod):
    return {c["spec"]["volumeName"] for c in w.claims(pod).values() if c}


def adoption(w):
    """Orphan delete and re-creation by the phase: same pods, same claims, another set."""
    before, pods = w.set(), {p: w.pod_object(p)["metadata"]["uid"] for p in PODS}
    kept = {p: uids(w, p) for p in PODS}
    starts = {p: w.node(p).started for p in PODS}
    move(w, "template", SET)
    after = w.set()
    check(after["metadata"]["uid"] != before["metadata"]["uid"], "template: the set was made anew")
    classes = {t["spec"]["storageClassName"] for t in after["spec"]["volumeClaimTemplates"]}
    check(classes == {NEW}, f"its claim templates name {NEW}")
    check({p: w.pod_object(p)["metadata"]["uid"] for p in PODS} == pods, "its pods are the same, by uid")
    owners = {w.pod_object(p)["metadata"]["ownerReferences"][0]["uid"] for p in PODS}
    check(owners == {after["metadata"]["uid"]}, "and adopted by the new one")
    check({p: w.node(p).started for p in PODS} == starts, "no server was restarted")
    check({p: uids(w, p) for p in PODS} == kept, "no claim was touched")
    same = ("replicas", "serviceName", "podManagementPolicy", "template", "selector", "updateStrategy")
    check(all(after["spec"][k] == before["spec"][k] for k in same), "nothing else of it differs")


def preflight(w):
    """The secret of the class cannot be read by us, so where its copy lies has to be said (safety 22)."""
    said = move(w, "preflight", status=1)
    check("offline copy" in said and "kube-system/luks" in said, "preflight asks where a copy of the class's passphrase lies")
    said = move(w, "preflight", "y", "--override", "circle=on paper, in the safe")
    check("preflight: DONE" in said, "and goes on once that was typed")


def canary(w):
    said = move(w, "canary")
    proof = re.search(r"what its log proves: (.*)", said)
    check(proof and "/vault/data" in proof.group(1) and "/vault/audit" in proof.group(1), f"canary: {proof.group(1)[:150]}")
    left = [c["metadata"]["name"] for c in w.api.get(CLAIMS)["items"] if "canary" in c["metadata"]["name"]]
    check(not left and not w.api.get(f"{CORE}/namespaces/{NS}/pods/ferryman-canary-vault"), "it has left nothing")


def snapshot(w):
    said = move(w, "snapshot")
    made = [f for f in os.listdir(path("snapshots")) if f.endswith(".enc")]
    check(made, f"snapshot: {made[-1]}")
    r = subprocess.run(
        [FERRYMAN, "snapshot", "verify", "--passphrase-file", path("passphrase"), path("snapshots", made[-1])],
        env=clean_env(), capture_output=True, text=True, timeout=120,
    )
    check(r.returncode == 0, f"and it is proved once more from the command line: {r.stdout.strip().splitlines()[0][:120] if r.stdout else r.stderr}")


def prepared(w):
    preflight(w)
    canary(w)
    snapshot(w)


def first_follower(w):
    leader = w.active()
    return next(p for p in PODS if p != leader)


def there_and_back(w, times=TIMES):
    """The swap by phase pod-1 and its way back, each time from where the last one ended."""
    swapped = back = 0
    for n in range(times):
        w.wait_calm()
        pod = first_follower(w)
        old, kept, data = uids(w, pod), volumes(w, pod), w.node(pod).volume("data")
        began = time.monotonic()
        move(w, "pod-1", pod)
        there = time.monotonic() - began
        check(bound(w, pod, NEW, old), f"swap {n + 1}: {pod} runs on new claims of {NEW} ({there:.0f} s)")
        policies = {w.api.get(f"{VOLUMES}/{v}")["spec"]["persistentVolumeReclaimPolicy"] for v in kept}
        check(policies == {"Retain"}, "its old volumes are kept")
        swapped += 1
        w.wait_calm()
        new, began = uids(w, pod), time.monotonic()
        move(w, "rollback", pod)
        check(
            bound(w, pod, OLD, new) and volumes(w, pod) == kept and w.node(pod).volume("data") == data,
            f"rollback {n + 1}: {pod} runs on its old volumes again ({time.monotonic() - began:.0f} s)",
        )
        check(w.voters() == REPLICAS, "three voters")
        back += 1
    ok(f"the swap ended on new claims {swapped} times of {times}, the way back on the old volumes {back} times of {times}")


# ---- Somebody else deletes a pod first


def gone(w, pod, uid):
    p = w.pod_object(pod)
    return not p or p["metadata"]["uid"] != uid


def scheduled(w, pod, uid):
    p = w.pod_object(pod)
    return p and p["metadata"]["uid"] != uid and p["spec"].get("nodeName")


def runs(w, pod, uid):
    p = w.pod_object(pod)
    return (
        scheduled(w, pod, uid)
        and any(c["type"] == "Ready" and c["status"] == "True" for c in p["status"].get("conditions", []))
    )


def delete_claims(w, pod):
    for c in w.claims(pod).values():
        w.api.must("DELETE", f"{CLAIMS}/{c['metadata']['name']}")


ORDERS = {
    "s3": ("claims at once when the pod object is gone", gone, 0),
    "s3d": ("claims 150 ms after the pod object is gone", gone, 0.15),
    "s4": ("claims when the new pod is ready", runs, 0),
    "s5": ("claims when the new pod is scheduled, not started", scheduled, 0),
}


def deleted_first(w, order):
    """Somebody deletes the pod, and only then its claims: it comes back on claims that are being deleted. The phase
    sees it, says so, and cures it by one more graceful deletion."""
    title, reached_when, wait_s = ORDERS[order]
    w.wait_calm()
    pod = first_follower(w)
    old, kept, uid = uids(w, pod), volumes(w, pod), w.pod_object(pod)["metadata"]["uid"]
    for v in kept:
        w.api.must("PATCH", f"{VOLUMES}/{v}", {"spec": {"persistentVolumeReclaimPolicy": "Retain"}}, MERGE)
    w.kubelet.lag_s = 8 if order == "s5" else 0
    w.api.must("DELETE", f"{CORE}/namespaces/{NS}/pods/{pod}")
    until(lambda: reached_when(w, pod, uid), "the pod is where the claims go", 60)
    threading.Event().wait(wait_s)  # the order itself
    delete_claims(w, pod)
    reached(lambda: runs(w, pod, uid), "the pod is back", 90)
    w.kubelet.lag_s = 0
    w.wait_calm()
    on_old = bool(uids(w, pod) & old)
    if order != "s3":
        check(on_old, f"{order} ({title}): {pod} runs on its old claims, which are being deleted")
    else:
        ok(f"{order} ({title}): {pod} runs on its {'old claims, which are being deleted' if on_old else 'new claims'}")
    said = move(w, "pod-1", pod)
    if on_old:
        line = next((x.strip() for x in said.splitlines() if "Terminating since" in x), None)
        check(line, f"the phase says so: {(line or said[-1500:])[:200]}")
    check(bound(w, pod, NEW, old), f"{order}: and it runs on new claims of {NEW}")
    check(all(w.api.get(f"{VOLUMES}/{v}") for v in kept), "its old volumes are there")
    w.wait_calm()
    move(w, "rollback", pod)
    check(bound(w, pod, OLD) and volumes(w, pod) == kept, "and the way back is open")


def audit_spoilt(w):
    """A new audit volume that the server's user cannot write: the node looks healthy, its turn does not end (safety 16)."""
    w.wait_calm()
    pod = first_follower(w)
    kept = volumes(w, pod)
    w.kubelet.spoilt = "audit"
    said = move(w, "pod-1", pod, status=1)
    line = next((x.strip() for x in said.splitlines() if "could never become active" in x), None)
    check(line, f"a new audit volume that cannot be written: {(line or said[-1500:])[-260:]}")
    status, health = w.node(pod).call("GET", "sys/health")
    check(status == 429 and not health["sealed"], "though the node calls itself healthy")
    w.kubelet.spoilt = None
    w.api.must("DELETE", f"{CORE}/namespaces/{NS}/pods/{pod}")
    until(lambda: bound(w, pod, NEW), "the pod comes back, its volume writable", 90)
    move(w, "pod-1", pod)
    ok("once it can be written, the phase goes on to its end")
    w.wait_calm()
    move(w, "rollback", pod)
    check(bound(w, pod, OLD) and volumes(w, pod) == kept, "and the way back is open")


def api_away(w):
    """The API server goes in the middle of the swap, for longer than a request waits."""
    w.wait_calm()
    pod = first_follower(w)
    old, kept = uids(w, pod), volumes(w, pod)
    run = Run(w, *one("pod-1", pod))
    run.wait("pod-1/stopped RUNNING")
    w.kube.apiserver.kill()
    threading.Event().wait(20)  # the outage itself: nothing can be waited for
    w.kube.start_apiserver()
    said = run.end(None)
    waited = next((x.strip() for x in said.splitlines() if "WAITING" in x or "FAILED" in x), "nothing")
    if "phase pod-1: DONE" not in said:
        said = move(w, "pod-1", pod)
    check(bound(w, pod, NEW, old), f"the API server was away for 20 s in the swap ({waited[:150]}): it ended on new claims")
    w.wait_calm()
    move(w, "rollback", pod)
    check(bound(w, pod, OLD) and volumes(w, pod) == kept, "and the way back is open")


CHECKS = {
    "away": api_away,
    "audit": audit_spoilt,
    **{order: (lambda w, o=order: deleted_first(w, o)) for order in ORDERS},
    "there-and-back": there_and_back,
}


def main(*wanted):
    w = RollWorld()
    ok(f"servers: Kubernetes {w.kube.version()}, OpenBao in {REPLICAS} pods, up in {w.seconds:.0f} s; {w.active()} is active")
    writer = Writer(w)
    prepared(w)
    adoption(w)
    for name in wanted or CHECKS:
        CHECKS[name](w)
    writer.stop()
    lost = writer.lost()
    check(not lost, f"of {writer.acknowledged} writes that were acknowledged none is lost; the longest pause was {writer.worst():.1f} s")
    print(f"skipped: {', '.join(n for n in CHECKS if n not in (wanted or CHECKS)) or 'nothing'}", flush=True)
    done()
