"""The raft cluster as it is, and as it changes: a step-down, a node that ends and comes back sealed, a leader that
hangs, no quorum."""

import time

from ferry import *
from program import write

NAMES = {"vault-0", "vault-1", "vault-2"}


def cluster(stream):
    return stream.row("raft_clusters") or {}


def peer(stream, name):
    return stream.row("raft_peers", name=name) or {}


def well(w, stream):
    leader = w.raft.active()
    return (
        leader
        and cluster(stream).get("state") == "OK"
        and cluster(stream).get("leader") == leader.name
        and cluster(stream).get("voters") == 3
        and all(r["health"] == "OK" and r["role"] in ("LEADER", "VOTER") for r in stream.rows("raft_peers"))
    )


def both(s, d, condition, what, seconds=30):
    for stream in (s, d):
        stream.wait(lambda: condition(stream), what + (" (pod proxy)" if stream is s else " (direct)"), seconds)


def run(w, s, d):
    until(w.raft.calm, "autopilot is content", 40)
    shown(w, s, d)
    step_down(w, s, d)
    node_ends(w, s, d)
    leader_hangs(w, s, d)
    no_quorum(w, s, d)
    token(w, s, d)


def shown(w, s, d):
    both(s, d, lambda x: well(w, x), "three voters and the leader")
    for stream, how, where in (
        (s, "through the API server's pod proxy", "pod proxy"),
        (d, "directly", "http://10.99.0."),
    ):
        rows = stream.rows("raft_peers")
        check(
            {r["name"] for r in rows} == NAMES and all(where in r["endpoint"] for r in rows),
            f"{how}: three peers, leader {cluster(stream)['leader']}, voters 3",
        )
        stream.wait(
            lambda: cluster(stream).get("tolerance") == 1 and cluster(stream).get("healthy"), "autopilot's word"
        )
        stream.wait(
            lambda: all(
                r["seal"] == "UNSEALED"
                and r["node_id"] == r["name"]
                and r["id_stable"] == "STABLE"
                and r["autopilot"] == "OK"
                and r.get("lag") is not None
                and r["version"] == w.raft.version()
                for r in stream.rows("raft_peers")
            ),
            "what each node says",
        )
        ok(
            f"{how}: autopilot healthy, tolerance 1; each node unsealed, in step, {cluster(stream)['product']} {cluster(stream)['version']}, id stable"
        )
    check(
        peer(s, "vault-2")["claims_state"] == "MOVED" and peer(s, "vault-0")["claims_state"] == "HOSTILE",
        "with the state of their claims",
    )
    credential = s.row("credentials", _key="vault")
    check(
        "ferryman" in credential["groups"] and credential.get("expires", 0) > s.now,
        f"the token's policies ({credential['groups']}) and its end are known",
    )
    s.wait(lambda: s.row("gates", name="voters are healthy", answer="PASS"), "the gate passes")
    ok("the gate 'voters are healthy' passes")


def step_down(w, s, d):
    old = w.raft.active()
    began = time.monotonic()
    old.call("PUT", "sys/step-down", token=w.raft.root)
    new = w.raft.wait_active(but=old)
    elected = time.monotonic() - began
    both(
        s,
        d,
        lambda x: cluster(x).get("leader") == new.name
        and peer(x, new.name).get("role") == "LEADER"
        and peer(x, old.name).get("role") == "VOTER",
        "the new leader",
    )
    ok(f"step-down: the leader is {new.name} after {elected:.1f} s, shown after {time.monotonic() - began:.1f} s")
    both(
        s,
        d,
        lambda x: peer(x, old.name).get("as_leader") == "PROVED" and peer(x, new.name).get("as_leader") == "PROVED NOW",
        "who was seen as leader",
    )
    both(s, d, lambda x: any(new.name in r["text"] for r in x.rows("timeline")), "the change of leader in the timeline")
    ok("both are proved as leader, the change is in the timeline")
    both(s, d, lambda x: well(w, x), "all is well after the step-down", 60)


