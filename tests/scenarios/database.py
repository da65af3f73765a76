#!/usr/bin/env python3
"""The sandbox's PostgreSQL as a cluster has it: pods with addresses of their own, a Service in front, clients with owners, first boots
as the image does them, logs that can be followed."""
import json
import os
import subprocess
import sys
import urllib.error
import urllib.request

sys.path.insert(0, os.path.join(os.environ.get("top_srcdir", "."), "tests", "lib"))
from ferry import *

s = Sandbox("--small-db")
SERVED = "SELECT host(inet_server_addr())"
CLAIM = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "scratch", "namespace": "immich"},
         "spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": "proxmox-lvm-encrypted", "resources": {"requests": {"storage": "10Gi"}}}}


def ip(pod):
    return pod["status"].get("podIP") if pod else None


def ready(name):
    out = s.kubectl("get", "pod", "-n", "immich", name, "-o", "json", may_fail=True)
    pod = json.loads(out) if out else None
    up = pod and any(c["type"] == "Ready" and c["status"] == "True" for c in pod["status"].get("conditions", []))
    return pod if up else None


def about():
    url = re.search(r'url: "(http://[^"]*/about)"', open(s.plan).read()).group(1)
    try:
        return urllib.request.urlopen(url, timeout=10).status
    except urllib.error.HTTPError as e:
        return e.code


first = s.pod()
check(ip(first).startswith("127.") and ip(first) != "127.0.0.1", f"the database pod has an address of its own ({ip(first)})")
check(s.psql(SERVED) == ip(first), "the Service leads to it, and the server says so")
app = s.pod("immich-server")
until(lambda: s.psql(f"SELECT count(*) FROM pg_stat_activity WHERE client_addr = '{ip(app)}'") == "2", "immich-server holds two sessions from its own address")
ok("the application's sessions come from its pod's address")
until(lambda: about() == 200, "the application answers")
s.psql(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE client_addr = '{ip(app)}'")
until(lambda: s.psql(f"SELECT count(*) FROM pg_stat_activity WHERE client_addr = '{ip(app)}'") == "2", "and connects again when they are ended")
ok("ended sessions come back")

# A pod beside the deployment, under other labels.
s.kubectl("create", "-f", "-", stdin=json.dumps(CLAIM))
check(json.loads(s.kubectl("get", "pvc", "-n", "immich", "scratch", "-o", "json"))["status"]["phase"] == "Pending", "a claim waits for its first consumer")
spec = json.loads(json.dumps(first["spec"]))
spec.pop("nodeName")
spec["volumes"][0]["persistentVolumeClaim"]["claimName"] = "scratch"
s.kubectl("create", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "beside", "namespace": "immich", "labels": {"app": "beside"}}, "spec": spec}))
beside = until(lambda: ready("beside"), "the pod beside it is ready", 30)
check(s.psql(SERVED) == ip(first), "the Service still leads to the deployment's pod")
check(s.psql(SERVED, host=ip(beside)) == ip(beside), "the pod beside it serves on its own address")
check(s.psql("SELECT count(*) FROM pg_class WHERE relname = 'assets'", host=ip(beside)) == "0", "its database is new and empty")
check(s.psql("SELECT string_agg(rolname, ',') FROM pg_roles WHERE rolcanlogin", host=ip(beside)) == "immich", "its only role is the one that its environment names")
check(s.psql("SELECT system_identifier FROM pg_control_system()") != s.psql("SELECT system_identifier FROM pg_control_system()", host=ip(beside)), "the two have different identifiers")
log = s.kubectl("logs", "-n", "immich", "beside")
boot, served = log.index("PostgreSQL init process complete"), log.index("listening on IPv4 address")
check(log.index("database system is ready to accept connections") < boot < served, "the temporary server of the first boot was on the unix socket alone")
folders = [os.path.join(d, name) for d, names, _ in os.walk(os.path.realpath(os.path.join(s.dir, "volumes"))) for name in names if name == "lost+found"]
check(len(folders) == 1, "the new block volume has lost+found, NFS has none")

# port-forward finds pods, too.
forward = subprocess.Popen([os.path.join(s.dir, "bin", "kubectl"), "port-forward", "-n", "immich", "pod/beside", ":5432"], stdout=subprocess.PIPE, text=True)
port = re.search(r":(\d+) ->", forward.stdout.readline()).group(1)
check(s.psql(SERVED, port=port) == ip(beside), "port-forward leads to the pod that was named")
forward.terminate()
forward.wait(10)
s.kubectl("delete", "pod", "-n", "immich", "beside", "--wait=true")

