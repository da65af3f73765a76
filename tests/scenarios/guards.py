#!/usr/bin/env python3
"""What a move of the database refuses, each with the words that name the thing, the place and the remedy: in preflight and inventory
before anything is stopped, in quiesce before anything is fenced, in dump and swap when somebody wrote, in verify when one row differs."""
import json
import os
import re
import shutil
import sys

sys.path.insert(0, os.path.join(os.environ.get("top_srcdir", "."), "tests", "lib"))
from ferry import *

home = tempfile.mkdtemp(prefix="ferryman-guards-")
atexit.register(shutil.rmtree, home, True)
plan = os.path.join(home, "plan.yaml")
sandbox = Sandbox("--small-db")
READ_WRITE = "SET transaction_read_only = off; "


def write_plan(*changes):
    text = open(sandbox.plan).read()
    for old, new in [(r"encrypt: \{[^{}]*\}", 'encrypt: { none: true, reason: "made-up data of a test" }'),
                     (r'directory: "[^"]*"', f'directory: "{home}/dumps"'), *changes]:
        text, n = re.subn(old, new, text)
        if not n:
            fail(f"the plan has no {old}")
    with open(plan, "w") as f:
        f.write(text)


def ferryman(*words, status=0):
    r = subprocess.run([FERRYMAN, "--plan", plan, "--kubeconfig", sandbox.kubeconfig, *words], capture_output=True, text=True, timeout=120,
                       env=clean_env(XDG_STATE_HOME=os.path.join(home, "state"), XDG_RUNTIME_DIR=home))
    if "Sanitizer" in r.stderr:
        fail(f"ferryman {' '.join(words)}:\n{r.stderr[-4000:]}")
    if r.returncode != status and not (status and r.returncode):
        fail(f"ferryman {' '.join(words)}: status {r.returncode}, {status} was expected\n{r.stdout[-3000:]}{r.stderr[-3000:]}")
    return r.stdout + r.stderr


def run(phase, *more, status=0):
    word = "immich-postgresql" if phase in ("quiesce", "swap", "resume") else "y"
    return ferryman("run", f"immich-postgres/{phase}", "--arm", "home", "--confirm", f"{phase}={word}", *more, status=status)


def refused(phase, words, what, *more):
    """The phase stops, and its last line says all of these words."""
    last = run(phase, *more, status=1).strip().splitlines()[-1]
    missing = [w for w in words if w not in last]
    if missing:
        fail(f"{what}: {missing} is not in: {last}")
    ok(f"{what}: {last[last.find('FAILED'):][:150]}")


def with_scenario(name, phase, words, what, *more):
    sandbox.control("scenario", name, "on")
    until(lambda: f"{name} " in sandbox.control("scenarios"), "the scenario is on")
    refused(phase, words, what, *more)
    sandbox.control("scenario", name, "off")


def replicas(name):
    return json.loads(sandbox.kubectl("get", f"deployment/{name}", "-n", "immich", "-o", "json"))["spec"]["replicas"]


def settled():
    """The database's pod is back after a scenario changed its template."""
    def one_ready():
        p = sandbox.pod()
        return p and all(c.get("ready") for c in p["status"].get("containerStatuses") or [{}]) and sandbox.psql("SELECT 1", may_fail=True) == "1"
    until(one_ready, "the database serves", 60)


# ---- Preflight: nothing is touched

ALERTS = ("--override", "alerts=a test")
write_plan()
refused("preflight", ["1 firing: KubeJobFailed", "gate alerts"], "an alert fires")
write_plan((r"size: 10Gi", "size: 2Gi"))
refused("preflight", ["70 % of the new claim is", "Raise claim.size of the plan"], "the new claim is too small for what is used", *ALERTS)
write_plan((r"volume: postgresql-persistent-storage", "volume: nowhere"))
refused("preflight", ["has no volume nowhere that names a claim", "correct volume of the plan"], "the plan names a volume that is not there", *ALERTS)
write_plan((r"cronjob/postgresql-backup\]", "cronjob/other]"))
refused("preflight", ["immich-postgresql-data-host is mounted by", "cronjob/postgresql-backup", "add it there, or stop it"],
        "a cron job that nobody stops mounts the old claim", *ALERTS)
write_plan((r"key: db_password", "key: nothing"))
refused("preflight", ["Secret immich-secrets has no key nothing", "verify.login"], "the application's login cannot be read", *ALERTS)
write_plan((r'hours: "[^"]*"', 'hours: "08:00-22:00 Nowhere/Here"'))
refused("preflight", ["the time zone Nowhere/Here", "gate hours"], "hours that nobody can tell are never open", *ALERTS)
write_plan()
with_scenario("quota-exceeded", "preflight", ["exceeded quota"], "the namespace's quota is used up", *ALERTS)
with_scenario("pg-init-writes", "preflight", ["init container write-config writes into the data directory without asking for PG_VERSION",
              "test -f $PGDATA/PG_VERSION"], "an init container writes before initdb", *ALERTS)
settled()
with_scenario("pg-lost-found", "preflight", ["PGDATA is the mount point", "lost+found", "a folder below it"], "PGDATA is the root of the volume", *ALERTS)
settled()
with_scenario("service-elsewhere", "preflight", ["pod", "Service"], "the Service leads to another server", *ALERTS)
settled()
store = json.loads(sandbox.kubectl("get", "clustersecretstores/home", "-o", "json"))["spec"]["provider"]
sandbox.kubectl("patch", "clustersecretstores/home", "--type=json", "-p", json.dumps([{"op": "replace", "path": "/spec/provider", "value": {
    "vault": {"server": "http://immich-server.immich.svc:8200"}}}]))
