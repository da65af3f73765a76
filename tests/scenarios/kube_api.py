#!/usr/bin/env python3
"""The sandbox's Kubernetes API, held against what was recorded of a real one: lists and pages, watches and 410, refusals,
preconditions, binding, protection of claims, orphans and their adoption, and the faults that can be planted."""
import base64
import http.client
import json
import os
import ssl
import sys
import threading

sys.path.insert(0, os.path.join(os.environ.get("top_srcdir", "."), "tests", "lib"))
from ferry import *

sandbox = Sandbox("--small-db")
config = open(sandbox.kubeconfig).read()
field = lambda name: [l.split(": ", 1)[1] for l in config.splitlines() if l.strip().startswith(name + ":")][0]
HOST, PORT = field("server").replace("https://", "").split(":")
TOKEN = field("token")
TLS = ssl.create_default_context(cadata=base64.b64decode(field("certificate-authority-data")).decode())
CLAIMS = "/api/v1/namespaces/immich/persistentvolumeclaims"


def connect(context=TLS):
    return http.client.HTTPSConnection(HOST, int(PORT), context=context, timeout=20)


def call(method, path, body=None, kind="application/json", token=TOKEN, agent="test/1", **headers):
    c = connect()
    h = {"User-Agent": agent, "Content-Type": kind, **headers}
    if token:
        h["Authorization"] = "Bearer " + token
    c.request(method, path, json.dumps(body) if body is not None else None, h)
    r = c.getresponse()
    text = r.read()
    c.close()
    return r.status, json.loads(text) if r.getheader("Content-Type", "").startswith("application/json") else text


def get(path):
    code, doc = call("GET", path)
    if code != 200:
        fail(f"GET {path}: {code} {doc}")
    return doc


class Watch:
    def __init__(self, path):
        self.events, self.ended = [], False
        self.c = connect()
        self.c.request("GET", path, headers={"Authorization": "Bearer " + TOKEN, "User-Agent": "test/1"})
        self.r = self.c.getresponse()
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        try:
            for line in self.r:
                self.events.append(json.loads(line))
        except (OSError, ValueError, http.client.HTTPException):
            pass
        self.ended = True

    def types(self, name=None):
        return [e["type"] for e in self.events if name is None or e["object"]["metadata"].get("name") == name]


def claim(name, cls="nfs-proxmox"):
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name, "labels": {"app": "demo"}},
            "spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": cls, "resources": {"requests": {"storage": "1Gi"}}}}


# The seed.
items = get("/api/v1/persistentvolumeclaims")["items"]
gib = lambda o: int(o["spec"]["resources"]["requests"]["storage"].replace("Gi", ""))
nfs = [o for o in items if o["spec"]["storageClassName"].startswith("nfs")]
check((len(nfs), sum(map(gib, nfs))) == (47, 455), "47 claims on NFS with 455 GiB")
check(110 <= len(items) <= 130, "about 120 claims")
check("kind" not in items[0] and items[0]["metadata"]["managedFields"], "items carry no kind, but managedFields")

# Pages.
first = get("/api/v1/persistentvolumeclaims?limit=50")
check(len(first["items"]) == 50 and first["metadata"]["remainingItemCount"] == len(items) - 50, "a page and what remains")
created = call("POST", CLAIMS, claim("aaa-between-pages"))
check(created[0] == 201 and created[1]["kind"] == "PersistentVolumeClaim", "POST is 201 with the object")
names, page = [o["metadata"]["uid"] for o in first["items"]], first
while "continue" in page["metadata"]:
    page = get(f"/api/v1/persistentvolumeclaims?limit=50&continue={page['metadata']['continue']}")
    check(page["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"], "a page shows the first page's version")
    names += [o["metadata"]["uid"] for o in page["items"]]
