"""The servers of the group "migrate": a control plane, and pods that really are PostgreSQL servers and their
application. No OpenBao."""

import atexit
import base64
import json
import os
import shutil
import subprocess
import time

import objects
from control_plane import PORT, TOKENS, ControlPlane
from database import bindir
from objects import APPS, BATCH, CORE, RBAC, STORAGE, claim, named, storage_class
from pods import Forward, OUTSIDE, RealKubelet, own_address
from program import folder, path, reached, write

SERVICE = "10.96.0.50"
IMAGE = "ghcr.io/example/postgres:15"
PASSWORD = RealKubelet.app_password
# What moving a database needs beside what a viewer may do (src/migrate/access_postgres.c).
CLUSTER_RULES = [
    {"apiGroups": [""], "resources": ["persistentvolumes"], "verbs": ["patch", "delete"]},
]
RULES = [
    {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "create", "update"]},
    {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["create", "update"]},
    {"apiGroups": [""], "resources": ["persistentvolumeclaims"], "verbs": ["create", "patch", "delete"]},
    {"apiGroups": [""], "resources": ["pods"], "verbs": ["create", "delete"]},
    {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["create", "patch", "delete"]},
    {"apiGroups": ["batch"], "resources": ["cronjobs"], "verbs": ["patch"]},
]

PLAN = """plan: real
context: mover
cluster: {uid}
source: {{ storageClasses: [nfs-proxmox] }}
target: {{ storageClass: proxmox-lvm-encrypted, encrypted: required }}
workloads:
  - name: immich-postgres
    kind: postgres-dump-restore
    namespace: immich
    deployment: immich-postgresql
    volume: data
    claim: {{ name: postgres-data-encrypted, size: 10Gi, apply: console }}
    quiesce: [deployment/immich-server, cronjob/postgresql-backup]
    postgres: {{ via: direct, conninfo: "host={service} port=5432 dbname=immich user=immich", password_file: "{password}" }}
    dump: {{ strategy: dumpall, directory: "{dumps}", encrypt: {{ none: true, reason: "a test" }} }}
    restart_for_preload: [pg_stat_statements]
    verify: {{ extensions: {{ drift: minor }}, rows: all, login: {{ user: immich, secret: immich-secrets, key: password }} }}
    retain: 1d
"""


def postgres():
    labels = {"app": "immich-postgresql"}
    secret = {"secretKeyRef": {"name": "immich-secrets", "key": "password"}}
    container = {
        "name": "postgres",
        "image": IMAGE,
        "args": ["postgres", "-c", "shared_preload_libraries=pg_stat_statements"],
        "ports": [{"containerPort": 5432}],
        "env": [
            {"name": "POSTGRES_USER", "value": "immich"},
            {"name": "POSTGRES_DB", "value": "immich"},
            {"name": "POSTGRES_PASSWORD", "valueFrom": secret},
            {"name": "PGDATA", "value": "/var/lib/postgresql/data/pgdata"},
        ],
        "volumeMounts": [{"name": "data", "mountPath": "/var/lib/postgresql/data"}],
    }
    template = {
        "metadata": {"labels": labels},
        "spec": {
            "containers": [container],
            "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "postgres-data"}}],
        },
    }
    return {
        **named("immich-postgresql", labels=labels),
        "spec": {
            "replicas": 1,
            "strategy": {"type": "Recreate"},
            "selector": {"matchLabels": labels},
            "template": template,
        },
    }


def create(api):
    def put(where, *many):
        for o in many:
            api.must("POST", where, o)

    put(
        STORAGE + "/storageclasses",
        storage_class("nfs-proxmox", "nfs.csi.k8s.io", {"server": "10.0.0.5", "share": "/export/k8s"}),
        storage_class(
            "proxmox-lvm-encrypted",
            "csi.proxmox.sinextra.dev",
            {"storage": "local-lvm", **objects.LUKS},
            "Retain",
            "WaitForFirstConsumer",
        ),
    )
    put(
        STORAGE + "/csidrivers",
        {**named("nfs.csi.k8s.io"), "spec": {"attachRequired": False}},
        {**named("csi.proxmox.sinextra.dev"), "spec": {"attachRequired": True}},
    )
    put(CORE + "/namespaces", *(named(n) for n in ("vault", "immich")))
    objects.grant(put)
    grant(put)
    ns = "/namespaces/immich/"
    secret = {"data": {"password": base64.b64encode(PASSWORD.encode()).decode()}}
    put(CORE + ns + "secrets", {**named("immich-secrets"), **secret})
    put(CORE + ns + "persistentvolumeclaims", claim("postgres-data", "nfs-proxmox", "10Gi"))
    port = {"port": 5432}
    put(
        CORE + ns + "services",
        {**named("immich-postgresql"), "spec": {"selector": {"app": "immich-postgresql"}, "ports": [port]}},
    )
    put(APPS + ns + "deployments", postgres(), objects.deployment("immich-server", "immich-app"))
    backup = {"template": {"spec": objects.pod_spec("backup", restartPolicy="Never")}}
    put(
        BATCH + ns + "cronjobs",
        {**named("postgresql-backup"), "spec": {"schedule": "30 1 * * *", "jobTemplate": {"spec": backup}}},
    )


