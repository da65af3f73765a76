"""What OpenBao really does when a node is wiped, hangs, loses its disk or its audit file; what ferryman says of it,
through the API server's pod proxy and directly; and that its proof of a snapshot finds every damage."""

import os
import re
import subprocess
import threading
import time

import snapshots
from ferry import *
from program import path, reached, write
from roll_world import PODS, REPLICAS, RollWorld

STUCK_S = 60


def cluster(stream):
    return stream.row("raft_clusters") or {}


def peer(stream, name):
    return stream.row("raft_peers", name=name) or {}


def well(w, stream):
    leader = w.active()
    return (
        leader
        and cluster(stream).get("state") == "OK"
        and cluster(stream).get("leader") == leader
        and cluster(stream).get("voters") == REPLICAS
        and all(r["health"] == "OK" and r["role"] in ("LEADER", "VOTER") for r in stream.rows("raft_peers"))
    )


class Both:
    """Two programs that follow: through the pod proxy, and directly."""

    def __init__(self, w):
        self.w = w
        self.proxied, self.direct = Stream(w.args), Stream(w.direct_args())
        self.streams = {"pod proxy": self.proxied, "direct": self.direct}

    def wait(self, condition, what, seconds=40):
        for how, s in self.streams.items():
            s.wait(lambda: condition(s), f"{what} ({how})", seconds)

    def well(self, seconds=90):
        self.w.wait_calm(seconds)
        self.wait(lambda s: well(self.w, s), "three voters and the leader", seconds)

    def end(self):
        for s in self.streams.values():
            s.end_well()


def follower(w):
    return next(p for p in PODS if p != w.active())


# ---- Snapshots


def take(w):
    """From the active node, as curl would."""
    c = w.node(w.wait_active())
    r = subprocess.run(
        ["curl", "-sS", "--fail", "-H", f"X-Vault-Token: {w.root}", f"http://{c.ip}:8200/v1/sys/storage/raft/snapshot"],
        capture_output=True,
        timeout=60,
        check=True,
    )
    return r.stdout


def proof(content, *options):
    """(status, what it said) of `ferryman snapshot verify`."""
    file = path("one.snap")
    with open(file, "wb") as f:
        f.write(content)
    r = subprocess.run(
        [FERRYMAN, "snapshot", "verify", *options, file], env=clean_env(), capture_output=True, text=True, timeout=60
    )
    said = r.stdout + r.stderr
    if "Sanitizer" in said or "runtime error" in said or r.returncode < 0:
        fail(f"snapshot verify ended with {r.returncode}: {said}")
    return r.returncode, said.strip()


def snapshot(w):
    for n in range(60):
        w.ask("PUT", f"kv/filler-{n}", {"v": os.urandom(6000).hex()})
    archive = take(w)
    for what, content in snapshots.good(archive):
        status, said = proof(content)
        check(status == 0, f"a snapshot of {len(content)} bytes, {what}, is proved: {said.splitlines()[0][:150]}")
    check(all(p in said for p in PODS), "its peers are named")
    for title, kinds in (
        ("cut", snapshots.cut(archive)),
        ("with bits flipped", snapshots.bits(archive)),
        ("that is something else", snapshots.wrong(archive)),
    ):
        found, example = 0, ""
        for what, content in kinds:
            status, said = proof(content)
            if status == 0:
                fail(f"a snapshot that is damaged ({what}) was taken for a good one: {said}")
            found, example = found + 1, f"{what}: {said.splitlines()[-1][:160]}"
        ok(f"each of {found} archives {title} is refused; e.g. {example}")


# ---- A node with an empty disk


def suffrage(w, name):
    return [s["voter"] for s in w.servers() if name in s["address"]]