refused("preflight", ["the node-stage secret of class proxmox-lvm-encrypted", "ClusterSecretStore home, vault at http://immich-server.immich.svc:8200",
                      "that is stopped with the database", "gate circle"], "the disks' passphrase comes out of what is stopped", *ALERTS)
sandbox.kubectl("patch", "clustersecretstores/home", "--type=json", "-p", json.dumps([{"op": "replace", "path": "/spec/provider", "value": store}]))
run("preflight", *ALERTS)
ok("without all that preflight is well")

# ---- Inventory: what the image cannot give

with_scenario("pg-extension-missing", "inventory", ["the image does not have extension vchord", "Pin the image"], "an extension is not in the image")
settled()
write_plan((r"drift: minor", "drift: none"))
refused("inventory", ["vector of immich: 0.8.0→0.8.1 is patch drift, the plan allows none"], "a restore would give another version than the plan allows")
write_plan()
run("inventory")
run_out = ferryman("run", "immich-postgres/rehearse", "--arm", "home", "--skip", "rehearse=guards have no time")
check("SKIPPED" in run_out, "the rehearsal is skipped with a reason")

# ---- Quiesce: nothing is stopped that cannot be brought back, nobody is cut off who is not known

sandbox.kubectl("scale", "deployment/immich-frame", "-n", "immich", "--replicas=0")
refused("quiesce", ["deployment/immich-frame has 0 replicas", "replicas of deployment/immich-frame"], "an application stands still at baseline")
check(replicas("immich-server") == 1, "nothing was stopped")
sandbox.control("scenario", "pg-superuser-writer", "on")
until(lambda: sandbox.psql("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'psql' AND pid <> pg_backend_pid()") != "0",
      "the stranger is connected")
refused("quiesce", ["from pod psql-admin", "add it there, or stop it"], "a client that nobody stops", "--override", "replicas of deployment/immich-frame=1")
check(replicas("immich-server") == 1, "nothing was stopped")
sandbox.control("scenario", "pg-superuser-writer", "off")
until(lambda: sandbox.psql("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'psql' AND pid <> pg_backend_pid()") == "0",
      "the stranger has gone")
run("quiesce", "--override", "replicas of deployment/immich-frame=1")
check(replicas("immich-server") == 0, "the applications are stopped")
check(sandbox.psql("SHOW default_transaction_read_only") == "on", "the server is fenced")

# ---- Counts and dump: a writer in spite of the fence

run("counts")
sandbox.psql(READ_WRITE + "INSERT INTO tags VALUES (gen_random_uuid(), 'guard/1')")
refused("dump", ["the dump is stale", "immich public.tags:", "run counts again"], "a superuser wrote between counts and dump")
run("counts")
run("dump")
sandbox.psql(READ_WRITE + "INSERT INTO tags VALUES (gen_random_uuid(), 'guard/2')")
refused("swap", ["public.tags", "which is stale", "run counts and dump again"], "a superuser wrote between dump and swap")
check(sandbox.pod() is not None, "the old server still runs")
run("counts")
run("dump")
for phase in ("swap", "preload", "restore", "reindex"):
    run(phase)
ok("counted and dumped again, it is moved")

# ---- Verify: one row less

sandbox.psql(READ_WRITE + "DELETE FROM tags WHERE value = 'guard/2'")
refused("verify", ["immich public.tags:", "roll back"], "one row differs")
rows = json.loads(ferryman("status", "--json", status=1))
frozen = [c for c in rows["criteria"] if c["name"] == "rows equal baseline"]
check(frozen and frozen[0]["state"] == "FAIL", "and is frozen as failed: " + frozen[0]["text"][:80])
check(all(g["answer"] != "PASS" for g in rows["gates"] if g["name"].startswith("rows equal")), "the gate says so")
sandbox.psql(READ_WRITE + "INSERT INTO tags VALUES (gen_random_uuid(), 'guard/2'); ALTER ROLE grafana CONNECTION LIMIT 3")
refused("verify", ["role grafana limit: -1, now 3"], "a role's attribute differs")
sandbox.psql(READ_WRITE + "ALTER ROLE grafana CONNECTION LIMIT -1; ALTER SEQUENCE upload_batch_seq RESTART 7")
refused("verify", ["public.upload_batch_seq", "7,not called"], "a sequence differs")
sandbox.psql(READ_WRITE + "SELECT setval('upload_batch_seq', 48215)")
sandbox.kubectl("patch", "secret", "immich-secrets", "-n", "immich", "--type=merge", "-p", '{"data":{"db_password":"YW5vdGhlcg=="}}')
refused("verify", ["cannot log in as immich", "Secret immich-secrets"], "the application's password differs")
out = ferryman("rollback", "immich-postgres", "--arm", "home", "--confirm", "rollback=immich-postgresql")
check("ROLLED BACK" in out, "and all of it is rolled back")
check(not json.loads(ferryman("status", "--json", status=1))["criteria"], "what was verified is forgotten with it")
check(sandbox.psql("SELECT count(*) FROM tags WHERE value LIKE 'guard/%'") == "2", "the old server serves")
done()
