"""Pods of a set that are moved to new claims and back, again and again, on a real control plane; and the orders of
requests in which a pod comes back on claims that are being deleted (recordings s3, s3d, s4, s5)."""

import threading
import time

from ferry import *
from moves import *
from program import reached
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


def prepared(w):
    move(w, "preflight")
    move(w, "canary")
    move(w, "snapshot")


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


CHECKS = {"there-and-back": there_and_back}


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
