#!/usr/bin/env python3
"""What a move of Vault refuses before the first pod goes, each with the words that name the thing, the place and the remedy: in preflight
before anything is made, in the canary before anything of the set is touched. Then both do what they say, and leave nothing behind."""
import json
import os
import re
import shutil
import signal
import sys

sys.path.insert(0, os.path.join(os.environ.get("top_srcdir", "."), "tests", "lib"))
from ferry import *

home = tempfile.mkdtemp(prefix="ferryman-raft-guards-")
atexit.register(shutil.rmtree, home, True)
plan = os.path.join(home, "plan.yaml")
sandbox = Sandbox("--small-db")
JSON = ("-o", "json")
ALERTS = ("--override", "alerts=a test")


def write_plan(*changes):
    text = open(sandbox.plan).read()
    for old, new in changes:
        text, n = re.subn(old, new, text)
        if not n:
            fail(f"the plan has no {old}")
    with open(plan, "w") as f:
        f.write(text)


def command(phase, *more, kubeconfig=None):
    return [FERRYMAN, "--plan", plan, "--kubeconfig", kubeconfig or sandbox.kubeconfig, "run", f"vault/{phase}", "--arm", "home", "--confirm",
            f"{phase}=y", *more]


ENV = clean_env(XDG_STATE_HOME=os.path.join(home, "state"), XDG_RUNTIME_DIR=home)


def run(phase, *more, status=0, kubeconfig=None):
    r = subprocess.run(command(phase, *more, kubeconfig=kubeconfig), capture_output=True, text=True, timeout=180, env=ENV)
    said = r.stdout + r.stderr
    if "Sanitizer" in said:
        fail(f"{phase}:\n{said[-4000:]}")
    if (r.returncode == 0) != (status == 0):
        fail(f"{phase}: status {r.returncode}, {status} was expected\n{said[-3000:]}")
    return said


def refused(phase, words, what, *more, kubeconfig=None):
    """The phase stops, and its last line says all of these words."""
    last = run(phase, *more, status=1, kubeconfig=kubeconfig).strip().splitlines()[-1]
    missing = [w for w in words if w not in last]
    if missing:
        fail(f"{what}: {missing} is not in: {last}")
    ok(f"{what}: {last[last.find('FAILED'):][:150]}")


def with_scenario(name, phase, words, what, *more):
    sandbox.control("scenario", name, "on")
    refused(phase, words, what, *more)
    sandbox.control("scenario", name, "off")


def get(*words, ns="vault"):
    return json.loads(sandbox.kubectl("get", *words, "-n", ns, *JSON))


def apply(doc, *more):
    sandbox.kubectl("create", "-f", "-", *more, stdin=json.dumps(doc))


def vault_is_well():
    """Every pod of the set is ready, and the world sees it so."""
    def ready():
        return all(get("pod", f"vault-{i}")["status"]["containerStatuses"][0]["ready"] for i in range(3))
    until(ready, "all nodes are well", 60)


def notes():
    return subprocess.run([FERRYMAN, "--plan", plan, "--kubeconfig", sandbox.kubeconfig, "journal", "show"], capture_output=True, text=True, timeout=60,
                          env=ENV).stdout


def leftovers():
    """Whatever carries the canary's label, and volumes of its claims."""
    names = [o["metadata"]["name"] for kind in ("pods", "pvc") for o in get(kind, "-l", "ferryman.io/canary=vault")["items"]]
    volumes = json.loads(sandbox.kubectl("get", "pv", *JSON))["items"]
    return names + [v["metadata"]["name"] for v in volumes if "canary" in v["spec"].get("claimRef", {}).get("name", "")]


# ---- Preflight: identity and the plan

write_plan()
refused("preflight", ["1 firing: KubeJobFailed", "gate alerts"], "an alert fires")
write_plan((r"template: \{ apply: console \}", "template: { apply: external }"))
said = run("preflight", status=1)
check("the set is made anew by Helm" in said, "external: who makes the set anew is said")
check("cannot be applied while that is sealed" in notes(), "external: what that needs of this Vault, and how to go on by hand, is noted")
write_plan((r"statefulset: vault", "statefulset: nowhere"))
refused("preflight", ["StatefulSet/nowhere is not known in namespace vault"], "the plan names a set that is not there", *ALERTS)
write_plan((r"vault: \{ via", "vault: { cluster_id: 00000000-0000-0000-0000-000000000000, via"))
refused("preflight", ["another Vault answers there", "the plan pins 00000000"], "another Vault than the plan pins", *ALERTS)
write_plan()

