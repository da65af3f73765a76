#!/usr/bin/env python3
"""The demo: the sandbox's cluster as the stream and `status` show it, and changes of the cluster that follow."""
import json
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.environ.get("top_srcdir", "."), "tests", "lib"))
from ferry import *

sandbox = Sandbox("--small-db")
s = Stream(sandbox.args)

# ---- what there is
s.wait(lambda: len(s.rows("claims")) >= 110, "about 120 claims")
kube_live = lambda: s.sources("kube") and set(s.sources("kube").values()) == {"LIVE"}
s.wait(kube_live, "every kind is listed")
s.wait(lambda: len([r for r in s.rows("claims") if r.get("backend") == "nfs"]) >= 47, "claims are judged by their volumes")
nfs = [r for r in s.rows("claims") if r.get("backend") == "nfs"]
check(len(nfs) == 47, f"47 claims rest on NFS ({len(nfs)})")
gib = sum(r.get("capacity", r.get("request", 0)) for r in nfs) / 2**30
check(round(gib) == 455, f"they hold 455 GiB ({gib:.0f})")
s.wait(lambda: {r["name"] for r in s.rows("claims", state="HOSTILE")} >= {f"{k}-vault-{i}" for k in ("data", "audit") for i in range(3)},
       "the six claims of vault are HOSTILE")
ok("the six claims of vault are HOSTILE")
check(any(r.get("encryption") == "declared" for r in s.rows("claims")), "claims on LUKS are declared encrypted")
s.wait(lambda: len(s.rows("raft_peers")) == 3 and s.row("raft_peers", role="LEADER"), "three raft peers and a leader")
check(s.row("raft_peers", role="LEADER")["name"] == "vault-2", "the leader is vault-2")
s.wait(lambda: (s.row("raft_clusters") or {}).get("voters") == 3, "three voters by the raft configuration")
ok("three voters")
s.wait(lambda: len(s.rows("extensions", database="immich")) >= 10, "ten extensions in immich")
vector = s.row("extensions", database="immich", name="vector")
check(vector["installed"] == "0.8.0" and vector["available"] == "0.8.1" and vector["state"] == "DRIFT", "vector 0.8.0 would become 0.8.1: DRIFT")
s.wait(lambda: s.row("alerts", state="WATCHDOG"), "the watchdog alert")
ok("alerts are shown, the watchdog is alive")
s.wait(lambda: s.rows("snapshots", kind="pool"), "the thin pool")
s.wait(lambda: s.rows("probes") and all(r["state"] == "OK" for r in s.rows("probes")), "the applications answer")
ok("thin pool and probes are shown")
s.wait(lambda: s.rows("gates"), "gates are answered")
check(all(r.get("reason") for r in s.rows("gates")), "every gate gives its reason")
for server in ("kube", "vault", "postgres", "alerts", "lvm", "http"):
    s.wait(lambda: s.sources(server) and set(s.sources(server).values()) <= {"LIVE", "POLLED"}, f"{server} is live")
ok("every source is live")
check(not any("passphrase" in json.dumps(r) for t in s.tables for r in s.rows(t)), "no secret's content is in the world")

# ---- what changes
claim = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "new-claim", "namespace": "immich"},
         "spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": "nfs-proxmox", "resources": {"requests": {"storage": "3Gi"}}}}
sandbox.kubectl("create", "--validate=false", "-f", "-", stdin=json.dumps(claim))
s.wait(lambda: s.row("claims", name="new-claim"), "a claim that was created is shown", 5)
s.wait(lambda: s.row("claims", name="new-claim", phase="Bound"), "it is bound", 10)
check(s.row("claims", name="new-claim")["backend"] == "nfs", "its volume says NFS")
sandbox.kubectl("delete", "--wait=false", "pvc", "-n", "immich", "new-claim")
s.wait(lambda: not s.row("claims", name="new-claim"), "a claim that was deleted is gone", 10)
ok("a claim is followed: created, bound, deleted")
sandbox.control("leader", "1")
s.wait(lambda: (s.row("raft_clusters") or {}).get("leader") == "vault-1", "the new leader is shown")
ok("a leader change is followed")

# ---- status
r = subprocess.run([FERRYMAN, *sandbox.args, "status", "--json"], capture_output=True, text=True, env=clean_env(), timeout=60)
status = json.loads(r.stdout)
check(status["schema"] == 1 and len(status["raft_peers"]) == 3, "status --json shows the same")
check(all("freshness" in row for t, rows in status.items() if isinstance(rows, list) for row in rows), "every row has its freshness")
check(r.returncode == 1, f"and exits 1, since a gate waits (was {r.returncode}) {r.stderr}")
r = subprocess.run([FERRYMAN, *sandbox.args, "status"], capture_output=True, text=True, env=clean_env(), timeout=60)
check("vault-1" in r.stdout and "HOSTILE" in r.stdout, "status as text shows peers and hostile claims")
s.end_well()
done()
