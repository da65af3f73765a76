#!/usr/bin/env python3
"""What can go wrong with single requests and what others do: faults, denials, quotas, foreign managers, and the record of changes."""
import json
import os
import ssl
import sys
import urllib.error
import urllib.request

sys.path.insert(0, os.path.join(os.environ.get("top_srcdir", "."), "tests", "lib"))
from ferry import *

s = Sandbox("--small-db")
text = open(s.kubeconfig).read()
SERVER, TOKEN = re.search(r"server: (\S+)", text).group(1), re.search(r"token: (\S+)", text).group(1)
CONTEXT = ssl._create_unverified_context()
CLAIMS, APPS = "/api/v1/namespaces/immich/persistentvolumeclaims", "/apis/apps/v1/namespaces/immich/deployments/"


def ask(method, path, body=None, kind="application/json", token=TOKEN):
    """(code, document), or (None, None) when the connection was closed."""
    request = urllib.request.Request(SERVER + path, method=method, data=None if body is None else json.dumps(body).encode(),
                                     headers={"Authorization": "Bearer " + token, "Content-Type": kind, "User-Agent": "ferryman/test"})
    try:
        with urllib.request.urlopen(request, context=CONTEXT, timeout=20) as r:
            return r.status, json.loads(r.read())
    except urllib.error.HTTPError as e:
        return e.code, json.loads(e.read())
    except OSError:
        return None, None


def scale(n, name="immich-frame"):
    return ask("PATCH", f"{APPS}{name}/scale", {"spec": {"replicas": n}}, "application/merge-patch+json")


def claim(name, size="10Gi"):
    return {"metadata": {"name": name}, "spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": "proxmox-lvm-encrypted",
                                                 "resources": {"requests": {"storage": size}}}}


for code in (403, 409, 422, 429, 500, 503):
    s.control("fault", "patch", "deployments/scale", str(code))
    check(scale(0)[0] == code, f"fault {code}: the next request gets it")
check(s.control("audit") == "", "a refused request changes nothing")
s.control("fault", "patch", "deployments/scale", "drop")
check(scale(0)[0] is None and s.control("audit") == "", "drop: closed, and nothing was done")
s.control("fault", "patch", "deployments/scale", "drop-after-commit")
check(scale(0)[0] is None, "drop-after-commit: closed")
check(s.control("audit") == "patch deployments/scale immich/immich-frame ferryman 1", "but it was done, and noted")
check(scale(0)[0] == 200 and s.control("audit").endswith(" 1"), "the same again changes nothing and is not counted")
s.control("scenario", "webhook-refuses-dry-run", "on")
code, body = ask("POST", CLAIMS + "?dryRun=All", claim("x"))
check(code == 400 and "does not support dry run" in body["message"], "webhook-refuses-dry-run: a dry run is refused")
check(ask("POST", CLAIMS, claim("x"))[0] == 201, "the request itself is not")
s.control("scenario", "webhook-refuses-dry-run", "off")
check(ask("POST", CLAIMS + "?dryRun=All", claim("y"))[0] == 201 and ask("GET", CLAIMS + "/y")[0] == 404, "a dry run answers 201 and makes nothing")
check(s.control("audit", "log").splitlines()[-1] == "create persistentvolumeclaims immich/x ferryman", "the record is in order")

s.control("scenario", "quota-exceeded", "on")
code, body = ask("POST", CLAIMS, claim("z"))
check(code == 403 and "exceeded quota: immich, requested: " in body["message"], "quota-exceeded: " + body["message"])
s.control("scenario", "quota-exceeded", "off")
code, body = ask("POST", CLAIMS, claim("z", "700Gi"))
check(code == 403 and "requested: requests.storage=700Gi" in body["message"] and "limited: requests.storage=600Gi" in body["message"], "too much storage: " + body["message"])
check(ask("POST", CLAIMS, claim("z"))[0] == 201, "within the quota it is created")

s.control("deny", "delete", "persistentvolumeclaims", "immich")
code, body = ask("DELETE", CLAIMS + "/z")
check(code == 403 and body["message"] == 'persistentvolumeclaims "z" is forbidden: User "sandbox-admin" cannot delete resource "persistentvolumeclaims" in API group "" in the namespace "immich"', "deny: 403 in the API's words")
review = {"spec": {"resourceAttributes": {"namespace": "immich", "verb": "delete", "group": "", "resource": "persistentvolumeclaims"}}}
check(ask("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", review)[1]["status"]["allowed"] is False, "the access review agrees")
s.control("deny", "clear")
check(ask("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", review)[1]["status"]["allowed"] is True, "and after it is given back, too")
viewer = re.search(r"token: (\S+)", open(os.path.join(s.dir, "kubeconfig-viewer")).read()).group(1)
check(ask("GET", CLAIMS, token=viewer)[0] == 200 and ask("GET", "/api/v1/namespaces/immich/secrets", token=viewer)[0] == 403, "kubeconfig-viewer reads, but no Secrets")
check(ask("DELETE", CLAIMS + "/z", token=viewer)[0] == 403, "and changes nothing")

