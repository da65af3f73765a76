"""What the test's cluster holds: classes, claims, the two workloads of the plan, who may do what; and the plan and
kubeconfig."""

import json

from control_plane import PORT, TOKENS, VIEWERS
from program import path, reached, write

LUKS = {
    "csi.storage.k8s.io/node-stage-secret-name": "luks",
    "csi.storage.k8s.io/node-stage-secret-namespace": "kube-system",
}
CORE, APPS, BATCH, RBAC, STORAGE = (
    "/api/v1",
    "/apis/apps/v1",
    "/apis/batch/v1",
    "/apis/rbac.authorization.k8s.io/v1",
    "/apis/storage.k8s.io/v1",
)
READ = ["get", "list", "watch"]
NAMESPACED = [
    {
        "apiGroups": [""],
        "resources": ["persistentvolumeclaims", "pods", "pods/log", "events", "resourcequotas"],
        "verbs": READ,
    },
    {"apiGroups": [""], "resources": ["pods/proxy"], "verbs": ["get"]},
    {"apiGroups": ["apps"], "resources": ["deployments", "statefulsets"], "verbs": READ},
    {"apiGroups": ["batch"], "resources": ["jobs", "cronjobs"], "verbs": READ},
    {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": READ},
    {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": READ},
    {"apiGroups": ["policy"], "resources": ["poddisruptionbudgets"], "verbs": READ},
    {"apiGroups": ["autoscaling"], "resources": ["horizontalpodautoscalers"], "verbs": READ},
]
CLUSTERWIDE = [
    {"apiGroups": [""], "resources": ["persistentvolumes", "nodes", "namespaces"], "verbs": READ},
    {"apiGroups": ["storage.k8s.io"], "resources": ["storageclasses", "csinodes", "volumeattachments"], "verbs": READ},
]


def named(name, **more):
    return {"metadata": {"name": name, **more}}


def storage_class(name, provisioner, parameters, reclaim="Delete", binding="Immediate", **more):
    return {
        **named(name),
        "provisioner": provisioner,
        "parameters": parameters,
        "reclaimPolicy": reclaim,
        "volumeBindingMode": binding,
        "allowVolumeExpansion": True,
        **more,
    }


def claim(name, cls, size="1Gi", modes=("ReadWriteOnce",), **more):
    return {
        **named(name),
        "spec": {
            "storageClassName": cls,
            "accessModes": list(modes),
            "resources": {"requests": {"storage": size}},
            **more,
        },
    }


def pod_spec(image, claims=(), **more):
    return {
        "containers": [
            {"name": "main", "image": image, "volumeMounts": [{"name": c, "mountPath": "/" + c} for c in claims]}
        ],
        "volumes": [{"name": c, "persistentVolumeClaim": {"claimName": c}} for c in claims],
        **more,
    }


def deployment(name, image, claims=()):
    labels = {"app": name}
    return {
        **named(name, labels=labels),
        "spec": {
            "replicas": 1,
            "strategy": {"type": "Recreate"},
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod_spec(image, claims)},
        },
    }


def stateful_set():
    labels = {"app.kubernetes.io/name": "vault", "component": "server"}
    container = {
        "name": "vault",
        "image": "quay.io/openbao/openbao:2",
        "ports": [{"containerPort": 8200, "name": "http"}],
        "volumeMounts": [{"name": "data", "mountPath": "/vault/data"}, {"name": "audit", "mountPath": "/vault/audit"}],
    }
    template = {
        "metadata": {"labels": labels},
        "spec": {"terminationGracePeriodSeconds": 10, "containers": [container]},
    }
    return {
        **named("vault", labels=labels),
        "spec": {
            "serviceName": "vault-internal",
            "replicas": 3,
            "podManagementPolicy": "Parallel",
            "updateStrategy": {"type": "OnDelete"},
            "selector": {"matchLabels": labels},
            "template": template,
            "volumeClaimTemplates": [claim("data", "nfs-proxmox"), claim("audit", "nfs-proxmox")],
        },
    }


def static_volume(name, server, share, size, ns, claim_name):
    return {
        **named(name),
        "spec": {
            "capacity": {"storage": size},
            "accessModes": ["ReadWriteMany"],
            "persistentVolumeReclaimPolicy": "Retain",
            "storageClassName": "nfs-truenas",
            "nfs": {"server": server, "path": share},
            "claimRef": {"namespace": ns, "name": claim_name, "kind": "PersistentVolumeClaim", "apiVersion": "v1"},
        },
    }


def create(api):
    def put(where, *objects):
        for o in objects:
            api.must("POST", where, o)

    put(
        STORAGE + "/storageclasses",
        storage_class(
            "nfs-proxmox",
            "nfs.csi.k8s.io",
            {"server": "10.0.0.5", "share": "/export/k8s"},
            mountOptions=["nfsvers=4.1", "hard"],
        ),
        storage_class("nfs-truenas", "kubernetes.io/no-provisioner", {}, "Retain"),
        storage_class(
            "proxmox-lvm",
            "csi.proxmox.sinextra.dev",
            {"storage": "local-lvm", "csi.storage.k8s.io/fstype": "ext4"},
            "Retain",
            "WaitForFirstConsumer",
        ),
        storage_class(
            "proxmox-lvm-encrypted",
            "csi.proxmox.sinextra.dev",
            {"storage": "local-lvm", **LUKS},
            "Retain",
            "WaitForFirstConsumer",
        ),
    )
    put(
        STORAGE + "/csidrivers",
        {**named("nfs.csi.k8s.io"), "spec": {"attachRequired": False}},
        {**named("csi.proxmox.sinextra.dev"), "spec": {"attachRequired": True}},
    )
    put(CORE + "/namespaces", *(named(n) for n in ("vault", "immich", "media")))
    grant(put)
    ns = lambda group, name, kind: f"{group}/namespaces/{name}/{kind}"
    put(
        CORE + "/persistentvolumes",
        static_volume("vault-backup", "10.0.0.9", "/pool/vault", "5Gi", "vault", "vault-backup-host"),
    )
    # vault-2 has moved already: the set takes the claims that exist.
    put(
        ns(CORE, "vault", "persistentvolumeclaims"),
        claim("data-vault-2", "proxmox-lvm-encrypted"),
        claim("audit-vault-2", "proxmox-lvm-encrypted"),
        claim("vault-backup-host", "nfs-truenas", "5Gi", ["ReadWriteMany"], volumeName="vault-backup"),
    )
    put(
        ns(CORE, "immich", "persistentvolumeclaims"),
        claim("postgres-data", "nfs-proxmox", "10Gi"),
        claim("library", "nfs-proxmox", "200Gi", ["ReadWriteMany"]),
    )
    put(
        ns(CORE, "media", "persistentvolumeclaims"),
        claim("config", "proxmox-lvm", "2Gi"),
        claim("waiting", "proxmox-lvm"),
        claim("nowhere", "no-such-class"),
    )
    put(ns(APPS, "vault", "statefulsets"), stateful_set())
    put(
        ns(APPS, "immich", "deployments"),
        deployment("immich-postgresql", "tensorchord/pgvecto-rs:pg16", ["postgres-data"]),
        deployment("immich-server", "immich", ["library"]),
    )
    put(ns(APPS, "media", "deployments"), deployment("jellyfin", "jellyfin", ["config"]))
    put(
        ns("/apis/policy/v1", "vault", "poddisruptionbudgets"),
        {**named("vault"), "spec": {"maxUnavailable": 1, "selector": {"matchLabels": {"component": "server"}}}},
    )
    put(
        ns(CORE, "vault", "services"),
        {
            **named("vault-internal"),
            "spec": {
                "clusterIP": "None",
                "selector": {"component": "server"},
                "ports": [{"name": "http", "port": 8200}],
            },
        },
    )
    put(ns(CORE, "immich", "resourcequotas"), {**named("storage"), "spec": {"hard": {"requests.storage": "500Gi"}}})
    put(
        ns("/apis/autoscaling/v2", "immich", "horizontalpodautoscalers"),
        {
            **named("server"),
            "spec": {
                "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "immich-server"},
                "maxReplicas": 2,
            },
        },
    )
    put(
        ns("/apis/coordination.k8s.io/v1", "vault", "leases"),
        {**named("held"), "spec": {"holderIdentity": "somebody", "leaseDurationSeconds": 15}},
    )
    run_once = {"template": {"spec": pod_spec("backup", ["vault-backup-host"], restartPolicy="Never")}}
    put(
        ns(BATCH, "vault", "cronjobs"),
        {**named("vault-raft-backup"), "spec": {"schedule": "0 2 * * *", "jobTemplate": {"spec": run_once}}},
    )
    put(ns(BATCH, "vault", "jobs"), {**named("vault-raft-backup-now"), "spec": run_once})


def grant(put):
    """Viewers read everything that ferryman asks for and nothing else; the narrow user may do so in the plan's
    namespaces only."""
    put(
        RBAC + "/clusterroles",
        {**named("ferryman-viewer"), "rules": NAMESPACED + CLUSTERWIDE},
        {**named("ferryman-namespaced"), "rules": NAMESPACED},
    )
    role = lambda name: {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name}
    put(
        RBAC + "/clusterrolebindings",
        {
            **named("ferryman-viewers"),
            "roleRef": role("ferryman-viewer"),
            "subjects": [{"kind": "Group", "name": VIEWERS, "apiGroup": "rbac.authorization.k8s.io"}],
        },
    )
    for where in ("vault", "immich"):
        put(
            f"{RBAC}/namespaces/{where}/rolebindings",
            {
                **named("ferryman-narrow"),
                "roleRef": role("ferryman-namespaced"),
                "subjects": [{"kind": "User", "name": "narrow", "apiGroup": "rbac.authorization.k8s.io"}],
            },
        )


def settled(api):
    """Every pod that can run does, and the vault set's claims are bound."""

    def look():
        pods = api.get(CORE + "/pods")["items"]
        running = [p["metadata"]["name"] for p in pods if p["status"].get("phase") == "Running"]
        return len(running) >= 6 and {"vault-0", "vault-1", "vault-2"} <= set(running)

    reached(look, "the cluster's pods run", 40)


# ---- What the operator has -------------------------------------------------------------------------------------------


def kubeconfig(through_port):
    """An ordinary kubeconfig; the context "through" goes by a forwarder that the test can cut."""
    pki = path("pki")
    cluster = lambda port: {"server": f"https://127.0.0.1:{port}", "certificate-authority": "pki/ca.crt"}
    plugin = write(
        path("credential-plugin"),
        f"""#!/bin/sh
echo "asked" >>'{path("plugin-runs")}'
printf '%s' '{json.dumps({"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": {"token": TOKENS["plugin"]}})}'
""",
        0o700,
    )
    users = {
        "token": {"token": TOKENS["viewer"]},
        "certificate": {"client-certificate": pki + "/certified.crt", "client-key": "pki/certified.key"},
        "narrow": {"token": TOKENS["narrow"]},
        "late": {"tokenFile": path("late-token")},
        "plugin": {
            "exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": plugin, "interactiveMode": "Never"}
        },
    }
    contexts = [{"name": u, "context": {"cluster": "real", "user": u}} for u in users] + [
        {"name": "through", "context": {"cluster": "through", "user": "token"}}
    ]
    return write(
        path("kubeconfig"),
        json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "current-context": "token",
                "users": [{"name": n, "user": u} for n, u in users.items()],
                "clusters": [
                    {"name": "real", "cluster": cluster(PORT)},
                    {"name": "through", "cluster": cluster(through_port)},
                ],
                "contexts": contexts,
            }
        ),
    )


