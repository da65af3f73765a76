#!/usr/bin/env python3
"""The sandbox's StatefulSet, its claims and their protection, held against the recordings s1 to s13 of a real control plane (doc of the
races in tests/wire/*/02-race-*): who ends on new claims, who on the old ones that terminate, and who waits for ever; orphans, kept
volumes that are bound again, retention policies."""
import base64
import http.client
import json
import os
import ssl
import sys

sys.path.insert(0, os.path.join(os.environ.get("top_srcdir", "."), "tests", "lib"))
from ferry import *

sandbox = Sandbox("--small-db")
config = open(sandbox.kubeconfig).read()
field = lambda name: [l.split(": ", 1)[1] for l in config.splitlines() if l.strip().startswith(name + ":")][0]
HOST, PORT = field("server").replace("https://", "").split(":")
TOKEN = field("token")
TLS = ssl.create_default_context(cadata=base64.b64decode(field("certificate-authority-data")).decode())
NS = "/api/v1/namespaces/vault"
SET = "/apis/apps/v1/namespaces/vault/statefulsets/vault"
CLAIMS = ("data-vault-1", "audit-vault-1")
ENCRYPTED = "proxmox-lvm-encrypted"
connection = http.client.HTTPSConnection(HOST, int(PORT), context=TLS, timeout=20)


def call(method, path, body=None, kind="application/json"):
    connection.request(method, path, json.dumps(body) if body is not None else None,
                       {"User-Agent": "test/1", "Content-Type": kind, "Authorization": "Bearer " + TOKEN})
    r = connection.getresponse()
    text = r.read()
    return r.status, json.loads(text) if r.getheader("Content-Type", "").startswith("application/json") else text


def get(path):
    code, doc = call("GET", path)
    return doc if code == 200 else None


def pod(n=1):
    return get(f"{NS}/pods/vault-{n}")


def claim(name):
    return get(f"{NS}/persistentvolumeclaims/{name}")


def uid(doc):
    return doc and doc["metadata"]["uid"]


def ready(n=1):
    p = pod(n)
    return bool(p and "deletionTimestamp" not in p["metadata"] and
                any(c["type"] == "Ready" and c["status"] == "True" for c in p["status"].get("conditions", [])))


def delete_claims(names=CLAIMS, strip=False):
    for name in names:
        call("DELETE", f"{NS}/persistentvolumeclaims/{name}")
        if strip:
            call("PATCH", f"{NS}/persistentvolumeclaims/{name}", {"metadata": {"finalizers": None}}, "application/merge-patch+json")


def delete_pod(grace=2, n=1):
    return call("DELETE", f"{NS}/pods/vault-{n}", {"gracePeriodSeconds": grace})


def started():
    """How things stand before a race: (uid of the pod, uids of its claims)."""
    until(lambda: all(ready(n) for n in range(3)) and all(claim(c) and "deletionTimestamp" not in claim(c)["metadata"] for c in CLAIMS),
          "three pods are ready on claims that stay", 60)
    return uid(pod()), [uid(claim(c)) for c in CLAIMS]


def gone(old):
    until(lambda: uid(pod()) != old, "the old pod is gone", 40)


def ends_new(old, claims, what):
    until(lambda: uid(pod()) not in (None, old) and ready(), f"{what}: a new pod is ready", 40)
    now = [uid(claim(c)) for c in CLAIMS]
    check(all(n and n != o for n, o in zip(now, claims)), f"{what}: NEW claims")
    check({claim(c)["spec"]["storageClassName"] for c in CLAIMS} == {ENCRYPTED}, f"{what}: of the new class")


def ends_old(old, claims, what):
    until(lambda: uid(pod()) not in (None, old) and ready(), f"{what}: a new pod is ready", 40)
    check([uid(claim(c)) for c in CLAIMS] == claims and all("deletionTimestamp" in claim(c)["metadata"] for c in CLAIMS),
          f"{what}: it runs on the OLD claims, which terminate")