def node_ends(w, s, d):
    node = next(n for n in w.raft.nodes if not n.is_active())
    node.server.stop()
    both(
        s,
        d,
        lambda x: peer(x, node.name).get("health") == "UNREACHABLE" and cluster(x).get("state") == "DEGRADED",
        f"{node.name} is gone",
    )
    ok(f"a node ended: {cluster(s)['verdict'][:110]}")
    both(s, d, lambda x: cluster(x).get("leader") == w.raft.active().name, "the leader stays")
    node.start()
    both(
        s,
        d,
        lambda x: peer(x, node.name).get("health") == "SEALED" and peer(x, node.name).get("seal") == "SEALED",
        f"{node.name} is back, sealed",
    )
    ok(f"started again: {cluster(s)['verdict'][:110]}")
    w.raft.unseal(node)
    both(s, d, lambda x: well(w, x), f"{node.name} is unsealed and votes", 60)
    both(
        s,
        d,
        lambda x: any(r["object"] == node.name and r["text"] == "unsealed" for r in x.rows("timeline")),
        "the timeline has it",
    )
    ok(f"unsealed: {node.name} votes and all is well")


def leader_hangs(w, s, d):
    until(w.raft.calm, "autopilot is content", 40)
    both(s, d, lambda x: well(w, x), "all is well", 60)
    old = w.raft.active()
    old.server.pause()
    began = time.monotonic()
    d.wait(
        lambda: peer(d, old.name).get("health") == "SILENT" and peer(d, old.name).get("silent_since"),
        "directly: it accepts TCP and says nothing",
    )
    ok(
        f"a leader that hangs: SILENT after {time.monotonic() - began:.0f} s when asked directly: {(peer(d, old.name).get('error') or '')[:80]}"
    )
    s.wait(lambda: peer(s, old.name).get("health") not in ("OK", None), "through the proxy: no answer")
    ok(f"through the proxy: {peer(s, old.name)['health']}: {(peer(s, old.name).get('error') or '')[:90]}")
    new = w.raft.wait_active(but=old)
    both(
        s,
        d,
        lambda x: cluster(x).get("leader") == new.name
        and cluster(x).get("state") == "DEGRADED"
        and peer(x, old.name).get("role") != "LEADER",
        "the others elect another",
    )
    ok(f"the others elect {new.name}: {cluster(d)['verdict'][:100]}")
    s.wait(
        lambda: peer(s, old.name).get("silent_since"),
        "through the proxy it is known to accept TCP once the API server's dial must have failed otherwise",
        60,
    )
    ok(
        f"through the proxy it is known to accept TCP after {time.monotonic() - began:.0f} s: {(peer(s, old.name).get('error') or '')[:90]}"
    )
    old.server.resume()
    both(s, d, lambda x: well(w, x), "it is back as a voter", 90)
    ok(f"it goes on: {old.name} is a voter again, the leader stays {w.raft.active().name}")


def no_quorum(w, s, d):
    until(w.raft.calm, "autopilot is content", 40)
    followers = [n for n in w.raft.nodes if not n.is_active()]
    for n in followers:
        n.server.kill()
    both(
        s,
        d,
        lambda x: cluster(x).get("state") == "NO LEADER" and "quorum" in (cluster(x).get("verdict") or ""),
        "no quorum is told",
        120,
    )
    ok("two of three killed: " + cluster(d)["verdict"][:150])
    check(not s.row("gates", name="voters are healthy", answer="PASS"), "the gate does not pass")
    for n in followers:
        n.start()
        w.raft.unseal(n)
    both(s, d, lambda x: well(w, x), "all is well again", 90)
    ok("started and unsealed: all is well again")


def token(w, s, d):
    with open(w.raft.token) as f:
        good = f.read()
    write(w.raft.token, "s.nobody")
    both(s, d, lambda x: x.source("vault/vault")[0] == "DENIED", "a token that is not known is DENIED", 60)
    check(
        all(r["health"] == "OK" and r["seal"] == "UNSEALED" for r in s.rows("raft_peers")),
        "without a token health and seal are shown all the same",
    )
    write(w.raft.token, good)
    both(
        s,
        d,
        lambda x: x.source("vault/vault")[0] == "POLLED" and well(w, x),
        "with a good one in the file, all is known",
        60,
    )
    ok("a bad token is DENIED, a good one in its file is taken")
