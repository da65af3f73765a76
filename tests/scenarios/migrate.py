#!/usr/bin/env python3
"""The database is moved from preflight to resume by `ferryman run`, and rolled back from every phase on the way: afterwards the cluster's
objects, the rows of every table and the identifier that serves are what they were, or differ in the claim alone."""
import json
import os
import re
import shutil
import sys

sys.path.insert(0, os.path.join(os.environ.get("top_srcdir", "."), "tests", "lib"))
from ferry import *

OLD, NEW = "immich-postgresql-data-host", "immich-postgresql-data-encrypted"
PHASES = ["preflight", "inventory", "rehearse", "quiesce", "counts", "dump", "swap", "preload", "restore", "reindex", "verify", "resume"]
HARD = ("quiesce", "swap", "resume", "rollback")
# PBKDF2 takes most of the time of a sanitized build; dumps that are enciphered have their own tests.
PLAIN = '{ none: true, reason: "made-up data of a test" }'

home = tempfile.mkdtemp(prefix="ferryman-migrate-")
atexit.register(shutil.rmtree, home, True)
state = os.path.join(home, "state")
plan = os.path.join(home, "plan.yaml")
folder = tempfile.mkdtemp(prefix="ferryman-test-")
sandbox = Sandbox("--small-db", dir=folder)


def write_plan():
    text = open(sandbox.plan).read()
    text = re.sub(r"encrypt: \{[^{}]*\}", "encrypt: " + PLAIN, text)
    text = re.sub(r'directory: "[^"]*"', f'directory: "{home}/dumps"', text)
    with open(plan, "w") as f:
        f.write(text)


def ferryman(*words, status=0, seconds=120):
    args = [FERRYMAN, "--plan", plan, "--kubeconfig", sandbox.kubeconfig, *words]
    r = subprocess.run(args, capture_output=True, text=True, timeout=seconds, env=clean_env(XDG_STATE_HOME=state, XDG_RUNTIME_DIR=home))
    if r.returncode != status:
        fail(f"ferryman {' '.join(words)}: status {r.returncode}, {status} was expected\n{r.stdout[-4000:]}{r.stderr[-4000:]}")
    return r.stdout + r.stderr


def confirm(phase):
    return ["--confirm", f"{phase}={'immich-postgresql' if phase in HARD else 'y'}"]


def run(phase, *more, **how):
    return ferryman("run", f"immich-postgres/{phase}", "--arm", "home", *confirm(phase), *more, **how)


def rollback(**how):
    return ferryman("rollback", "immich-postgres", "--arm", "home", *confirm("rollback"), **how)


# ---- What is compared

def objects():
    """Everything that a move may touch, without what every write changes."""
    found = {}
    for kind, where in (("deployments", ["-n", "immich"]), ("cronjobs", ["-n", "immich"]), ("pvc", ["-n", "immich"]), ("pv", []), ("services", ["-n", "immich"])):
        for o in json.loads(sandbox.kubectl("get", kind, *where, "-o", "json"))["items"]:
            m = o["metadata"]
            for member in ("resourceVersion", "generation", "managedFields"):
                m.pop(member, None)
            (m.get("annotations") or {}).pop("deployment.kubernetes.io/revision", None)
            (o["spec"].get("claimRef") or {}).pop("resourceVersion", None)
            o["phase"] = (o.pop("status", None) or {}).get("phase")
            found[f"{kind}/{m['name']}"] = o
    return found


def rows():
    sql = sandbox.psql("SELECT string_agg(format('SELECT %L, count(*) FROM ONLY %I.%I', schemaname || '.' || relname, schemaname, relname), "
                       "' UNION ALL ' ORDER BY schemaname, relname) FROM pg_stat_user_tables")
    return sorted(sandbox.psql(sql).splitlines())


def identifier():
    return sandbox.psql("SELECT system_identifier FROM pg_control_system()")


def fence():
    return sandbox.psql("SELECT setting FROM pg_file_settings WHERE name = 'default_transaction_read_only'")


def ready():
    def all_ready():
        pods = json.loads(sandbox.kubectl("get", "pods", "-n", "immich", "-o", "json"))["items"]
        pods = [p for p in pods if p["status"].get("phase") not in ("Succeeded", "Failed")]
        return len(pods) == 4 and all(c.get("ready") for p in pods for c in p["status"].get("containerStatuses") or [{}])
    until(all_ready, "the four pods of the application are ready", 40)


