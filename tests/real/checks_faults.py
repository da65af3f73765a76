"""What goes wrong with a real API server: killed, ended, forgetful, cut off, out of its store, too busy. Rows turn,
say why, and come back."""

import time

import objects
from checks_kube import CLAIMS, MEDIA, live, same
from control_plane import ETCD_PORT
from ferry import *
from program import listens

CUT_NOTICED_S = 45
FLOW = "/apis/flowcontrol.apiserver.k8s.io/v1"


def state(stream, key=CLAIMS):
    return stream.source(key)[0]


def both_live(w, s, d, what, seconds=90):
    for stream in (s, d):
        stream.wait(lambda: live(stream) and same(w, stream), what, seconds)


def run(w, s, d):
    killed(w, s, d)
    ended(w, s, d)
    forgetful(w, s, d)
    closed(w, s, d)
    silent(w, s, d)
    without_store(w, s, d)
    too_busy(w)


def new_claim(w, name):
    return w.kube.api.must("POST", MEDIA, objects.claim(name, "nfs-proxmox"))["metadata"]["uid"]


def shown(w, name, uid, *streams):
    """The controllers need their time after a restart, ferryman none after the controllers."""
    for stream in streams:
        stream.wait(lambda: stream.row("claims", _key=uid), f"claim {name}")
    until(
        lambda: w.kube.api.get(f"{MEDIA}/{name}")["status"]["phase"] == "Bound",
        f"the controllers bind claim {name}",
        90,
    )
    for stream in streams:
        stream.wait(lambda: stream.row("claims", _key=uid, phase="Bound"), f"claim {name} is bound", 10)


def killed(w, s, d):
    n = len(s.rows("claims"))
    w.kube.apiserver.kill()
    began = time.monotonic()
    for stream in (s, d):
        stream.wait(lambda: state(stream) in ("STALE", "DOWN"), "claims are DOWN when the API server is killed", 45)
    ok(
        f"API server killed: claims {state(s)} after {time.monotonic() - began:.1f} s: {(s.source(CLAIMS)[1] or '')[:100]}"
    )
    check(len(s.rows("claims")) == n, "the rows stay, with their age")
    check(
        state(d, "postgres/immich-postgres") == "POLLED" and (d.row("raft_clusters") or {}).get("state") == "OK",
        "PostgreSQL and the nodes that are reached directly go on",
    )
    s.wait(
        lambda: (s.row("raft_clusters") or {}).get("state") != "OK", "what is reached through it is not shown as well"
    )
    s.wait(
        lambda: not s.row("gates", name="no hostile claim on NFS", answer="PASS")
        and s.row("gates", name="no hostile claim on NFS", answer="NO DATA"),
        "gates have no data",
    )
    ok("raft through the proxy is not OK, gates have NO DATA")
    w.kube.start_apiserver()
    began = time.monotonic()
    both_live(w, s, d, "live again")
    ok(f"started: live again after {time.monotonic() - began:.1f} s")
    s.wait(lambda: (s.row("raft_clusters") or {}).get("state") == "OK", "and raft is OK", 60)


def ended(w, s, d):
    """A graceful end, as in an upgrade: HTTP/2 GOAWAY, watches ended."""
    w.kube.apiserver.stop(60)
    w.kube.start_apiserver()
    both_live(w, s, d, "live after an orderly restart")
    uid = new_claim(w, "after-restart")
    shown(w, "after-restart", uid, s, d)
    ok("an orderly restart: live, a new claim is followed")


def forgetful(w, s, d):
    """While we cannot reach it the world changes, etcd drops what was, the API server loses its memory: our
    resourceVersion is gone (410)."""
    gone = s.row("claims", name="after-restart")["_key"]
    w.forwarder.refuse()
    s.wait(lambda: state(s) in ("STALE", "DOWN"), "cut off", 45)
    w.kube.api.must("DELETE", MEDIA + "/after-restart")
    d.wait(lambda: not d.row("claims", _key=gone), "a claim ends meanwhile")
    uid = new_claim(w, "meanwhile")
    shown(w, "meanwhile", uid, d)
    check(s.row("claims", _key=gone), "who is cut off still shows the old one, and not as LIVE")
    w.kube.compact()
    w.kube.apiserver.kill()
    w.kube.start_apiserver()
    w.forwarder.restore()
    s.wait(lambda: live(s) and same(w, s), "listed anew after 410", 90)
    check(
        not s.row("claims", _key=gone) and s.row("claims", _key=uid),
        "compaction and restart (410): listed anew; what vanished meanwhile has vanished",
    )
    both_live(w, s, d, "both live")