check(names == [o["metadata"]["uid"] for o in items], "the pages together are the list as it was, without what came meanwhile")
check(call("GET", "/api/v1/persistentvolumeclaims?limit=2&continue=x&resourceVersion=5")[0] == 400, "continue with a version: 400")
check(call("GET", "/api/v1/persistentvolumeclaims?continue=bad")[0] == 400, "bad token: 400")
check(len(get("/api/v1/persistentvolumeclaims?limit=5&resourceVersion=0")["items"]) > 100, "resourceVersion=0 ignores limit")
check(call("GET", "/api/v1/persistentvolumeclaims?resourceVersion=99999999")[0] == 504, "a version of the future: 504")
check(call("GET", CLAIMS + "?fieldSelector=status.phase%3DBound")[0] == 400, "unknown field selector: 400")
check(len(get(CLAIMS + "?labelSelector=app%3Ddemo")["items"]) == 1, "label selector")

# Binding, watched.
rv = get(CLAIMS)["metadata"]["resourceVersion"]
w = Watch(f"{CLAIMS}?watch=true&resourceVersion={rv}&allowWatchBookmarks=true&timeoutSeconds=30")
call("POST", CLAIMS, claim("bound-soon"))
until(lambda: any(e["object"].get("status", {}).get("phase") == "Bound" for e in w.events), "the claim is bound")
check(w.types("bound-soon") == ["ADDED", "MODIFIED", "MODIFIED", "MODIFIED"], "ADDED, provisioner, volumeName, Bound")
code, doc = call("DELETE", CLAIMS + "/bound-soon")
check(code == 200 and doc["metadata"]["deletionTimestamp"], "DELETE answers with the object while the finalizer holds it")
until(lambda: "DELETED" in w.types("bound-soon"), "it goes")
last = [e["object"] for e in w.events if e["type"] == "DELETED"][0]["metadata"]
check(last["finalizers"] == ["kubernetes.io/pvc-protection"], "DELETED carries the last object with its finalizers")
call("POST", CLAIMS, claim("waits", "proxmox-lvm"))
reasons = lambda: [e["reason"] for e in get("/api/v1/namespaces/immich/events")["items"]]
until(lambda: "WaitForFirstConsumer" in reasons(), "a claim of a waiting class waits")
check(get(CLAIMS + "/waits")["status"]["phase"] == "Pending", "and is Pending")

# Refusals.
status = lambda r: (r[0], r[1].get("reason"))
check(status(call("POST", CLAIMS, claim("waits"))) == (409, "AlreadyExists"), "twice: 409 AlreadyExists")
check(status(call("POST", "/api/v1/namespaces/nope/persistentvolumeclaims", claim("x"))) == (404, "NotFound"), "no such namespace: 404")
check(get("/api/v1/namespaces/nope/persistentvolumeclaims")["items"] == [], "a list there: 200 and empty")
check(status(call("GET", CLAIMS + "/none")) == (404, "NotFound"), "absent: 404")
check(call("GET", "/apis/nope.example.com/v1/things") == (404, b"404 page not found\n"), "absent group: plain text")
check(status(call("POST", CLAIMS + "/waits", {})) == (405, "MethodNotAllowed"), "POST on a name: 405")
check(status(call("GET", CLAIMS, Accept="application/xml")) == (406, "NotAcceptable"), "unknown Accept: 406")
check(status(call("GET", CLAIMS, token="x")) == (401, "Unauthorized"), "wrong token: 401")
check(status(call("GET", CLAIMS, token=None)) == (403, "Forbidden"), "no token: 403")
check(status(call("DELETE", CLAIMS + "/waits", {"preconditions": {"uid": "0"}})) == (409, "Conflict"), "wrong uid: 409")
dry = call("POST", CLAIMS + "?dryRun=All", claim("dry"))
check(dry[0] == 201 and "resourceVersion" not in dry[1]["metadata"] and call("GET", CLAIMS + "/dry")[0] == 404, "dry run")
check(call("POST", CLAIMS + "?dryRun=yes", claim("dry"))[0] == 422, "dryRun=yes: 422")
frame = "/apis/apps/v1/namespaces/immich/deployments/immich-frame"
patch = lambda ops: call("PATCH", frame, ops, "application/json-patch+json")
check(patch([{"op": "test", "path": "/spec/replicas", "value": 9}])[0] == 422, "a failed test: 422")
check(patch({"op": "test"})[0] == 400, "a malformed patch: 400")
check(call("PATCH", frame, {}, "text/x")[0] == 415, "an unknown patch type: 415")
stale = {"metadata": {"resourceVersion": "1"}, "spec": {"replicas": 2}}
check(status(call("PATCH", frame, stale, "application/merge-patch+json")) == (409, "Conflict"), "a stale version: 409")
lease = {"metadata": {"name": "l"}, "spec": {"holderIdentity": "a", "renewTime": "2026-11-22T06:00:00Z"}}
check(call("POST", "/apis/coordination.k8s.io/v1/namespaces/vault/leases", lease)[0] == 400, "a Lease needs six digits")