# ---- The set

sandbox.kubectl("patch", "statefulset/vault", "-n", "vault", "--type=merge", "-p",
                '{"spec":{"persistentVolumeClaimRetentionPolicy":{"whenDeleted":"Delete","whenScaled":"Retain"}}}')
refused("preflight", ["whenDeleted of set vault is Delete", "Set whenDeleted to Retain first"], "claims that go with their set", *ALERTS)
sandbox.kubectl("patch", "statefulset/vault", "-n", "vault", "--type=merge", "-p",
                '{"spec":{"persistentVolumeClaimRetentionPolicy":{"whenDeleted":"Retain","whenScaled":"Retain"}}}')
with_scenario("fsgroup-missing", "preflight", ["the pod has no fsGroup", "harmless on NFS", "Set securityContext.fsGroup in the template"],
              "fsgroup-missing: not root on a block class without fsGroup", *ALERTS)
with_scenario("foreign-helm-upgrade", "preflight", ["runs hashicorp/vault:1.18.1 and would come back with hashicorp/vault:1.18.2", "gate image"],
              "foreign-helm-upgrade: the move would upgrade it on the way", *ALERTS)
apply({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "vault", "namespace": "vault"},
       "spec": {"minReplicas": 3, "maxReplicas": 5, "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "vault"}}})
refused("preflight", ["set vault is scaled by a HorizontalPodAutoscaler", "remove that first"], "an autoscaler of the set", *ALERTS)
sandbox.kubectl("delete", "hpa/vault", "-n", "vault")

# ---- The cluster

with_scenario("follower-lagging", "preflight", ["is level with the leader", "behind the leader"], "follower-lagging: a voter that is not level", *ALERTS)
with_scenario("vault-sealed", "preflight", ["2 of 3 pods of set vault are ready", "make it well first"], "a sealed voter", *ALERTS)
vault_is_well()
apply({"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "bootstrap", "namespace": "vault"},
       "spec": {"schedule": "0 0 1 1 *", "jobTemplate": {"spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [
           {"name": "init", "image": "hashicorp/vault:1.18.1", "command": ["sh", "-c", "vault status || vault operator init > /keys"]}]}}}}}})
refused("preflight", ["container init of cronjob/bootstrap calls 'operator init'", "second cluster", "Suspend it"],
        "somebody who would initialise a wiped node", *ALERTS)
sandbox.kubectl("delete", "cronjob/bootstrap", "-n", "vault")
config = get("configmap", "vault-config")
sandbox.kubectl("delete", "configmap/vault-config", "-n", "vault")
refused("preflight", ["no retry_join was found", "gate unseal"], "a configuration that lets no node join by itself", *ALERTS)
sandbox.control("scenario", "nowhere-to-land", "on")
refused("preflight", ["nowhere"], "with somebody's name typed for it, that is passed over (and the next thing met)", *ALERTS, "--override", "unseal=Anna, at once")
sandbox.control("scenario", "nowhere-to-land", "off")
config["metadata"] = {k: config["metadata"][k] for k in ("name", "namespace", "labels")}
apply(config)

# ---- Claims, nodes, quota

with_scenario("claim-mounted-by-another", "preflight", ["pod/audit-shipper (audit-vault-0)", "stays Terminating", "Stop or suspend it"],
              "claim-mounted-by-another: a stranger on a claim of the set", *ALERTS)
until(lambda: not sandbox.kubectl("get", "pod/audit-shipper", "-n", "vault", may_fail=True), "the stranger is gone")
with_scenario("nowhere-to-land", "preflight", ["vault-0: nowhere (worker-1 is cordoned", "uncordon a node"], "nowhere-to-land: no node for a pod", *ALERTS)
sandbox.kubectl("cordon", "worker-2")
refused("preflight", ["vault-1: nowhere (worker-1 has vault-0 (anti-affinity)", "worker-2 is cordoned"], "the only node that affinity leaves is cordoned",
        *ALERTS)
