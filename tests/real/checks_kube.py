"""Claims and everything else of Kubernetes: all of it, judged, followed, and who may see what."""

import json
import os
import subprocess
import time

import objects
from control_plane import PORT, TOKENS
from ferry import *
from objects import CORE
from program import path, write

CLAIMS = "kube/persistentvolumeclaims"
MEDIA = CORE + "/namespaces/media/persistentvolumeclaims"
HOW_JUDGED = {
    "vault/data-vault-0": ("HOSTILE", "NFS 10.0.0.5"),
    "vault/audit-vault-0": ("HOSTILE", "NFS 10.0.0.5"),
    "vault/data-vault-1": ("HOSTILE", "NFS 10.0.0.5"),
    "vault/audit-vault-1": ("HOSTILE", "NFS 10.0.0.5"),
    "vault/data-vault-2": ("MOVED", "LUKS declared"),
    "vault/audit-vault-2": ("MOVED", "LUKS declared"),
    "vault/vault-backup-host": ("FINE", "NFS 10.0.0.9"),
    "immich/postgres-data": ("HOSTILE", "NFS 10.0.0.5"),
    "immich/library": ("FINE", "NFS 10.0.0.5"),
    "media/config": ("FINE", "block plain"),
    "media/waiting": ("PENDING", None),
    "media/nowhere": ("PENDING", None),
}
CONNECTIONS_MAX = 4


def live(stream):
    states = stream.sources("kube")
    return len(states) > 15 and set(states.values()) == {"LIVE"}


TABLES = {
    "claims": "/api/v1/persistentvolumeclaims",
    "volumes": "/api/v1/persistentvolumes",
    "pods": "/api/v1/pods",
    "jobs": "/apis/batch/v1/jobs",
}


def uids(w, where):
    return {o["metadata"]["uid"] for o in w.kube.api.get(where)["items"]}


def same(w, stream):
    """Whether the stream has the server's objects, by uid, and no others."""
    return all(uids(w, where) == {r["_key"] for r in stream.rows(table)} for table, where in TABLES.items())


def run(w, s, d):
    for stream, how in ((s, "token, through the forwarder"), (d, "client certificate")):
        stream.wait(lambda: live(stream), f"every kind is LIVE ({how})", 30)
        stream.wait(lambda: same(w, stream), f"the same objects as the server's ({how})")
        ok(f"{how}: {len(stream.sources('kube'))} kinds LIVE, {len(stream.rows('claims'))} claims as on the server")
    judged(s, d)
    everything_else(w, s)
    who_we_are(w, s, d)
    followed(w, s, d)
    recreated(w, s, d)
    bound_late(w, s, d)
    connections(d)
    by_status(w)
    narrow(w)
    plugin(w)
    late_token(w)


def judged(s, d):
    for stream in (s, d):
        found = {f"{r['namespace']}/{r['name']}": (r["state"], r.get("storage")) for r in stream.rows("claims")}
        wrong = {
            k: found.get(k)
            for k, (state, storage) in HOW_JUDGED.items()
            if (found.get(k) or ("", ""))[0] != state or (storage and found[k][1] != storage)
        }
        check(not wrong, f"{len(HOW_JUDGED)} claims are judged as they should be {wrong or ''}")
    evidence = s.row("claims", name="data-vault-2")["evidence"]
    check("csi.proxmox.sinextra.dev" in evidence and "secret" in evidence, "with the evidence: " + evidence)
    classes = {r["name"]: (r["backend"], r["encryption"], r.get("role")) for r in s.rows("storage_classes")}
    check(
        classes
        == {
            "nfs-proxmox": ("nfs", "unknown", "source"),
            "nfs-truenas": ("unknown", "unknown", "source"),
            "proxmox-lvm": ("block", "plain", None),
            "proxmox-lvm-encrypted": ("block", "declared", "target"),
        },
        f"storage classes are judged: {classes}",
    )


