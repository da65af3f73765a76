"""The servers of the groups "roll" and "whole": a control plane, a stand-in kubelet whose pods of the set `vault` really
run OpenBao, each on folders that stand for its claims, with an address of its own in a network namespace, unsealing
itself by a static key; and a client that writes all the while, so that what was acknowledged can be counted."""

import atexit
import base64
import json
import os
import shutil
import subprocess
import threading
import time

import objects
from control_plane import PORT, TOKENS, ControlPlane
from objects import APPS, CORE, RBAC, STORAGE, claim, named, storage_class
from program import folder, path, reached, write
from vaults import SERVICE, VaultKubelet

SET, NS, REPLICAS = "vault", "vault", 3
PODS = tuple(f"{SET}-{i}" for i in range(REPLICAS))
OLD, NEW = "nfs-proxmox", "proxmox-lvm-encrypted"
IMAGE = "quay.io/openbao/openbao:2.6.2"
CLAIMS = f"{CORE}/namespaces/{NS}/persistentvolumeclaims"
VOLUMES = f"{CORE}/persistentvolumes"
SETS = f"{APPS}/namespaces/{NS}/statefulsets"
LEASES = f"/apis/coordination.k8s.io/v1/namespaces/{NS}/leases"
SECRETS = f"{CORE}/namespaces/{NS}/secrets"
LOCK = "ferryman-vault"
MERGE = "application/merge-patch+json"

# What moving a raft cluster needs beside what a viewer may do (src/migrate/raft_access.c).
CLUSTER_RULES = [
    {"apiGroups": [""], "resources": ["persistentvolumes"], "verbs": ["patch", "delete"]},
]
RULES = [
    {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "create", "update"]},
    {"apiGroups": [""], "resources": ["configmaps", "services"], "verbs": ["list"]},
    {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["create", "update"]},
    {"apiGroups": [""], "resources": ["persistentvolumeclaims"], "verbs": ["create", "delete"]},
    {"apiGroups": [""], "resources": ["pods"], "verbs": ["create", "delete"]},
    {"apiGroups": [""], "resources": ["pods/proxy"], "verbs": ["create"]},
    {"apiGroups": ["apps"], "resources": ["statefulsets"], "verbs": ["create", "delete"]},
]

POLICY = "".join(
    f'path "{p}" {{ capabilities = [{", ".join(json.dumps(c) for c in caps)}] }}\n'
    for p, caps in (
        ("sys/ha-status", ["read"]),
        ("sys/storage/raft/configuration", ["read"]),
        ("sys/storage/raft/autopilot/state", ["read"]),
        ("sys/storage/raft/autopilot/configuration", ["read"]),
        ("sys/storage/raft/snapshot", ["read"]),
        ("sys/step-down", ["update", "sudo"]),
        ("sys/audit", ["read", "sudo"]),
    )
)

CONFIG = """
disable_mlock = true
listener "tcp" {{
  address = "0.0.0.0:8200"
  cluster_address = "0.0.0.0:8201"
  tls_disable = true
}}
storage "raft" {{
  path = "/vault/data"
  autopilot_reconcile_interval = "2s"
{joins}}}
seal "static" {{
  current_key_id = "real-1"
  current_key = "file:///vault/unseal/key"
}}
audit "file" "file" {{
  options {{
    file_path = "/vault/audit/audit.log"
  }}
}}
"""

PLAN = """plan: real
context: mover
cluster: {uid}
source: {{ storageClasses: [nfs-proxmox] }}
target: {{ storageClass: proxmox-lvm-encrypted, encrypted: required }}
workloads:
  - name: vault
    kind: raft-rolling
    namespace: vault
    statefulset: vault
    vault: {{ via: kube-proxy, port: 8200, scheme: http, token: {{ file: "{token}" }} }}
    template: {{ apply: console }}
    snapshot: {{ directory: "{snapshots}", encrypt: {encrypt} }}
    window: {{ duration: 90s, sample: 5s, max_gap: 60s, fail_after: 10s }}
    retain: 1d
"""


