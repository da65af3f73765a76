"""A raft cluster moved by every phase, on a real control plane with pods that really run OpenBao.

    tests/real/run whole [Parallel|OrderedReady [stable|unstable [kill]]]"""

import time

from checks_roll import adoption, bound, uids, volumes
from ferry import *
from moves import *
from roll_world import *


def classes(w):
    return {p: "/".join(sorted(c or "none" for c in w.classes(p))) for p in PODS}


def pod(w, writer, turn, name, marks=()):
    """One pod in its turn: on new claims, the old volumes kept, a voter, nothing lost meanwhile."""
    w.wait_calm()
    old, kept = uids(w, name), volumes(w, name)
    ids = {s["address"]: s["node_id"] for s in w.servers()}
    others = {p: w.pod_object(p)["metadata"]["uid"] for p in PODS if p != name}
    began, at = time.monotonic(), time.time()
    if marks:
        killed(w, f"pod-{turn}", name, marks)
    else:
        move(w, f"pod-{turn}", name)
    check(bound(w, name, NEW, old), f"pod-{turn}: {name} runs on new claims of {NEW} ({time.monotonic() - began:.0f} s)")
    check(
        {w.api.get(f"{VOLUMES}/{v}")["spec"]["persistentVolumeReclaimPolicy"] for v in kept} == {"Retain"},
        "its old volumes are kept: Retain",
    )
    check({p: w.pod_object(p)["metadata"]["uid"] for p in others} == others, "the other pods are the same")
    now = {s["address"]: s["node_id"] for s in w.servers()}
    mine = next(a for a in now if name in a)
    check(
        w.voters() == REPLICAS and len(now) == REPLICAS and (now[mine] == ids[mine]) == w.stable,
        f"it votes as {now[mine]}, and there is no stale peer",
    )
    ok(f"the longest time without an acknowledged write: {writer.worst(at):.1f} s")


def window(w, turn):
    began = time.monotonic()
    move(w, f"window-{turn}", "y")
    took = time.monotonic() - began
    check(took >= 85, f"window-{turn} has passed after {took:.0f} s")


def main(policy="Parallel", ids="stable", kill=""):
    w = RollWorld(policy, ids == "stable")
    ok(
        f"servers: Kubernetes {w.kube.version()}, OpenBao in {REPLICAS} pods, {policy}, ids {ids}, up in {w.seconds:.0f} s; "
        f"{w.active()} is active"
    )
    writer = Writer(w)
    leader = w.active()
    followers = [p for p in PODS if p != leader]
    for phase in ("preflight", "canary", "snapshot"):
        said = move(w, phase)
        ok(f"{phase}: {said.strip().splitlines()[-1][-150:]}")
    adoption(w)
    marks = ["delete"] if kill else []
    for turn, name in enumerate(followers, 1):
        pod(w, writer, str(turn), name, marks)
        window(w, str(turn))
    at = time.time()
    move(w, "step-down", SET)
    new = w.active()
    check(new and new != leader, f"step-down: {new} leads, {leader} does not; without an acknowledged write for {writer.worst(at):.1f} s")
    pod(w, writer, "last", leader, marks)
    window(w, "last")
    said = move(w, "verify")
    ok(f"verify: {said.strip().splitlines()[-1][-150:]}")
    check(set(classes(w).values()) == {NEW}, f"every claim is of {NEW}: {classes(w)}")
    writer.stop()
    lost = writer.lost()
    check(not lost, f"of {writer.acknowledged} writes that were acknowledged none is lost")
    check(not w.lease()["spec"].get("holderIdentity"), "the Lease is nobody's")
    print("skipped: nothing", flush=True)
    done()