def everything_else(w, s):
    for table, where in (
        ("volumes", "/api/v1/persistentvolumes"),
        ("pods", "/api/v1/pods"),
        ("nodes", "/api/v1/nodes"),
        ("jobs", "/apis/batch/v1/jobs"),
        ("attachments", "/apis/storage.k8s.io/v1/volumeattachments"),
    ):
        there = lambda: {o["metadata"]["uid"] for o in w.kube.api.get(where)["items"]}
        s.wait(lambda: there() and there() == {r["_key"] for r in s.rows(table)}, f"{table} are the server's")
        ok(f"{table}: {len(s.rows(table))}, as on the server")
    s.wait(
        lambda: {r["state"] for r in s.rows("workloads")} == {"OK"} and len(s.rows("workloads")) == 5,
        "all workloads are OK",
    )
    s.wait(lambda: s.row("attachments", state="ATTACHED"), "volumes are attached")
    s.wait(
        lambda: {r["kind"] for r in s.rows("budgets")}
        == {"PodDisruptionBudget", "ResourceQuota", "HorizontalPodAutoscaler"},
        "budgets of three kinds",
    )
    s.wait(lambda: s.row("leases", name="held", holder="somebody"), "a lease")
    s.wait(
        lambda: any("vault-0" in (r.get("ready") or "") for r in s.rows("endpoints", service="vault-internal")),
        "an endpoint slice names the set's pods",
    )
    s.wait(
        lambda: s.row("events", object="StatefulSet/vault", reason="SuccessfulCreate"), "events of the plan's objects"
    )
    s.wait(lambda: s.row("jobs", name="vault-raft-backup-now", state="COMPLETE"), "the job is complete")
    ok(
        "workloads, attachments, budgets, quotas, autoscalers, leases, endpoint slices, events and jobs as the real controllers write them"
    )


def who_we_are(w, s, d):
    uid = w.kube.api.get(CORE + "/namespaces/kube-system")["metadata"]["uid"]
    a, b = s.row("credentials", _key="kube"), d.row("credentials", _key="kube")
    check(
        (a["user"], a["method"], a["identity"]) == ("viewer", "token", uid),
        f"by token we are {a['user']}, {a['groups']}",
    )
    check(
        b["user"] == "certified" and "certificate" in b["method"], f"by certificate we are {b['user']}, {b['groups']}"
    )
    check(b.get("expires", 0) > d.now, "and know when the certificate ends")
    check(s.row("plan")["state"] == "OK", "the cluster is the one that the plan pins")


def both(s, d, condition, what, seconds=20):
    for stream in (s, d):
        stream.wait(lambda: condition(stream), what, seconds)


def followed(w, s, d):
    api = w.kube.api
    began = time.monotonic()
    uid = api.must("POST", MEDIA, objects.claim("fresh", "nfs-proxmox", "3Gi"))["metadata"]["uid"]
    s.wait(lambda: s.row("claims", _key=uid), "a new claim")
    appeared = time.monotonic() - began
    both(s, d, lambda x: x.row("claims", _key=uid, state="FINE", phase="Bound"), "it is bound")
    ok(
        f"a claim is created and bound: shown after {appeared * 1000:.0f} ms, bound after {(time.monotonic() - began) * 1000:.0f} ms"
    )
    pod = {**objects.named("user"), "spec": objects.pod_spec("shell", ["fresh"])}
    api.must("POST", CORE + "/namespaces/media/pods", pod)
    both(s, d, lambda x: "user" in (x.row("claims", _key=uid).get("used_by") or ""), "who uses it")
    ok("a pod mounts it: " + s.row("claims", _key=uid)["used_by"])
    api.must("DELETE", MEDIA + "/fresh")
    both(s, d, lambda x: x.row("claims", _key=uid, state="TERMINATING"), "deleted while it is mounted: TERMINATING")
    ok("deleted under the pod: TERMINATING")
    api.must("DELETE", CORE + "/namespaces/media/pods/user")
    both(
        s,
        d,
        lambda x: not x.row("claims", _key=uid) and not x.row("volumes", claim_uid=uid),
        "with the pod gone, claim and volume are gone",
    )
    ok("with the pod gone, the claim and its volume are gone")


def recreated(w, s, d):
    api = w.kube.api
    first = api.must("POST", MEDIA, objects.claim("again", "nfs-proxmox"))["metadata"]["uid"]
    both(s, d, lambda x: x.row("claims", _key=first), "the first")
    api.must("DELETE", MEDIA + "/again")
    until(lambda: not api.get(MEDIA + "/again"), "it is gone")
    second = api.must("POST", MEDIA, objects.claim("again", "nfs-proxmox"))["metadata"]["uid"]
    both(
        s,
        d,
        lambda x: x.row("claims", _key=second) and not x.row("claims", _key=first),
        "another claim of that name is another row",
    )
    ok("re-created under its name: another row, by uid")
    api.must("DELETE", MEDIA + "/again")


def bound_late(w, s, d):
    pod = {**objects.named("consumer"), "spec": objects.pod_spec("shell", ["waiting"])}
    w.kube.api.must("POST", CORE + "/namespaces/media/pods", pod)
    both(
        s,
        d,
        lambda x: x.row("claims", namespace="media", name="waiting", state="FINE", storage="block plain"),
        "bound when its first consumer is scheduled",
    )
    ok("a claim that waits for its consumer is bound with it")