def stateful_set(policy="Parallel", stable=True, fs_group=True):
    labels = {"app.kubernetes.io/name": "vault", "app.kubernetes.io/instance": "vault", "component": "server"}
    field = lambda p: {"valueFrom": {"fieldRef": {"fieldPath": p}}}
    env = [
        {"name": "POD_IP", **field("status.podIP")},
        {"name": "HOSTNAME", **field("metadata.name")},
        {"name": "BAO_API_ADDR", "value": "http://$(POD_IP):8200"},
        {"name": "BAO_CLUSTER_ADDR", "value": f"https://$(HOSTNAME).{SERVICE}:8201"},
    ]
    if stable:
        env.append({"name": "BAO_RAFT_NODE_ID", **field("metadata.name")})
    mount = lambda n, p, **more: {"name": n, "mountPath": p, **more}
    container = {
        "name": "vault",
        "image": IMAGE,
        "args": ["server", "-config=/vault/config/vault.hcl"],
        "env": env,
        "ports": [{"containerPort": 8200, "name": "http"}, {"containerPort": 8201, "name": "internal"}],
        "readinessProbe": {"httpGet": {"path": "/v1/sys/health?standbyok=true", "port": 8200}},
        "volumeMounts": [
            mount("data", "/vault/data"),
            mount("audit", "/vault/audit"),
            mount("config", "/vault/config"),
            mount("unseal", "/vault/unseal", readOnly=True),
        ],
    }
    security = {"runAsNonRoot": True, "runAsUser": 100, "runAsGroup": 1000}
    if fs_group:
        security["fsGroup"] = 1000
    anti = {
        "podAntiAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": [
                {"labelSelector": {"matchLabels": labels}, "topologyKey": "kubernetes.io/hostname"}
            ]
        }
    }
    spec = {
        "terminationGracePeriodSeconds": 10,
        "affinity": anti,
        "securityContext": security,
        "containers": [container],
        "volumes": [
            {"name": "config", "configMap": {"name": "vault-config"}},
            {"name": "unseal", "secret": {"secretName": "vault-unseal"}},
        ],
    }
    return {
        **named(SET, labels=labels),
        "spec": {
            "serviceName": SERVICE,
            "replicas": REPLICAS,
            "podManagementPolicy": policy,
            "updateStrategy": {"type": "OnDelete"},
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": spec},
            "volumeClaimTemplates": [claim("data", OLD, "1Gi"), claim("audit", OLD, "1Gi")],
        },
    }


def create(api, policy, stable):
    def put(where, *many):
        for o in many:
            api.must("POST", where, o)

    put(
        STORAGE + "/storageclasses",
        storage_class(OLD, "nfs.csi.k8s.io", {"server": "10.0.0.5", "share": "/export/k8s"}),
        storage_class(
            NEW, "csi.proxmox.sinextra.dev", {"storage": "local-lvm", **objects.LUKS}, "Retain", "WaitForFirstConsumer"
        ),
    )
    put(
        STORAGE + "/csidrivers",
        {**named("nfs.csi.k8s.io"), "spec": {"attachRequired": False}},
        {**named("csi.proxmox.sinextra.dev"), "spec": {"attachRequired": True}},
    )
    put(CORE + "/namespaces", *(named(n) for n in (NS, "immich")))
    objects.grant(put)
    grant(put)
    encoded = lambda data: {"data": {k: base64.b64encode(v).decode() for k, v in data.items()}}
    put(CORE + "/namespaces/kube-system/secrets", {**named("luks"), **encoded({"passphrase": b"a passphrase"})})
    put(SECRETS, {**named("vault-unseal"), **encoded({"key": os.urandom(32)})})
    joins = "".join(f'  retry_join {{ leader_api_addr = "http://{p}.{SERVICE}:8200" }}\n' for p in PODS)
    put(
        f"{CORE}/namespaces/{NS}/configmaps",
        {**named("vault-config"), "data": {"vault.hcl": CONFIG.format(joins=joins)}},
    )
    put(
        f"{CORE}/namespaces/{NS}/services",
        {
            **named(SERVICE),
            "spec": {
                "clusterIP": "None",
                "publishNotReadyAddresses": True,
                "selector": {"component": "server"},
                "ports": [{"name": "http", "port": 8200}, {"name": "internal", "port": 8201}],
            },
        },
    )
    put(
        f"/apis/policy/v1/namespaces/{NS}/poddisruptionbudgets",
        {**named(SET), "spec": {"maxUnavailable": 1, "selector": {"matchLabels": {"component": "server"}}}},
    )
    put(SETS, stateful_set(policy, stable))