# Scale.
call("PATCH", frame + "/scale", {"spec": {"replicas": 0}}, "application/merge-patch+json")
check(get(frame + "/scale")["spec"] == {}, "scaled to 0: zero is omitted")
until(lambda: not get("/api/v1/namespaces/immich/pods?labelSelector=app%3Dimmich-frame")["items"], "its pods go")
check("replicas" not in get(frame)["status"], "and the status has no replicas")

# The order that gives new claims: the claims, then their pod.
uid = lambda n: get("/api/v1/namespaces/vault/persistentvolumeclaims/" + n)["metadata"]["uid"]
sts, old = "/apis/apps/v1/namespaces/vault/statefulsets/vault", (uid("data-vault-1"), uid("audit-vault-1"))
for name in ("data-vault-1", "audit-vault-1"):
    call("DELETE", "/api/v1/namespaces/vault/persistentvolumeclaims/" + name)
check(uid("data-vault-1") == old[0], "a claim in use stays, terminating")
call("DELETE", "/api/v1/namespaces/vault/pods/vault-1")
ready = lambda: get(sts)["status"].get("readyReplicas") == 3
until(lambda: ready() and uid("data-vault-1") != old[0] and uid("audit-vault-1") != old[1], "vault-1 is back on new claims", 40)
ok("claims, then the pod: new claims")
check("FailedCreate" in [e["reason"] for e in get("/api/v1/namespaces/vault/events")["items"]], "with FailedCreate meanwhile")

# Templates of claims are immutable; orphans are adopted.
doc = get(sts)
doc["spec"]["volumeClaimTemplates"][0]["spec"]["storageClassName"] = "proxmox-lvm-encrypted"
check(status(call("PUT", sts, doc)) == (422, "Invalid"), "a changed claim template: 422")
pods = {p["metadata"]["name"]: p["metadata"]["uid"] for p in get("/api/v1/namespaces/vault/pods?labelSelector=component%3Dserver")["items"]}
code, gone = call("DELETE", sts, {"propagationPolicy": "Orphan", "preconditions": {"uid": doc["metadata"]["uid"]}})
check(code == 200 and gone["metadata"]["finalizers"] == ["orphan"], "orphan DELETE answers with the finalizer")
until(lambda: call("GET", sts)[0] == 404, "the set goes")
for key in ("uid", "resourceVersion", "creationTimestamp", "generation", "managedFields"):
    doc["metadata"].pop(key, None)
new = call("POST", sts.rsplit("/", 1)[0], doc)
check(new[0] == 201, "the set comes again")
after = lambda: get("/api/v1/namespaces/vault/pods?labelSelector=component%3Dserver")["items"]
until(lambda: all(p["metadata"].get("ownerReferences", [{}])[0].get("uid") == new[1]["metadata"]["uid"] for p in after()), "adopted")
check({p["metadata"]["name"]: p["metadata"]["uid"] for p in after()} == pods, "adopted without a restart")
until(lambda: get(sts)["status"].get("updatedReplicas") == 3, "and counted as up to date, on old claims or not")