def sockets(pid, port):
    out = subprocess.run(
        ["ss", "-Htnp", "state", "established", f"dport = :{port}"], capture_output=True, text=True, check=True
    ).stdout
    return sum(1 for line in out.splitlines() if f"pid={pid}," in line)


def connections(d):
    n = sockets(d.process.pid, PORT)
    check(
        1 <= n <= CONNECTIONS_MAX,
        f"{len(d.sources('kube'))} lists and watches over HTTP/2 need {n} TCP connection{'s' if n > 1 else ''} to the API server",
    )


def status(args, *more):
    r = subprocess.run([FERRYMAN, *args, "status", *more], capture_output=True, text=True, env=clean_env(), timeout=60)
    return r.returncode, r.stdout, r.stderr


def by_status(w):
    code, out, err = status(w.args(), "--json")
    doc = json.loads(out)
    check(code in (0, 1, 2) and doc["schema"] == 1, f"status --json ends with {code} and schema 1 {err}")
    there = {c["metadata"]["uid"] for c in w.kube.api.get("/api/v1/persistentvolumeclaims")["items"]}
    check(
        {c["key"] for c in doc["claims"]} == there and {c["freshness"] for c in doc["claims"]} == {"LIVE"},
        "its claims are the server's, LIVE",
    )
    check(
        len(doc["raft_peers"]) == 3 and len(doc["extensions"]) >= 7,
        "and the same snapshot has raft peers and extensions",
    )
    code, out, err = status(w.args())
    check("HOSTILE" in out and "vault-0" in out and "pg_trgm" in out, "status as text has claims, peers, extensions")


def narrow(w):
    """A user with rights in the plan's namespaces only."""
    n = Stream(w.args("narrow"))
    n.wait(lambda: n.source(CLAIMS)[0] == "DENIED", "the cluster-wide list of claims is DENIED")
    n.wait(
        lambda: n.source(CLAIMS + "@vault")[0] == "LIVE" and n.source(CLAIMS + "@immich")[0] == "LIVE",
        "the plan's namespaces are listed singly",
    )
    n.wait(
        lambda: {r["namespace"] for r in n.rows("claims")} == {"vault", "immich"} and len(n.rows("claims")) == 9,
        "their claims, and no others",
    )
    ok(
        "RBAC in two namespaces: the cluster is DENIED, the plan's claims are shown: "
        + (n.source(CLAIMS)[1] or "")[:90]
    )
    check(
        n.source("kube/nodes")[0] == "DENIED" and n.source("kube/persistentvolumes")[0] == "DENIED",
        "what has no namespace is DENIED",
    )
    n.wait(
        lambda: (n.row("raft_clusters") or {}).get("state") == "OK",
        "the raft cluster is seen through the pod proxy all the same",
    )
    uid = w.kube.api.must(
        "POST", CORE + "/namespaces/immich/persistentvolumeclaims", objects.claim("narrow", "nfs-proxmox")
    )["metadata"]["uid"]
    n.wait(lambda: n.row("claims", _key=uid, phase="Bound"), "a new claim there is followed")
    w.kube.api.must("DELETE", CORE + "/namespaces/immich/persistentvolumeclaims/narrow")
    n.wait(lambda: not n.row("claims", _key=uid), "and its end")
    ok("a claim there is followed from its creation to its end")
    n.end_well()


def plugin(w):
    p = Stream(w.args("plugin"))
    p.wait(lambda: live(p), "live by a credential plugin")
    who = p.row("credentials", _key="kube")
    check(
        who["user"] == "plugin" and "exec" in who["method"],
        f"a credential plugin gives the token: {who['user']} by {who['method']}",
    )
    with open(path("plugin-runs")) as f:
        check(len(f.readlines()) == 1, "and was asked once for all")
    p.end_well()


def late_token(w):
    """A token that the server does not take, until the file has a good one."""
    t = Stream(w.args("late"))
    t.wait(
        lambda: t.source(CLAIMS)[0] == "DOWN" and "401" in (t.source(CLAIMS)[1] or ""),
        "a token that is not taken is told",
    )
    check(
        t.row("credentials", _key="kube")["state"] in ("EXPIRED", "DENIED"),
        "the credential is not OK: " + t.source(CLAIMS)[1][:110],
    )
    began = time.monotonic()
    write(path("late-token"), TOKENS["late"])
    t.wait(lambda: live(t), "live with the new token", 90)
    ok(f"tokenFile is read again: live {time.monotonic() - began:.0f} s after the new token was written")
    t.wait(lambda: t.row("credentials", _key="kube")["state"] == "OK", "and the credential is OK")
    t.end_well()