def grant(put):
    role = lambda name: {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name}
    user = {"kind": "User", "name": "mover", "apiGroup": "rbac.authorization.k8s.io"}
    put(
        RBAC + "/clusterroles",
        {**named("ferryman-mover"), "rules": RULES},
        {**named("ferryman-mover-cluster"), "rules": CLUSTER_RULES},
    )
    put(RBAC + "/clusterrolebindings", {**named("ferryman-mover"), "roleRef": role("ferryman-mover-cluster"), "subjects": [user]})
    put(
        f"{RBAC}/namespaces/{NS}/rolebindings",
        {**named("ferryman-mover"), "roleRef": role("ferryman-mover"), "subjects": [user]},
    )


class RollWorld:
    def __init__(self, policy="Parallel", stable=True):
        began = time.monotonic()
        if os.environ.get("FERRYMAN_REAL_LOGS"):
            atexit.register(self._save_logs)
        self.kube = ControlPlane(
            os.environ["FERRYMAN_REAL_KUBE"], os.environ.get("FERRYMAN_REAL_ETCD", "etcd"), {}, VaultKubelet
        )
        self.kube.start()
        self.api, self.kubelet = self.kube.api, self.kube.kubelet
        self.policy, self.stable = policy, stable
        create(self.api, policy, stable)
        self.initialise()
        self.write_files()
        self.seconds = time.monotonic() - began

    @staticmethod
    def _save_logs():
        shutil.copytree(path("log"), os.environ["FERRYMAN_REAL_LOGS"], dirs_exist_ok=True)
        if os.path.isdir(path("state")):
            to = os.path.join(os.environ["FERRYMAN_REAL_LOGS"], "state")
            shutil.copytree(path("state"), to, dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.sock"))

    # ---- The raft cluster

    def initialise(self):
        first = reached(lambda: self.kubelet.pod(PODS[0]), "vault-0 runs", 60)
        reached(lambda: first.call("GET", "sys/seal-status")[0] == 200, "vault-0 answers", 30)
        _, made = first.call("PUT", "sys/init", {"recovery_shares": 1, "recovery_threshold": 1}, timeout=30)
        self.root = made["root_token"]
        self.wait_active()
        reached(lambda: self.configure("1s"), "autopilot takes its configuration", 20)
        reached(lambda: self.voters() == REPLICAS, "three voters", 90)
        reached(lambda: self.configure("10s"), "autopilot takes its configuration", 20)
        self.ask("PUT", "sys/policies/acl/ferryman", {"policy": POLICY})
        self.ask("POST", "sys/mounts/kv", {"type": "kv"})
        _, made = self.ask("POST", "auth/token/create", {"policies": ["ferryman"], "ttl": "24h"})
        self.token = write(path("vault-token"), made["auth"]["client_token"])
        self.accessor = made["auth"]["accessor"]

    def node(self, name):
        return self.kubelet.pod(name)

    def is_active(self, name):
        c = self.node(name)
        try:
            return bool(c) and c.call("GET", "sys/leader", timeout=1)[1].get("is_self") is True
        except OSError:
            return False

    def active(self):
        return next((p for p in PODS if self.is_active(p)), None)

    def wait_active(self, but=None, seconds=90):
        return reached(
            lambda: next((p for p in PODS if p != but and self.is_active(p)), None), "a node is active", seconds
        )

    def ask(self, method, what, body=None, timeout=10):
        """Of the active node, as root."""
        name = self.wait_active()
        return self.node(name).call(method, what, body, self.root, timeout)

    def configure(self, calm):
        return (
            self.ask("POST", "sys/storage/raft/autopilot/configuration", {"server_stabilization_time": calm})[0] == 204
        )

    def servers(self):
        name = self.active()
        if not name:
            return []
        status, doc = self.node(name).call("GET", "sys/storage/raft/configuration", token=self.root)
        return doc["data"]["config"]["servers"] if status == 200 else []

    def voters(self):
        return sum(1 for s in self.servers() if s["voter"])

    def calm(self):
        name = self.active()
        if not name:
            return False
        status, doc = self.node(name).call("GET", "sys/storage/raft/autopilot/state", token=self.root)
        return status == 200 and doc["data"]["healthy"] and len(doc["data"]["servers"]) == REPLICAS

    def wait_calm(self, seconds=90):
        reached(self.calm, "autopilot is content", seconds)

    # ---- Kubernetes

    def set(self):
        return self.api.get(f"{SETS}/{SET}")

    def pod_object(self, name):
        return self.api.get(f"{CORE}/namespaces/{NS}/pods/{name}")

    def claims(self, pod):
        """Claims of a pod of the set: template → object (or None)."""
        return {t: self.api.get(f"{CLAIMS}/{t}-{pod}") for t in ("data", "audit")}

    def classes(self, pod):
        return {c["spec"]["storageClassName"] if c else None for c in self.claims(pod).values()}

    def lease(self):
        return self.api.get(f"{LEASES}/{LOCK}")

    def unlock(self):
        for where in (f"{LEASES}/{LOCK}", f"{SECRETS}/{LOCK}"):
            self.api.call("DELETE", where)

    # ---- The operator's

    def write_files(self):
        cluster = {"server": f"https://127.0.0.1:{PORT}", "certificate-authority": path("pki", "ca.crt")}
        self.kubeconfig = write(
            path("kubeconfig"),
            json.dumps(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "current-context": "mover",
                    "clusters": [{"name": "real", "cluster": cluster}],
                    "users": [{"name": "mover", "user": {"token": TOKENS["mover"]}}],
                    "contexts": [{"name": "mover", "context": {"cluster": "real", "user": "mover"}}],
                }
            ),
        )
        secret = write(path("passphrase"), "a passphrase of the operator\n")
        self.plan = write(
            path("plan.yaml"),
            PLAN.format(
                uid=self.api.get(CORE + "/namespaces/kube-system")["metadata"]["uid"],
                token=self.token,
                snapshots=folder("snapshots"),
                encrypt=f'{{ passphrase_file: "{secret}" }}',
            ),
        )
        os.chmod(path("snapshots"), 0o700)
        self.args = ["--plan", self.plan, "--kubeconfig", self.kubeconfig]

    def direct_args(self):
        """The same, but the nodes are asked directly, at the addresses that their pods have now."""
        with open(self.plan) as f:
            text = f.read()
        urls = ", ".join(f'{p}: "http://{self.node(p).ip}:8200"' for p in PODS)
        text = text.replace("via: kube-proxy, port: 8200, scheme: http", f"via: direct, urls: {{ {urls} }}")
        return ["--plan", write(path("plan-direct.yaml"), text), "--kubeconfig", self.kubeconfig]


class Writer:
    """A client of the cluster: it writes a number, again and again, to whoever is active; remembers what was
    acknowledged, and how long at most nothing was."""

    def __init__(self, w):
        self.w, self.acknowledged, self.gaps = w, 0, []
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _write(self, n):
        for name in PODS:
            c = self.w.node(name)
            try:
                if c and c.call("PUT", f"kv/{n}", {"n": n}, self.w.root, timeout=3)[0] == 204:
                    return True
            except OSError:
                pass
        return False

    def _run(self):
        last, n = time.monotonic(), 0
        while not self.ended.wait(0.3):
            if not self._write(n):
                continue
            now = time.monotonic()
            self.gaps.append((now - last, time.time()))
            last, n = now, n + 1
            self.acknowledged = n

    def worst(self, since=0.0):
        """The longest time without an acknowledged write, in seconds."""
        return max((g for g, at in self.gaps if at >= since), default=0.0)

    def stop(self):
        self.ended.set()
        self.thread.join(30)

    def lost(self):
        """What was acknowledged and is not there."""
        return [n for n in range(self.acknowledged) if self.w.ask("GET", f"kv/{n}")[0] != 200]