def swap_template():
    """Orphan DELETE and POST of the set with the new class, as any tool does it."""
    doc = get(SET)
    pods = {n: uid(pod(n)) for n in range(3)}
    code, answer = call("DELETE", SET, {"propagationPolicy": "Orphan", "preconditions": {"uid": uid(doc)}})
    check(code == 200 and answer["metadata"]["finalizers"] == ["orphan"] and "deletionTimestamp" in answer["metadata"], "orphan DELETE: 200 with the finalizer")
    code, refused = call("POST", SET.rsplit("/", 1)[0], dict(doc, metadata={"name": "vault", "namespace": "vault"}))
    check(code == 409 and "object is being deleted" in refused["message"], "POST meanwhile: 409 AlreadyExists")
    until(lambda: get(SET) is None, "the set has gone")
    check(all(not pod(n)["metadata"].get("ownerReferences") for n in range(3)), "its pods have no owner")
    for t in doc["spec"]["volumeClaimTemplates"]:
        t["spec"]["storageClassName"] = ENCRYPTED
    meta = {k: v for k, v in doc["metadata"].items() if k in ("name", "namespace", "labels", "annotations")}
    code, new = call("POST", SET.rsplit("/", 1)[0], {"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": meta, "spec": doc["spec"]})
    check(code == 201, "the set comes again")
    until(lambda: all((pod(n)["metadata"].get("ownerReferences") or [{}])[0].get("uid") == uid(new) for n in range(3)), "the pods are adopted", 5)
    check({n: uid(pod(n)) for n in range(3)} == pods, "adopted, not restarted")
    wrong = call("DELETE", SET, {"propagationPolicy": "Orphan", "preconditions": {"uid": uid(doc)}})
    check(wrong[0] == 409 and uid(get(SET)) == uid(new), "a second DELETE with the old uid: 409, the new set stays")


# ---- The template; then what the volumes of a retired claim become

swap_template()
for n in range(3):
    for c in ("data", "audit"):
        volume = claim(f"{c}-vault-{n}")["spec"]["volumeName"]
        call("PATCH", f"/api/v1/persistentvolumes/{volume}", {"spec": {"persistentVolumeReclaimPolicy": "Retain"}}, "application/merge-patch+json")
kept = {c: get(f"/api/v1/persistentvolumes/{claim(c)['spec']['volumeName']}") for c in CLAIMS}

old, claims = started()
delete_claims()
check(all("deletionTimestamp" in claim(c)["metadata"] and claim(c)["status"]["phase"] == "Bound" for c in CLAIMS), "s1: claims in use terminate and stay")
delete_pod()
ends_new(old, claims, "s1, claims, then the pod")
events = [e["reason"] for e in get(f"{NS}/events")["items"] if e["involvedObject"]["kind"] == "StatefulSet"]
check("FailedCreate" in events, "s1: with FailedCreate meanwhile")
for c in CLAIMS:
    v = get(f"/api/v1/persistentvolumes/{kept[c]['metadata']['name']}")
    check(v and v["status"]["phase"] == "Released" and v["spec"]["claimRef"]["uid"] == kept[c]["spec"]["claimRef"]["uid"], f"s1: the old volume of {c} is Released and kept")

# ---- The kept volumes come back (s11): only while the set is orphaned

doc = get(SET)
call("DELETE", SET, {"propagationPolicy": "Orphan", "preconditions": {"uid": uid(doc)}})
until(lambda: get(SET) is None, "the set has gone")
old, claims = uid(pod()), [uid(claim(c)) for c in CLAIMS]
delete_claims()
delete_pod()
until(lambda: pod() is None and not any(claim(c) for c in CLAIMS), "s11: pod and claims are gone, nobody makes them anew", 40)
for c in CLAIMS:
    name = kept[c]["metadata"]["name"]
    call("PATCH", f"/api/v1/persistentvolumes/{name}", {"spec": {"claimRef": None}}, "application/merge-patch+json")
    until(lambda: get(f"/api/v1/persistentvolumes/{name}")["status"]["phase"] == "Available", "a volume without claimRef is available")
    code, _ = call("POST", f"{NS}/persistentvolumeclaims", {"metadata": {"name": c, "labels": {"app.kubernetes.io/name": "vault"}}, "spec": {
        "accessModes": ["ReadWriteOnce"], "storageClassName": kept[c]["spec"]["storageClassName"], "volumeName": name,
        "resources": {"requests": {"storage": "2Gi"}}}})
    check(code == 201, f"s11: {c} is posted with volumeName")
    until(lambda: claim(c)["status"]["phase"] == "Bound" and claim(c)["spec"]["volumeName"] == name, f"s11: {c} is bound to the kept volume")