def same_as_before(what):
    ready()
    now = objects()
    for name in sorted(set(before) | set(now)):
        if before.get(name) != now.get(name):
            fail(f"{what}: {name} was\n{json.dumps(before.get(name))}\nis\n{json.dumps(now.get(name))}")
    check(rows() == rows_before, f"{what}: objects and the rows of every table are as they were")
    check(identifier() == old, f"{what}: the old identifier serves")
    check(fence() == "", f"{what}: no fence is left")
    sandbox.psql("CREATE TABLE written(n int); DROP TABLE written")


# ---- There

write_plan()
before, rows_before, old = objects(), rows(), identifier()
check(len(rows_before) >= 10 and before["deployments/immich-postgresql"]["spec"]["replicas"] == 1, f"{len(rows_before)} tables, identifier {old}")
out = ferryman("run", "immich-postgres/swap", "--arm", "home", *confirm("swap"), status=1)
check("preflight" in out, "a phase out of its order is refused: " + out.strip().splitlines()[-1][:160])
check(objects() == before, "and nothing was touched")

saved = []
for phase in PHASES:
    run(phase, *(["--override", "alerts=a test"] if phase == "preflight" else []))
    ok(f"run {phase}")
    if phase in ("preflight", "rehearse"):
        if phase == "rehearse":
            check(objects() == before, "the rehearsal leaves nothing behind")
        continue
    sandbox.control("save", os.path.join(home, "saved-" + phase))
    shutil.copytree(state, os.path.join(home, "state-" + phase))
    saved.append(phase)

ready()
after, new = objects(), identifier()
check(rows() == rows_before, "every table of the new database has the rows that the old one had")
check(new != old, f"another identifier serves: {new}")
check(fence() == "", "the new server is not fenced any more")
created = sorted(set(after) - set(before))
check(len(created) == 2 and f"pvc/{NEW}" in created and not set(before) - set(after), f"one claim and its volume came, nothing went: {created}")
volumes = after["deployments/immich-postgresql"]["spec"]["template"]["spec"]["volumes"]
check([v["persistentVolumeClaim"]["claimName"] for v in volumes if "persistentVolumeClaim" in v] == [NEW], "the deployment names the new claim")
for v in volumes:
    if "persistentVolumeClaim" in v:
        v["persistentVolumeClaim"]["claimName"] = OLD
changed = [n for n in before if after[n] != before[n]]
check(not changed, f"everything else is as it was {changed}")
check(after[f"pvc/{NEW}"]["spec"]["storageClassName"] == "proxmox-lvm-encrypted" and after[f"pvc/{OLD}"]["phase"] == "Bound", "the old claim is kept")
out = ferryman("run", "immich-postgres/cleanup", "--arm", "home", "--confirm", "cleanup=home", status=1)
check("is kept until" in out, "it is not cleaned up before its retention ends: " + out.strip().splitlines()[-1][-120:])

# ---- And back, from every phase

sandbox.psql("CREATE TABLE afterwards AS SELECT generate_series(1, 5) AS n")
out = rollback(status=1)
check("dialog shows what would be lost" in out, "after resume the first try of a rollback only counts what would be lost")
check(sandbox.psql("SELECT count(*) FROM afterwards") == "5" and identifier() == new, "and nothing was touched")
out = rollback()
check(re.search(r"lost\s+immich public.afterwards: \+5 rows", out), "the second shows it: " + (re.search(r"lost .*", out) or [""])[0])
dumps = [f for f in os.listdir(os.path.join(home, "dumps")) if "before-rollback" in f and f.endswith(".sql")]
check(len(dumps) == 1 and "COPY public.afterwards" in open(os.path.join(home, "dumps", dumps[0])).read(), "the new copy was dumped first")
same_as_before("rollback after resume")

for phase in saved[:-1]:
    sandbox.stop()
    sandbox = Sandbox("--from", os.path.join(home, "saved-" + phase), dir=folder)
    shutil.rmtree(state)
    shutil.copytree(os.path.join(home, "state-" + phase), state)
    out = rollback()
    check("what would be lost" not in out, f"rollback after {phase} loses nothing")
    same_as_before(f"rollback after {phase}")

out = run("preflight", "--override", "alerts=a test")
check("DONE" in out, "after a rollback everything can be begun again")
sandbox.stop()
done()