# Its end: the log is followed to the last line; the Service refuses.
follow = subprocess.Popen(["kubectl", "--kubeconfig", s.kubeconfig, "logs", "-n", "immich", first["metadata"]["name"], "-f", "--tail=1"], stdout=subprocess.PIPE, text=True)
until(lambda: follow.stdout.readline(), "the log is followed")
s.kubectl("scale", "-n", "immich", "deployment/immich-postgresql", "--replicas=0")
check("database system is shut down" in follow.communicate(timeout=30)[0], "the followed log ends with the shutdown")
until(lambda: s.psql("SELECT 1", may_fail=True) is None, "the Service refuses when nothing is behind it")
check(about() in (502, 503), "without its database the application answers 502 or 503")
CLAIM["metadata"]["name"] = "fresh"
s.kubectl("create", "-f", "-", stdin=json.dumps(CLAIM))
s.kubectl("patch", "-n", "immich", "deployment/immich-postgresql", "--type=json", "-p", '[{"op":"replace","path":"/spec/template/spec/volumes/0/persistentVolumeClaim/claimName","value":"fresh"}]')
s.kubectl("scale", "-n", "immich", "deployment/immich-postgresql", "--replicas=1")
until(lambda: s.psql("SHOW shared_preload_libraries", may_fail=True) == "", "the fresh claim is booted and served, without preload libraries", 30)
check(s.psql(SERVED) == ip(s.pod()) != ip(first), "by a new pod with a new address")
s.kubectl("rollout", "restart", "-n", "immich", "deployment/immich-postgresql")
until(lambda: s.psql("SHOW shared_preload_libraries", may_fail=True) == "vchord, vectors, pg_prewarm", "with the preload libraries after one more start", 30)
ok("restart for preload works as in the seed")

# A container that dies starts again: same pod, same address, one log before.
second = s.pod()
s.control("kill", "pg")
until(lambda: s.pod()["status"]["containerStatuses"][0]["restartCount"] == 1 and ready(second["metadata"]["name"]), "the container starts again", 30)
check(ip(s.pod()) == ip(second), "the pod keeps its address")
check("redo" in s.kubectl("logs", "-n", "immich", second["metadata"]["name"]), "the server recovers")
check("redo" not in s.kubectl("logs", "-n", "immich", second["metadata"]["name"], "--previous"), "the log before is there by itself")

# Hazards of a first boot.
s.control("scenario", "pg-temp-server", "on")
CLAIM["metadata"]["name"] = "slow"
s.kubectl("create", "-f", "-", stdin=json.dumps(CLAIM))
spec["volumes"][0]["persistentVolumeClaim"]["claimName"] = "slow"
s.kubectl("create", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "slow", "namespace": "immich", "labels": {"app": "slow"}}, "spec": spec}))
slow = until(lambda: ready("slow"), "pg-temp-server: the readiness probe passes", 30)
check(s.psql("SELECT 1", host=ip(slow), may_fail=True) is None, "while nothing listens on the pod's address")
until(lambda: s.psql("SELECT 1", host=ip(slow), may_fail=True) == "1", "then the final server does", 30)
s.control("scenario", "pg-temp-server", "off")
s.control("scenario", "pg-extension-missing", "on")
check(s.psql("SELECT count(*) FROM pg_available_extensions WHERE name = 'vchord'") == "0", "pg-extension-missing: the image lacks vchord")
s.control("scenario", "pg-extension-missing", "off")
check(s.psql("SELECT count(*) FROM pg_available_extensions WHERE name = 'vchord'") == "1", "and has it again")
s.control("scenario", "pg-superuser-writer", "on")
until(lambda: int(s.psql("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'psql' AND client_addr <> '127.0.0.1'")) == 1, "pg-superuser-writer: a client that nobody listed", 20)
s.control("scenario", "pg-superuser-writer", "off")
s.control("scenario", "service-elsewhere", "on")
until(lambda: (s.psql(SERVED, may_fail=True) or "none") == ip(s.pod("other-postgresql")), "service-elsewhere: another server answers", 30)
s.control("scenario", "service-elsewhere", "off")
until(lambda: s.psql(SERVED, may_fail=True) == ip(s.pod()), "and the right one again", 20)
ok("hazards of first boot and of the Service")
done()