meta = {k: v for k, v in doc["metadata"].items() if k in ("name", "namespace", "labels", "annotations")}
check(call("POST", SET.rsplit("/", 1)[0], {"metadata": meta, "spec": doc["spec"]})[0] == 201, "the set comes again")
mine = [uid(claim(c)) for c in CLAIMS]
until(ready, "s11: the pod is ready", 40)
check([uid(claim(c)) for c in CLAIMS] == mine, "s11: the pod runs on the kept volumes")

# ---- The other orders

old, claims = started()
delete_pod()
delete_claims()
ends_new(old, claims, "s2, the pod, at once the claims")

old, claims = started()
delete_pod()
gone(old)
until(lambda: (pod() or {}).get("spec", {}).get("nodeName"), "the new pod is scheduled", 10)
delete_claims()
ends_old(old, claims, "s3d, the pod, its claims 150 ms after it has gone")
old = uid(pod())
delete_pod()
ends_new(old, claims, "s3d, cured by one more DELETE of the pod")

old, claims = started()
delete_pod()
gone(old)
until(ready, "the new pod is ready", 40)
old = uid(pod())
delete_claims()
delete_pod()
ends_new(old, claims, "s4, cured")

old, claims = started()
delete_claims(strip=True)
check(not any(claim(c) for c in CLAIMS), "s7: stripped of their finalizer, claims go from under the pod")
check(ready() and uid(pod()) == old, "s7: the pod runs on")
before = time.monotonic()
until(lambda: time.monotonic() - before > 1.5 or any(claim(c) for c in CLAIMS), "…", 3)
check(not any(claim(c) for c in CLAIMS), "s7: nobody makes them anew")
delete_pod()
ends_new(old, claims, "s7, the next DELETE of the pod")

old, claims = started()
sandbox.kubectl("cordon", "worker-1", "worker-2", "worker-3")
delete_pod()
gone(old)
until(lambda: pod() is not None, "the new pod is there", 10)
check("nodeName" not in pod()["spec"], "s9: no node takes it")
delete_claims()
until(lambda: not any(claim(c) for c in CLAIMS), "s9: an unscheduled pod protects no claims", 5)
sandbox.kubectl("uncordon", "worker-1", "worker-2", "worker-3")
ends_new(old, claims, "s9, uncordoned")

old, claims = started()
delete_claims(("data-vault-1",))
delete_pod()
until(lambda: uid(pod()) not in (None, old) and ready(), "s12: a new pod is ready", 40)
check(uid(claim(CLAIMS[0])) != claims[0] and uid(claim(CLAIMS[1])) == claims[1], "s12: only the data claim: NEW data, OLD audit")

old, claims = started()
call("PATCH", SET + "/scale", {"spec": {"replicas": 0}}, "application/merge-patch+json")
until(lambda: not any(pod(n) for n in range(3)), "s10: scaled to 0", 60)
delete_claims()
until(lambda: not any(claim(c) for c in CLAIMS), "s10: the claims are gone")
call("PATCH", SET + "/scale", {"spec": {"replicas": 3}}, "application/merge-patch+json")
until(lambda: uid(pod()) not in (None, old), "s10: a new pod", 40)
until(lambda: all(claim(c) for c in CLAIMS) and {claim(c)["status"]["phase"] for c in CLAIMS} == {"Bound"}, "s10: new claims are bound", 20)
check(all(uid(claim(c)) != o for c, o in zip(CLAIMS, claims)), "s10: NEW claims")

# ---- Claims that go with their set

call("PATCH", SET, {"spec": {"persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Delete", "whenScaled": "Retain"}}}, "application/merge-patch+json")
until(lambda: all((claim(c)["metadata"].get("ownerReferences") or [{}])[0].get("kind") == "StatefulSet" for c in CLAIMS), "whenDeleted Delete: the claims are the set's", 10)
call("PATCH", SET, {"spec": {"persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Retain", "whenScaled": "Retain"}}}, "application/merge-patch+json")
until(lambda: not any(claim(c)["metadata"].get("ownerReferences") for c in CLAIMS), "whenDeleted Retain: they are nobody's again", 10)
ok("claims have their set as an owner while it is to take them along")
sandbox.stop()
done()