sandbox.kubectl("uncordon", "worker-2")
apply({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "tight", "namespace": "vault"}, "spec": {"hard": {"persistentvolumeclaims": "7"}}})
refused("preflight", ["exceeded quota", "raise the ResourceQuota of the namespace"], "no quota for new claims", *ALERTS)
sandbox.kubectl("delete", "resourcequota/tight", "-n", "vault")

# ---- Secrets, token, permissions

with_scenario("circle-in-secrets", "preflight",
              ["the node-stage secret of class proxmox-lvm-encrypted", "ClusterSecretStore home, vault at http://vault-active.vault.svc:8200: that is this very Vault",
               "Type that place as the reason (gate circle)"], "circle-in-secrets: the disks' passphrase comes out of this very Vault", *ALERTS)
passphrase = get("secret", "proxmox-csi-encryption", ns="csi-proxmox")
sandbox.kubectl("delete", "secret/proxmox-csi-encryption", "-n", "csi-proxmox")
refused("preflight", ["proxmox-csi-encryption) is not there", "no volume of the class could be unlocked"], "the class's Secret is gone", *ALERTS)
passphrase["metadata"] = {k: passphrase["metadata"][k] for k in ("name", "namespace", "labels", "annotations", "ownerReferences") if k in passphrase["metadata"]}
apply(passphrase, "--field-manager=external-secrets")
with_scenario("vault-token-expires-mid-window", "preflight", ["permission denied"], "a token that has expired", *ALERTS)
viewer = os.path.join(sandbox.dir, "kubeconfig-viewer")
said = run("preflight", *ALERTS, status=1, kubeconfig=viewer)
check("cannot" in said or "permission" in said or "forbidden" in said, "who may only look cannot even begin")

# ---- What is no obstacle is told

sandbox.control("scenario", "circle-in-secrets", "on")
sandbox.control("scenario", "ordered-ready", "on")
sandbox.control("vault", "version", "1.21.2")
said = run("preflight", *ALERTS, "--override", "circle=sealed envelope in the safe, row 3")
check("the offline copy: sealed envelope in the safe, row 3" in said, "with the place of the offline copy typed, it goes on")
check("podManagementPolicy is OrderedReady" in notes(), "ordered-ready is told")
check("this log is exposed" in said or "is past 18432" in said, "the removed-node hazard of this version is told, and whether the log is exposed")
check("renewed, ends in" in said, "the token was renewed once, on trial")
check("file/ /vault/audit/vault-audit.log on audit" in said, "where the audit log lies is known")
check("a node for each pod: vault-0: worker-1. vault-1: worker-2. vault-2: worker-3" in said, "each pod has a place to land")
for scenario in ("circle-in-secrets", "ordered-ready"):
    sandbox.control("scenario", scenario, "off")
check(not leftovers(), "preflight has left nothing in the cluster")

# ---- Canary

sandbox.control("scenario", "fsgroup-missing", "on")
refused("canary", ["/vault/data: ", "ermission denied", "set securityContext.fsGroup in the template"], "the canary meets what no manifest tells", *ALERTS)
sandbox.control("scenario", "fsgroup-missing", "off")
check(leftovers(), "what failed is there to be looked at")
with_scenario("audit-full", "canary", ["/vault/audit: ", "No space left", "look at the thin pool"], "audit-full: no room where audit logs go", *ALERTS)

child = subprocess.Popen(command("canary", *ALERTS), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=ENV)
for line in child.stdout:
    if "canary/pod DONE" in line:
        break
else:
    fail("the canary's pod was never made")
engines_killed = [p for p in engines(plan)]
for pid in {child.pid, *engines_killed}:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
child.wait(timeout=10)
uids = {o["metadata"]["uid"] for o in get("pvc", "-l", "ferryman.io/canary=vault")["items"]}
check(len(uids) == 2, "killed in the middle, its claims are there")
said = run("canary", *ALERTS)
check("written, synced and read back as user 100" in said, "gone on with, its log proves user and paths")
check(all(uid[:8] in said for uid in uids), "it went on with the claims that it had made")
check(not leftovers(), "nothing of the canary is left: pod, claims and volumes")
check(all(c["spec"]["storageClassName"] == "nfs-proxmox" for c in get("pvc", "-l", "app.kubernetes.io/name=vault")["items"] if "vault-" in c["metadata"]["name"][4:]
          and "backup" not in c["metadata"]["name"]), "the set's own claims were not touched")
sandbox.stop()
done()