PLAN = """plan: real
context: token
cluster: {uid}
source: {{ storageClasses: [nfs-proxmox, nfs-truenas] }}
target: {{ storageClass: proxmox-lvm-encrypted, encrypted: required }}
remaining: [vault/vault-backup-host]
workloads:
  - name: immich-postgres
    kind: postgres-dump-restore
    namespace: immich
    deployment: immich-postgresql
    volume: postgres-data
    claim: {{ name: postgres-data-encrypted, size: 10Gi, apply: console }}
    postgres: {{ via: direct, conninfo: "host={pg_host} port={pg_port} dbname=immich user={pg_user}", password_file: "{pg_password}" }}
    dump: {{ strategy: dumpall, directory: dumps, encrypt: {{ none: true, reason: "a test" }} }}
    restart_for_preload: [pg_stat_statements]
    verify: {{ extensions: {{ drift: minor }}, rows: all }}
  - name: vault
    kind: raft-rolling
    namespace: vault
    statefulset: vault
    vault: {vault}
    template: {{ apply: console }}
    snapshot: {{ encrypt: {{ none: true, reason: "a test" }} }}
    window: {{ duration: 24h, sample: 10s, max_gap: 5m, fail_after: 30s }}
backups: {{ cronjobs: [vault/vault-raft-backup], clean_days: 7 }}
"""


def plans(api, raft, database):
    """Two plans, by how OpenBao is reached: through the API server's pod proxy, and directly."""
    common = {
        "uid": api.get(CORE + "/namespaces/kube-system")["metadata"]["uid"],
        "pg_host": database.ip,
        "pg_port": 5432,
        "pg_user": "watcher",
        "pg_password": path("pg-watcher"),
    }
    token = f'token: {{ file: "{raft.token}" }}'
    urls = ", ".join(f'{n.name}: "{n.url}"' for n in raft.nodes)
    proxied = f"{{ via: kube-proxy, port: 8200, scheme: http, {token} }}"
    direct = f"{{ via: direct, urls: {{ {urls} }}, {token} }}"
    return tuple(
        write(path(name), PLAN.format(vault=how, **common))
        for name, how in (("plan.yaml", proxied), ("plan-direct.yaml", direct))
    )