# Faults.
rv = get(CLAIMS)["metadata"]["resourceVersion"]
w = Watch(f"{CLAIMS}?watch=true&resourceVersion={rv}")
sandbox.control("touch", "claim", "immich/immich-library")
until(lambda: w.types() == ["MODIFIED"], "a touched claim is seen")
sandbox.control("scenario", "watch-gone-410", "on")
until(lambda: w.ended, "the watch ends")
check(w.events[-1]["type"] == "ERROR" and w.events[-1]["object"]["code"] == 410, "with an ERROR event of code 410")
w = Watch(f"{CLAIMS}?watch=true&resourceVersion=1")
until(lambda: w.ended, "an old version ends at once")
check(w.r.status == 200 and w.events[0]["object"]["reason"] == "Expired", "a watch that is too old: HTTP 200, then Expired")
old_page = call("GET", f"/api/v1/persistentvolumeclaims?limit=50&continue={first['metadata']['continue']}")
check(status(old_page) == (410, "Expired") and old_page[1]["metadata"]["continue"], "an old token: 410 with a new one")
go_on = get(f"/api/v1/persistentvolumeclaims?continue={old_page[1]['metadata']['continue']}")
check(len(go_on["items"]) > 50, "which goes on with what is there now")
sandbox.control("scenario", "watch-gone-410", "off")
w = Watch(f"{CLAIMS}?watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true&timeoutSeconds=60")
until(lambda: "BOOKMARK" in w.types(), "initial events end with a bookmark")
check(w.events[-1]["object"]["metadata"]["annotations"]["k8s.io/initial-events-end"] == "true", "which says so")
sandbox.control("scenario", "quiet-watch", "on")
seen = len(w.events)
sandbox.control("touch", "claim", "immich/immich-library")
get(CLAIMS)
check(len(w.events) == seen and not w.ended, "a quiet watch is open and silent")
sandbox.control("scenario", "quiet-watch", "off")
until(lambda: len(w.events) > seen, "and catches up")
sandbox.control("scenario", "denied-cluster-list", "on")
check(status(call("GET", "/api/v1/persistentvolumeclaims")) == (403, "Forbidden"), "a list of all namespaces is denied")
check(len(get(CLAIMS)["items"]) > 0, "one of the plan's is not")
sandbox.control("scenario", "denied-cluster-list", "off")
sandbox.control("scenario", "api-longline", "on")
w = Watch(f"{CLAIMS}?watch=true&resourceVersion={get(CLAIMS)['metadata']['resourceVersion']}")
until(lambda: w.events and len(w.events[0]["object"]["metadata"]["annotations"].get("filler", "")) == 10 << 20, "10 MB of one line")
sandbox.control("scenario", "api-longline", "off")
sandbox.control("scenario", "api-down", "on")


def refused():
    try:
        call("GET", "/version")
    except OSError:
        return True
    return False


until(refused, "the API is down")
sandbox.control("scenario", "api-down", "off")
check(get("/version")["gitVersion"] == "v1.32.13", "and up again, on the same port")

# A client certificate is as good as the token; the end of our pipe is its end.
mine = ssl.create_default_context(cadata=base64.b64decode(field("certificate-authority-data")).decode())
mine.load_cert_chain(os.path.join(sandbox.dir, "pki", "admin.crt"), os.path.join(sandbox.dir, "pki", "admin.key"))
c = connect(mine)
c.request("GET", CLAIMS)
check(c.getresponse().status == 200, "a client certificate is accepted")
sandbox.process.stdin.close()
check(sandbox.process.wait(20) == 0, "it ends with the pipe, without a complaint")
log = open(os.path.join(sandbox.dir, "sandbox.stderr")).read()
check("ERROR" not in log and "Sanitizer" not in log, "and leaks nothing")
