#!/usr/bin/env python3
"""Scenarios on and off while ferryman watches: the rows turn to what is true, say why, and come back by themselves."""
import os
import sys

sys.path.insert(0, os.path.join(os.environ.get("top_srcdir", "."), "tests", "lib"))
from ferry import *

CLAIMS = "kube/persistentvolumeclaims"
sandbox = Sandbox("--small-db")
s = Stream(sandbox.args)
on = lambda name: sandbox.control("scenario", name, "on")
off = lambda name: sandbox.control("scenario", name, "off")
state = lambda key: s.source(key)[0]
error = lambda key: s.source(key)[1] or ""
kube_live = lambda: s.sources("kube") and set(s.sources("kube").values()) == {"LIVE"}
vault_well = lambda: (s.row("raft_clusters") or {}).get("state") == "OK"

s.wait(lambda: len(s.rows("claims")) >= 110 and kube_live(), "everything is live")
s.wait(vault_well, "the raft cluster is well")
s.wait(lambda: state("postgres/immich-postgres") == "POLLED", "PostgreSQL is polled")
claims = len(s.rows("claims"))

on("api-down")
s.wait(lambda: state(CLAIMS) in ("DOWN", "STALE"), "claims are DOWN when the API server is")
check(len(s.rows("claims")) == claims, "what was known of claims stays")
check(state("postgres/immich-postgres") == "POLLED", "PostgreSQL is not frozen by it")
s.wait(lambda: error(CLAIMS), "the error is told")
off("api-down")
s.wait(kube_live, "claims are live again", 60)
check(len(s.rows("claims")) == claims, "api-down: it comes back by itself, with the same claims")

lists = len([r for r in s.rows("timeline")])
on("watch-gone-410")
sandbox.control("touch", "claim", "vault/data-vault-0")
off("watch-gone-410")
s.wait(kube_live, "live after a 410", 60)
sandbox.kubectl("annotate", "--overwrite", "pvc", "-n", "vault", "data-vault-0", "test/seen=1")
ok("watch-gone-410: listed anew and live")

on("token-expired")
s.wait(lambda: state(CLAIMS) == "DOWN" or "401" in error(CLAIMS) or "nauthorized" in error(CLAIMS), "an expired token is told", 60)
ok("token-expired: " + error(CLAIMS)[:100])
off("token-expired")
s.wait(kube_live, "live again with a good token", 90)
ok("token-expired: live again")

on("leader-hung")
s.wait(lambda: any(r["name"] == "vault-2" and r["health"] in ("SILENT", "UNREACHABLE", "UNKNOWN") for r in s.rows("raft_peers")), "the hung leader is not shown as well", 40)
check(not s.row("raft_peers", name="vault-2", health="OK"), "leader-hung: vault-2 is not OK")
s.wait(lambda: (s.row("raft_clusters") or {}).get("state") == "STUCK" and "vault-2" in ((s.row("raft_clusters") or {}).get("verdict") or ""), "LEADER STUCK is told", 90)
ok("leader-hung: " + s.row("raft_clusters")["verdict"][:120])
check("force" in s.row("raft_clusters")["verdict"], "and warns against --force")
off("leader-hung")
s.wait(vault_well, "well again", 60)
ok("leader-hung: well again")

on("vault-sealed")
s.wait(lambda: s.row("raft_peers", seal="SEALED"), "a sealed node is shown")
s.wait(lambda: not vault_well(), "and the cluster is not OK")
off("vault-sealed")
s.wait(lambda: vault_well() and not s.row("raft_peers", seal="SEALED"), "unsealed again", 60)
ok("vault-sealed: shown and back")

on("pg-restart")
s.wait(lambda: state("postgres/immich-postgres") == "DOWN", "PostgreSQL is DOWN", 30)
off("pg-restart")
s.wait(lambda: state("postgres/immich-postgres") == "POLLED" and (s.row("pg_servers") or {}).get("state") == "OK", "PostgreSQL is back", 60)
ok("pg-restart: shown and back")

on("slow-api")
sandbox.kubectl("get", "--raw", "/version")
check(state("postgres/immich-postgres") == "POLLED", "slow-api: PostgreSQL does not wait for Kubernetes")
off("slow-api")
s.wait(kube_live, "live after a slow API", 60)
ok("slow-api: live")

on("alertmanager-down")
s.wait(lambda: set(s.sources("alerts").values()) == {"DOWN"}, "alerts are DOWN", 40)
s.wait(lambda: any(g["answer"] == "NO DATA" and "alert" in g["name"] for g in s.rows("gates")), "the alerts gate has no data")
off("alertmanager-down")
s.wait(lambda: set(s.sources("alerts").values()) == {"POLLED"}, "alerts are back", 60)
ok("alertmanager-down: unknown, not healthy")

on("app-down")
s.wait(lambda: any(r["state"] == "FAIL" for r in s.rows("probes")), "an application that answers 502 fails its probe", 60)
off("app-down")
s.wait(lambda: all(r["state"] == "OK" for r in s.rows("probes")), "and is OK again", 60)
ok("app-down: shown and back")
s.end_well()

# What may not be listed in the whole cluster is listed where the plan is, and the rest is DENIED.
on("denied-cluster-list")
d = Stream(sandbox.args)
d.wait(lambda: d.source(CLAIMS)[0] == "DENIED", "the cluster-wide list is DENIED")
d.wait(lambda: d.row("claims", namespace="vault", name="data-vault-0"), "the plan's namespaces are shown")
check({r["namespace"] for r in d.rows("claims")} <= {"vault", "immich"}, "and nothing else")
off("denied-cluster-list")
d.wait(lambda: len(d.rows("claims")) >= 110, "with the permission back, everything is shown", 120)
ok("denied-cluster-list: single namespaces, then all")
d.end_well()
done()