def grant(put):
    """The mover may do what a viewer may, and what moving a database takes; in its namespace, where it can be said so."""
    role = lambda name: {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name}
    user = {"kind": "User", "name": "mover", "apiGroup": "rbac.authorization.k8s.io"}
    put(
        RBAC + "/clusterroles",
        {**named("ferryman-mover"), "rules": RULES},
        {**named("ferryman-mover-cluster"), "rules": CLUSTER_RULES},
    )
    put(RBAC + "/clusterrolebindings", {**named("ferryman-mover"), "roleRef": role("ferryman-mover-cluster"), "subjects": [user]})
    put(
        RBAC + "/namespaces/immich/rolebindings",
        {**named("ferryman-mover"), "roleRef": role("ferryman-mover"), "subjects": [user]},
    )


class MigrateWorld:
    def __init__(self):
        began = time.monotonic()
        if os.environ.get("FERRYMAN_REAL_LOGS"):
            atexit.register(lambda: shutil.copytree(path("log"), os.environ["FERRYMAN_REAL_LOGS"], dirs_exist_ok=True))
        own_address(SERVICE)
        self.kube = ControlPlane(
            os.environ["FERRYMAN_REAL_KUBE"], os.environ.get("FERRYMAN_REAL_ETCD", "etcd"), {}, RealKubelet
        )
        self.kube.start()
        self.api, self.kubelet = self.kube.api, self.kube.kubelet
        create(self.api)
        self.service = Forward(SERVICE, 5432, lambda: self.kubelet.endpoint("immich", "immich-postgresql"), OUTSIDE)
        reached(lambda: self.kubelet.endpoint("immich", "immich-postgresql"), "the database serves", 60)
        self.seed()
        self.write_files()
        self.seconds = time.monotonic() - began

    def write_files(self):
        write(path("pg-password"), PASSWORD)
        self.kubeconfig = write(
            path("kubeconfig"),
            json.dumps(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "current-context": "mover",
                    "clusters": [
                        {
                            "name": "real",
                            "cluster": {
                                "server": f"https://127.0.0.1:{PORT}",
                                "certificate-authority": path("pki", "ca.crt"),
                            },
                        }
                    ],
                    "users": [{"name": "mover", "user": {"token": TOKENS["mover"]}}],
                    "contexts": [{"name": "mover", "context": {"cluster": "real", "user": "mover"}}],
                }
            ),
        )
        self.plan = write(
            path("plan.yaml"),
            PLAN.format(
                uid=self.api.get(CORE + "/namespaces/kube-system")["metadata"]["uid"],
                service=SERVICE,
                password=path("pg-password"),
                dumps=folder("dumps"),
            ),
        )
        os.chmod(path("dumps"), 0o700)
        self.args = ["--plan", self.plan, "--kubeconfig", self.kubeconfig]

    def sql(self, text, database="immich"):
        r = subprocess.run(
            [os.path.join(bindir(), "psql"), "-XAtq", "-v", "ON_ERROR_STOP=1", "-h", SERVICE, "-U", "immich", "-d", database],
            input=text,
            env=dict(os.environ, PGPASSWORD=PASSWORD),
            capture_output=True,
            text=True,
            timeout=60,
        )
        if r.returncode:
            raise RuntimeError(r.stderr)
        return r.stdout.strip()

    def seed(self):
        self.sql(
            "CREATE EXTENSION pg_trgm; CREATE EXTENSION citext; CREATE EXTENSION hstore; CREATE EXTENSION pg_stat_statements;"
            "CREATE TABLE asset (id bigserial PRIMARY KEY, name citext NOT NULL, at timestamptz DEFAULT now());"
            "INSERT INTO asset (name) SELECT md5(g::text) FROM generate_series(1, 20000) g;"
            "CREATE INDEX asset_name ON asset USING gin ((name::text) gin_trgm_ops);"
            "CREATE ROLE reader LOGIN PASSWORD 'look'; GRANT SELECT ON asset TO reader;"
            "CREATE DATABASE keeper OWNER reader; ALTER DATABASE immich SET statement_timeout = '1h'"
        )
        self.sql("CREATE TABLE note (t text); INSERT INTO note VALUES ('kept')", "keeper")

    def deployment(self, name="immich-postgresql"):
        return self.api.get(f"{APPS}/namespaces/immich/deployments/{name}")

    def claim_in_use(self):
        return self.deployment()["spec"]["template"]["spec"]["volumes"][0]["persistentVolumeClaim"]["claimName"]

    def lease(self):
        return self.api.get("/apis/coordination.k8s.io/v1/namespaces/immich/leases/ferryman-immich-postgres")

    def recovery(self):
        return self.api.get(CORE + "/namespaces/immich/secrets/ferryman-immich-postgres")

    def volume_of(self, name):
        c = self.api.get(f"{CORE}/namespaces/immich/persistentvolumeclaims/{name}")
        return self.api.get(f"{CORE}/persistentvolumes/{c['spec']['volumeName']}")

    def journal_id(self):
        with open(path("state", "ferryman", "real", "journal.jsonl")) as f:
            return json.loads(f.readline())["id"]
