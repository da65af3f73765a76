"""A database moved on a real control plane."""

import json
import subprocess

from ferry import *
from migrate_world import MigrateWorld


def lease_rules(w):
    """What lock.c rests on, as the real server enforces it."""
    where = "/apis/coordination.k8s.io/v1/namespaces/immich/leases"
    spec = {
        "holderIdentity": "a@b/1",
        "leaseDurationSeconds": 120,
        "renewTime": "2026-11-22T06:00:00.123000Z",
        "acquireTime": "2026-11-22T06:00:00.123000Z",
        "leaseTransitions": 0,
    }
    made = w.api.must("POST", where, {"metadata": {"name": "rules"}, "spec": spec})
    status, _ = w.api.call("POST", where, {"metadata": {"name": "rules"}, "spec": spec})
    check(status == 409, "a Lease that is there: 409")
    released = json.loads(json.dumps(made))
    released["spec"]["holderIdentity"] = ""
    status, doc = w.api.call("PUT", where + "/rules", released)
    check(status == 200 and not doc["spec"].get("holderIdentity"), f"released with an empty holderIdentity: {status}")
    status, _ = w.api.call("PUT", where + "/rules", released)
    check(status == 409, "a stale resourceVersion: 409")
    doc["spec"]["renewTime"] = "2026-11-22T06:00:00.123Z"
    status, _ = w.api.call("PUT", where + "/rules", doc)
    check(status == 400, "three fraction digits: 400")
    w.api.must("DELETE", where + "/rules")


def main():
    w = MigrateWorld()
    ok(f"servers: Kubernetes {w.kube.version()}, PostgreSQL {w.sql('SHOW server_version')} in a pod, up in {w.seconds:.0f} s")
    until(lambda: int(w.sql("SELECT count(*) FROM asset WHERE name = 'live'")) > 2, "the application writes")
    ok("the application writes over the Service")
    lease_rules(w)
    done()