uid = ask("GET", CLAIMS + "/z")[1]["metadata"]["uid"]
other = "00000000-0000-4000-8000-000000000000"
check(ask("DELETE", CLAIMS + "/z", {"preconditions": {"uid": other}})[0] == 409, "DELETE with another uid: 409")
check(ask("DELETE", CLAIMS + "/z?dryRun=All", {"preconditions": {"uid": uid}})[0] == 200 and ask("GET", CLAIMS + "/z")[0] == 200, "a dry DELETE deletes nothing")
check(ask("DELETE", CLAIMS + "/z", {"preconditions": {"uid": uid}})[0] == 200, "with its own: 200")

LEASES = "/apis/coordination.k8s.io/v1/namespaces/immich/leases"
lease = {"metadata": {"name": "held"}, "spec": {"holderIdentity": "a", "leaseDurationSeconds": 120, "renewTime": "2026-11-22T11:00:00.000000Z"}}
code, made = ask("POST", LEASES, lease)
check(code == 201 and ask("POST", LEASES, lease)[0] == 409, "a Lease is created once")
made["spec"]["renewTime"] = "2026-11-22T11:00:00Z"
check(ask("PUT", LEASES + "/held", made)[0] == 400, "a time without six digits is refused")
made["spec"]["renewTime"] = "2026-11-22T11:00:01.000000Z"
stale = json.loads(json.dumps(made))
check(ask("PUT", LEASES + "/held", made)[0] == 200 and ask("PUT", LEASES + "/held", stale)[0] == 409, "a PUT with an old resourceVersion: 409")
del stale["metadata"]["resourceVersion"]
check(ask("PUT", LEASES + "/held", stale)[0] == 422, "one without: 422")
s.control("lease", "steal", "immich/held", "mallory")
check(ask("GET", LEASES + "/held")[1]["spec"]["holderIdentity"] == "mallory", "lease steal: somebody else holds it")

system = lambda: s.kubectl("get", "namespace", "kube-system", "-o", "jsonpath={.metadata.uid}")
own = system()
s.control("scenario", "other-cluster", "on")
check(system() != own, "other-cluster: kube-system has another uid")
s.control("scenario", "other-cluster", "off")
check(system() == own, "and its own again")

s.control("scenario", "gitops", "on")
s.kubectl("scale", "-n", "immich", "deployment/immich-machine-learning", "--replicas=0")
replicas = lambda name: s.kubectl("get", "deployment", "-n", "immich", name, "-o", "jsonpath={.spec.replicas}")
until(lambda: replicas("immich-machine-learning") == "1", "gitops: replicas are set back")
managers = s.kubectl("get", "deployment", "-n", "immich", "immich-machine-learning", "--show-managed-fields", "-o", "jsonpath={.metadata.managedFields[*].manager}")
check("argocd-controller" in managers, "by argocd-controller, as managedFields say")
s.control("scenario", "gitops", "off")
s.control("scenario", "app-scaled-up", "on")
s.kubectl("scale", "-n", "immich", "deployment/immich-server", "--replicas=0")
until(lambda: replicas("immich-server") == "1", "app-scaled-up: somebody scales it up")
s.control("scenario", "app-scaled-up", "off")
s.control("patch", "claim", "immich/immich-frame", "none", "argocd-controller")
s.control("patch", "replicas", "immich/immich-frame", "3")
check(replicas("immich-frame") == "3", "patch replicas: at once")
s.control("scenario", "claim-pending", "on")
check(ask("POST", CLAIMS, claim("w"))[0] == 201, "claim-pending: the claim is created")
s.control("bind", "claim", "immich/w")
until(lambda: "ExternalProvisioning" in s.kubectl("get", "events", "-n", "immich"), "and waits for its provisioner")
s.control("scenario", "claim-pending", "off")
until(lambda: ask("GET", CLAIMS + "/w")[1]["status"]["phase"] == "Bound", "which comes back")
s.control("run", "cronjob", "immich/postgresql-backup")
until(lambda: s.kubectl("get", "jobs", "-n", "immich", "postgresql-backup-manual-1", "-o", "jsonpath={.status.succeeded}") == "1", "run cronjob: a Job succeeds")
ok("foreign managers and claims")
done()