def wiped_stable(w, both):
    both.well()
    name = follower(w)
    cell, before = w.node(name), w.servers()
    cell.wipe()
    seen = set()

    def back():
        seen.update(suffrage(w, name))
        try:
            return cell.call("GET", "sys/health", timeout=1)[0] == 429
        except OSError:
            return False

    began = time.monotonic()
    both.direct.wait(lambda: peer(both.direct, name).get("health") not in ("OK", None), "the node is seen to be away", 30)
    reached(back, f"{name} is back", 60)
    ok(f"wiped, stable id: {name} is back as a standby after {time.monotonic() - began:.0f} s")
    both.well()
    check(seen == {True} and w.servers() == before, "it was a voter all the while, and no peer was added: it has no memory of its votes")
    check(
        all(peer(s, name)["id_stable"] == "STABLE" and peer(s, name)["node_id"] == name for s in both.streams.values()),
        "its id is the same, and called STABLE",
    )


def wiped_unstable(w, both):
    both.well()
    name = follower(w)
    cell = w.node(name)
    stable = cell.program.env.pop("BAO_RAFT_NODE_ID")
    cell.wipe()
    both.wait(lambda s: peer(s, name).get("id_stable") == "UNSTABLE", "its id is another, and UNSTABLE", 60)
    began = time.monotonic()
    ids = [s["node_id"] for s in w.servers() if name in s["address"]]
    check(
        len(ids) == 1 and ids[0] != stable and len(w.servers()) == REPLICAS,
        f"wiped, unstable id: {name} joined as {ids[0]}, and the old peer of that address was removed",
    )
    both.wait(lambda s: peer(s, name).get("role") in ("NON-VOTER", "VOTER"), "it is a peer", 40)
    first = {peer(s, name)["role"] for s in both.streams.values()}
    both.well(120)
    ok(f"it began as {', '.join(sorted(first))} and votes after {time.monotonic() - began:.0f} s")
    again = cell.program.env
    again["BAO_RAFT_NODE_ID"] = stable
    cell.wipe()
    both.wait(lambda s: peer(s, name).get("id_stable") == "STABLE", "its id is stable again", 60)
    both.well(120)
    ok("and with a stable id again it is a voter like before")


# ---- Leaders


def step_down(w, both):
    both.well()
    old = w.active()
    began = time.monotonic()
    w.ask("PUT", "sys/step-down")
    new = w.wait_active(but=old)
    took = time.monotonic() - began
    both.wait(lambda s: cluster(s).get("leader") == new, "the new leader is shown")
    ok(f"step-down: {new} leads after {took:.1f} s, and is shown")
    both.well()


def stopped_with_quorum(w, both):
    """The others elect: a leader that hangs is no alarm for long."""
    both.well()
    old, states = w.active(), set()
    w.node(old).hold(True)
    began = time.monotonic()
    new = w.wait_active(but=old, seconds=60)
    elected = time.monotonic() - began

    def told(s):
        states.add(cluster(s).get("state"))
        return cluster(s).get("leader") == new and peer(s, old).get("health") not in ("OK", None)

    both.wait(told, "the new leader, and the old one's silence", 60)
    said = f"{old} is {peer(both.direct, old)['health']}: {cluster(both.direct)['verdict'][:110]}"
    ok(f"leader stopped (SIGSTOP): {new} leads after {elected:.1f} s; {said}")
    w.node(old).hold(False)
    both.well(120)
    check("STUCK" not in states, f"it was never called STUCK meanwhile, as the others elected: {sorted(filter(None, states))}")


def stopped_without(w, both):
    """Nobody can elect another: class A."""
    both.well()
    leader = w.active()
    other = follower(w)
    w.node(other).hold(True)
    both.wait(lambda s: peer(s, other).get("health") not in ("OK", None), "a follower is silent", 60)
    w.node(leader).hold(True)
    began = time.monotonic()
    for how, s in both.streams.items():
        s.wait(
            lambda: cluster(s).get("state") == "STUCK" and leader in (cluster(s).get("verdict") or ""),
            f"class A is told within {STUCK_S} s ({how})",
            STUCK_S - (time.monotonic() - began) if how == "direct" else STUCK_S + 30,
        )
        ok(f"class A after {time.monotonic() - began:.0f} s ({how}): {cluster(s)['verdict'][:170]}")
    w.node(leader).hold(False)
    w.node(other).hold(False)
    both.well(120)
    ok("both go on: the alarm is over")


