"""A raft cluster moved by every phase, on a real control plane with pods that really run OpenBao.

    tests/real/run whole [Parallel|OrderedReady [stable|unstable [kill|disk]]]

kill: ferryman is killed in every pod's turn and in a window. disk: the leader's disk hangs in a window."""

import threading
import time

from checks_roll import adoption, bound, prepared, uids, volumes
from ferry import *
from moves import *
from program import path
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
        killed(w, f"pod-{turn}", name, [f"pod-{turn}/{m}" for m in marks])
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


def killed_window(w, turn):
    """Killed in the middle: what was covered counts, what was not does not."""
    began = time.monotonic()
    run = Run(w, *one(f"window-{turn}", "y"))
    run.wait(f"phase window-{turn}: RUNNING")
    threading.Event().wait(45)  # half of it
    run.kill()
    threading.Event().wait(10)  # nobody watches
    move(w, f"window-{turn}")
    took = time.monotonic() - began
    check(
        95 <= took < 160,
        f"window-{turn}: killed -9 after 45 s, 10 s unwatched, begun again: passed after {took:.0f} s, "
        "so its credit was kept and the gap was not counted",
    )


def disk_hangs(w):
    """Class B in a window: the leader's disk does not take a write any more, and everything that only asks is well. The
    window is begun by a command that is killed, and goes on in `ferryman watch --headless`; it is not credited while the
    disk hangs."""
    w.wait_calm()
    run = Run(w, *one("window-1", "y"))
    run.wait("window-1/window RUNNING: PASSING")
    run.kill()
    watch = Run(w, "watch", "--headless")
    watch.wait("PASSING", 90)
    ok("the window goes on by itself in watch --headless")
    leader = w.active()
    w.node(leader).hang_disk(True)
    began = time.monotonic()
    try:
        watch.wait("STUCK", 240)
        took = time.monotonic() - began
        check(
            w.active() == leader and w.node(leader).call("GET", "sys/health")[0] == 200,
            f"{leader}'s fsync hangs: it answers, leads, and says that it is healthy",
        )
        line = next(x.strip() for x in watch.said if "STUCK" in x)
        ok(f"class B after {took:.0f} s: {line[:260]}")
        watch.wait("begins again", 150)
        line = next(x.strip()[:160] for x in watch.said if "begins again" in x)
        ok(f"the window begins again after {time.monotonic() - began:.0f} s of it: {line}")
    finally:
        w.node(leader).hang_disk(False)
    until(lambda: w.is_active(leader) and w.calm(), "its disk goes on", 120)
    said = watch.end(0, 600)
    check("passed" in said.splitlines()[-1] or "passed" in said, f"and it passed in the end, {time.monotonic() - began:.0f} s after the disk hung")
    until(lambda: not engines(w.plan), "its engine ends by itself", 60)


def main(policy="Parallel", ids="stable", kill=""):
    w = RollWorld(policy, ids == "stable")
    ok(
        f"servers: Kubernetes {w.kube.version()}, OpenBao in {REPLICAS} pods, {policy}, ids {ids}, up in {w.seconds:.0f} s; "
        f"{w.active()} is active"
    )
    writer = Writer(w)
    leader = w.active()
    followers = [p for p in PODS if p != leader]
    prepared(w)
    adoption(w)
    marks = ["swap RUNNING", "stopped RUNNING", "claims RUNNING", "rejoin RUNNING"] if kill == "kill" else []
    for turn, name in enumerate(followers, 1):
        pod(w, writer, str(turn), name, marks)
        if kill == "disk" and turn == 1:
            disk_hangs(w)
        elif kill == "kill" and turn == 1:
            killed_window(w, str(turn))
        else:
            window(w, str(turn))
    at = time.time()
    move(w, "step-down", leader)
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
    said = move(w, "cleanup", CONTEXT, status=1)
    check("kept until" in said, f"cleanup before the end of retention: {said.strip().splitlines()[-1][-160:]}")
    check(not w.lease()["spec"].get("holderIdentity"), "the Lease is nobody's")
    print("skipped: nothing", flush=True)
    done()
