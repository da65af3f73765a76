#!/usr/bin/env python3
"""The hazards that a new claim and its first boots can meet, each planted on the way of one move: they are explained, the target that was
interrupted is discarded and made again, and what was met in the rehearsal was met while the old server served. At the end the old
copy is cleaned up: not before its time, not while anybody mounts it, and only what the journal names."""
import json
import os
import re
import shutil
import sys

sys.path.insert(0, os.path.join(os.environ.get("top_srcdir", "."), "tests", "lib"))
from ferry import *

OLD, NEW = "immich-postgresql-data-host", "immich-postgresql-data-encrypted"
HARD = ("quiesce", "swap", "resume", "rollback")
home = tempfile.mkdtemp(prefix="ferryman-hazards-")
atexit.register(shutil.rmtree, home, True)
plan = os.path.join(home, "plan.yaml")
sandbox = Sandbox("--small-db")


def ferryman(*words, status=0):
    r = subprocess.run([FERRYMAN, "--plan", plan, "--kubeconfig", sandbox.kubeconfig, *words], capture_output=True, text=True, timeout=180,
                       env=clean_env(XDG_STATE_HOME=os.path.join(home, "state"), XDG_RUNTIME_DIR=home))
    if "Sanitizer" in r.stderr or (r.returncode != status and not (status and r.returncode)):
        fail(f"ferryman {' '.join(words)}: status {r.returncode}, {status} was expected\n{r.stdout[-4000:]}{r.stderr[-4000:]}")
    return r.stdout + r.stderr


def run(phase, *more, **how):
    typed = "home" if phase == "cleanup" else "immich-postgresql" if phase in HARD else "y"
    return ferryman("run", f"immich-postgres/{phase}", "--arm", "home", "--confirm", f"{phase}={typed}", *more, **how)


def meets(scenario, phase, *words, what):
    """The phase fails while the scenario is planted, and says these words."""
    sandbox.control("scenario", scenario, "on")
    out = run(phase, status=1)
    last = out.strip().splitlines()[-1]
    check(all(w in last for w in words), f"{phase}, {what}: {last[:260]}")
    sandbox.control("scenario", scenario, "off")
    return out


def claim(name):
    out = sandbox.kubectl("get", "pvc", "-n", "immich", name, "-o", "json", may_fail=True)
    return json.loads(out) if out else None


def uid(name):
    return (claim(name) or {"metadata": {"uid": None}})["metadata"]["uid"]


def volumes():
    return {v["metadata"]["name"] for v in json.loads(sandbox.kubectl("get", "pv", "-o", "json"))["items"]}


text = open(sandbox.plan).read()
text = re.sub(r"encrypt: \{[^{}]*\}", 'encrypt: { none: true, reason: "made-up data of a test" }', text)
with open(plan, "w") as f:
    f.write(re.sub(r'directory: "[^"]*"', f'directory: "{home}/dumps"', text))
old_claim, old_volumes = uid(OLD), volumes()
rows = sandbox.psql("SELECT count(*) FROM assets")

# ---- Met in the rehearsal, while the old server serves

run("preflight", "--override", "alerts=a test")
run("inventory")
meets("pg-extension-missing", "rehearse", "vchord", what="an image that lacks an extension is met")
check(sandbox.psql("SELECT count(*) FROM assets") == rows and claim("ferryman-scratch-immich-postgres"), "the old server served all the while; the scratch claim is left")
run("rehearse")
check(not claim("ferryman-scratch-immich-postgres") and volumes() == old_volumes, "the next rehearsal removes what the last one left, and then its own")
for phase in ("quiesce", "counts", "dump"):
    run(phase)

# ---- First boots that cannot come to their end

# Whoever stopped the server, its orderly end was not seen: it is started once more, and stopped again.
sandbox.kubectl("scale", "-n", "immich", "deployment/immich-postgresql", "--replicas=0")
until(lambda: sandbox.pod() is None, "the old server is stopped by somebody else")
out = meets("pg-lost-found", "swap", "lost+found", "folder below the mount", what="lost+found on a fresh volume is explained")
first = uid(NEW)
check("the old claim is served again" in out and 'the log: "database system is shut down"' in out, "the old server was started once more, and its orderly end was seen")
out = meets("pg-init-writes", "swap", "PG_VERSION", what="an init container that writes before initdb is explained")
second = uid(NEW)
check(first and second and first != second and "is discarded" in out, "the claim of the boot that was interrupted was discarded")
sandbox.control("scenario", "pg-temp-server", "on")
out = run("swap")
sandbox.control("scenario", "pg-temp-server", "off")
third = uid(NEW)
check(third not in (first, second), "with everything well, a third claim is booted")
check(len(volumes() - old_volumes) == 1, "and the volumes of the others are gone")
check(uid(OLD) == old_claim, "the old claim was not touched")

# ---- Preload libraries and restores

meets("pg-preload-missing", "preload", "shared_preload_libraries", "vchord", what="libraries that are not loaded are seen")
check("vchord" in run("preload"), "the next try restarts it once more, and they are")
sandbox.kubectl("delete", "pod", "-n", "immich", "-l", "app=immich-postgresql")
out = meets("pg-extension-missing", "restore", "vchord", "0A000", what="an extension that is missing stops it at once")
check("is discarded" in out and uid(NEW) != third, "a target whose pod was replaced was discarded before it was restored into")
fourth = uid(NEW)
out = run("restore")
check("is discarded" in out and uid(NEW) != fourth, "a half-restored target is discarded, never continued")
check(len(volumes() - old_volumes) == 1, "and the volumes of the others are gone")
sandbox.kubectl("delete", "pod", "-n", "immich", "-l", "app=immich-postgresql")
for phase in ("reindex", "verify", "resume"):
    run(phase)
ok("a pod that is replaced after the restore is found again, verified and resumed")
check(sandbox.psql("SELECT count(*) FROM assets") == rows, "every asset is there")

# ---- The end of the old copy

last = lambda out: out.strip().splitlines()[-1]
check("is kept until" in last(run("cleanup", status=1)), "the old copy is kept until its time")
sandbox.control("advance", "8d")
check("foreign-files" in last(run("cleanup", status=1)), "after it, what else lies there has to be said first")
until(lambda: not [p for p in json.loads(sandbox.kubectl("get", "pods", "-n", "immich", "-o", "json"))["items"]
                   if p["metadata"]["name"].startswith("postgresql-backup") and p["status"].get("phase") in ("Pending", "Running")],
      "the job that was due meanwhile has ended", 60)
out = run("cleanup", "--override", "foreign-files=14 days of backups, copied away", status=1)
check("cronjob/postgresql-backup mounts claim" in last(out) and uid(OLD) == old_claim, "a cron job that mounts it holds it: " + last(out)[-90:])
sandbox.kubectl("delete", "cronjob", "-n", "immich", "postgresql-backup")
out = run("cleanup", "--override", "foreign-files=14 days of backups, copied away")
check("plaintext is still on 10.0.0.20:/mnt/tank/immich/postgresql" in out, "what is to be removed on the server is told")
check(not claim(OLD) and len(old_volumes - volumes()) == 1, "the old claim and its volume are gone, and no other")
check(not os.listdir(os.path.join(home, "dumps")), "and the dump")
check("purged" in last(ferryman("rollback", "immich-postgres", "--arm", "home", "--confirm", "rollback=immich-postgresql", status=1)), "there is no rollback any more")
check(sandbox.psql("SELECT count(*) FROM assets") == rows, "the new copy serves")
sandbox.stop()
done()