def closed(w, s, d):
    w.forwarder.close_all()
    uid = new_claim(w, "after-close")
    s.wait(lambda: s.row("claims", _key=uid) and live(s), "live on a new connection", 60)
    ok("connections closed: live on new ones, nothing is missed")


def silent(w, s, d):
    """Packets vanish: nothing is closed, nobody says anything."""
    s.wait(lambda: live(s), "live")
    w.forwarder.drop()
    began = time.monotonic()
    uid = new_claim(w, "unseen")
    s.wait(
        lambda: state(s) in ("STALE", "DOWN") and state(s, "kube/pods") in ("STALE", "DOWN"),
        "a silent cut is noticed",
        CUT_NOTICED_S,
    )
    took = time.monotonic() - began
    check(
        took <= CUT_NOTICED_S,
        f"a connection cut silently is noticed after {took:.0f} s: {(s.source(CLAIMS)[1] or '')[:90]}",
    )
    s.wait(lambda: all(v in ("STALE", "DOWN") for v in s.sources("kube").values()), "every kind", 30)
    d.wait(lambda: live(d) and d.row("claims", _key=uid), "who is not behind the cut sees everything", 5)
    w.forwarder.restore()
    began = time.monotonic()
    s.wait(lambda: live(s) and s.row("claims", _key=uid), "live again after the cut", 90)
    ok(f"restored: live after {time.monotonic() - began:.0f} s, with what happened meanwhile")


def without_store(w, s, d):
    """etcd is killed: the API server answers 500s. A new ferryman says so; those that run go on when it is back."""
    w.kube.etcd.kill()
    new = Stream(w.args())
    new.wait(lambda: state(new) == "DOWN" and new.source(CLAIMS)[1], "a list fails", 90)
    ok("etcd killed: " + new.source(CLAIMS)[1][:140])
    w.kube.etcd.start().ready(lambda: listens("127.0.0.1", ETCD_PORT))
    until(lambda: w.kube.api.call("GET", "/readyz")[1] == "ok", "the API server is ready", 60)
    new.wait(lambda: live(new) and same(w, new), "live", 90)
    uid = new_claim(w, "after-etcd")
    shown(w, "after-etcd", uid, s, d, new)
    both_live(w, s, d, "all live")
    ok("etcd back: live, a new claim is followed by all")
    new.end_well()


def too_busy(w):
    """Priority and fairness lets one request of ours through at a time and rejects the others: 429 with Retry-After."""
    api = w.kube.api
    api.must(
        "POST",
        FLOW + "/prioritylevelconfigurations",
        {
            **objects.named("none"),
            "spec": {
                "type": "Limited",
                "limited": {
                    "nominalConcurrencyShares": 0,
                    "lendablePercent": 0,
                    "borrowingLimitPercent": 0,
                    "limitResponse": {"type": "Reject"},
                },
            },
        },
    )
    api.must(
        "POST",
        FLOW + "/flowschemas",
        {
            **objects.named("none"),
            "spec": {
                "matchingPrecedence": 2,
                "priorityLevelConfiguration": {"name": "none"},
                "rules": [
                    {
                        "subjects": [{"kind": "User", "user": {"name": "certified"}}],
                        "resourceRules": [
                            {
                                "verbs": ["*"],
                                "apiGroups": ["*"],
                                "resources": ["*"],
                                "clusterScope": True,
                                "namespaces": ["*"],
                            }
                        ],
                    }
                ],
            },
        },
    )
    until(
        lambda: any(
            c["type"] == "Dangling" and c["status"] == "False"
            for c in (api.get(FLOW + "/flowschemas/none")["status"].get("conditions") or [])
        ),
        "the API server has taken the rule",
        30,
    )
    b = Stream(w.args("certificate"))
    told = b.wait(lambda: [e for _, e in map(b.source, b.sources("kube")) if e and "429" in e], "429 is told", 30)
    ok(f"too busy for {len(told)} of {len(b.sources('kube'))} lists at once: {told[0][:110]}")
    b.wait(lambda: live(b) and same(w, b), "one after the other they get through", 90)
    api.must("DELETE", FLOW + "/flowschemas/none")
    ok("asked again after the time that the server named, all are live")
    b.end_well()