def state_lock(w, both):
    """A leader whose state lock is wedged: a snapshot is read slowly, a step-down waits for it, and everything that
    asks waits behind. Raft's heartbeats go on: nobody elects another."""
    for n in range(200):
        w.ask("PUT", f"kv/big-{n}", {"v": os.urandom(60000).hex()})
    both.well(120)
    leader = w.active()
    cell = w.node(leader)
    slow = subprocess.Popen(
        ["curl", "-sS", "-o", "/dev/null", "--limit-rate", "20k", "-H", f"X-Vault-Token: {w.root}",
         f"http://{cell.ip}:8200/v1/sys/storage/raft/snapshot"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )
    began = time.monotonic()
    threading.Event().wait(1)  # the download has to be under way; nothing shows it
    cell.call("PUT", "sys/step-down", token=w.root)

    def wedged():
        try:
            cell.call("GET", "sys/leader", timeout=2)
        except OSError:
            return True
        return False

    try:
        reached(wedged, "its state lock is held", 20)
        others = [p for p in PODS if p != leader]
        check(not any(w.is_active(p) for p in others), "wedged by a step-down during a snapshot: sys/leader hangs, nobody else leads")
        d = both.direct
        d.wait(lambda: cluster(d).get("state") == "STUCK", f"class A is told within {STUCK_S} s", STUCK_S + 5 - (time.monotonic() - began))
        ok(f"class A after {time.monotonic() - began:.0f} s: {cluster(d)['verdict'][:170]}")
    finally:
        slow.kill()
        slow.wait()
    both.well(150)
    ok("the download ended, and with it the alarm")


# ---- Disks


def said_of(cell, at, word):
    """The last line of the server's log since then that has this word."""
    with open(cell.program.log, errors="replace") as f:
        f.seek(at)
        lines = [line.strip() for line in f if word in line]
    return lines[-1] if lines else ""


def audit(w, both):
    """A standby whose audit file cannot be written looks healthy, and can never lead (safety 16)."""
    both.well()
    old = w.active()
    name = follower(w)
    third = next(p for p in PODS if p not in (name, old))
    cell = w.node(name)
    where, at = cell.volume("audit"), os.path.getsize(cell.program.log)

    def spoil():
        os.unlink(os.path.join(where, "audit.log"))
        os.chmod(where, 0o755)

    cell.restart(spoil)
    reached(lambda: cell.call("GET", "sys/health")[0] == 429, "it is an unsealed standby", 30)
    both.well()
    ok(f"audit file unwritable: {name} is an unsealed standby, level, and nothing that it says differs from a good one")
    answer = "no answer"
    try:
        status, doc = cell.call("GET", "auth/token/lookup-self", token=w.root, timeout=5)
        answer = f"{status} {doc.get('errors') or ''}"
    except OSError as e:
        answer = repr(e)
    ok(f"even an authenticated read of it is answered: {answer}")
    w.node(third).hold(True)
    w.ask("PUT", "sys/step-down")
    reached(lambda: said_of(cell, at, "ERROR] core: post-unseal setup failed"), "it tries to lead", 60)
    ok(f"it was elected and could not become active: {said_of(cell, at, 'sanity check failed')[-110:]}")
    active = w.wait_active(seconds=60)
    check(active == old, f"the former leader leads again: {active}")
    w.node(third).hold(False)
    os.chmod(where, 0o777)
    cell.restart()
    both.well(150)
    ok("with a writable file it is well again")


CHECKS = {
    "snapshot": lambda w, both: snapshot(w),
    "wiped-stable": wiped_stable,
    "wiped-unstable": wiped_unstable,
    "step-down": step_down,
    "stopped": stopped_with_quorum,
    "class-a": stopped_without,
    "state-lock": state_lock,
    "audit": audit,
}


def main(*wanted):
    w = RollWorld()
    ok(f"servers: Kubernetes {w.kube.version()}, OpenBao in {REPLICAS} pods, up in {w.seconds:.0f} s; {w.active()} is active")
    both = Both(w)
    both.well()
    for name in wanted or CHECKS:
        CHECKS[name](w, both)
    both.end()
    print(f"skipped: {', '.join(n for n in CHECKS if n not in (wanted or CHECKS)) or 'nothing'}", flush=True)
    done()
