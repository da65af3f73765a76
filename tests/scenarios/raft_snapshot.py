#!/usr/bin/env python3
"""The snapshot of a run against a server that sends half of one with status 200, then a whole one; and who is told of it."""
import glob
import json
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.environ.get("top_srcdir", "."), "tests", "lib"))
from ferry import *

sandbox = Sandbox("--small-db")
top, hook, told = (os.path.join(sandbox.dir, n) for n in ("me", "hook", "told"))
for part in ("state", "run"):
    os.makedirs(os.path.join(top, part), 0o700)
with open(hook, "w") as f:
    f.write(f'#!/bin/sh\ncat >> "{told}"\n[ -z "$VAULT_TOKEN" ] || echo leaked >> "{told}"\n')
os.chmod(hook, 0o700)
with open(sandbox.plan) as f:
    plan = f.read()
with open(sandbox.plan, "w") as f:
    f.write(plan.replace("workloads:\n", f'notify: [{{ command: ["{hook}"] }}]\nworkloads:\n', 1))
env = clean_env(XDG_STATE_HOME=os.path.join(top, "state"), XDG_RUNTIME_DIR=os.path.join(top, "run"), VAULT_TOKEN="hvs.not-for-hooks")


def run(phase, status=0):
    r = subprocess.run([FERRYMAN, *sandbox.args, "run", f"vault/{phase}", "--arm", "home", "--confirm", f"{phase}=y", "--override", "alerts=this test",
                        "--override", "backups=this test", "--override", "hours=this test"], capture_output=True, text=True, timeout=180, env=env)
    if r.returncode != status:
        fail(f"run {phase}: status {r.returncode}, not {status}: {r.stdout[-3000:]} {r.stderr[-2000:]}")
    return r.stdout + r.stderr


def files():
    return sorted(os.path.basename(f) for f in glob.glob(os.path.join(sandbox.dir, "snapshots", "*")))


for phase in ("preflight", "canary"):
    run(phase)
sandbox.control("scenario", "vault-snapshot-cut", "on")
said = run("snapshot", status=1)
check("the snapshot that came is damaged: cut off" in said, "half a snapshot with status 200 is told from a whole one")
check(files() == [], "nothing of it is left")
sandbox.control("scenario", "vault-snapshot-cut", "off")
run("snapshot")
names = files()
check(len(names) == 3 and names[0].endswith(".snap.enc"), "then it is taken, enciphered, with HMAC and manifest beside it")
file = os.path.join(sandbox.dir, "snapshots", names[0])
r = subprocess.run([FERRYMAN, "snapshot", "verify", file, "--passphrase-file", os.path.join(sandbox.dir, "dump-passphrase"), "--json"], capture_output=True, timeout=60,
                   env=clean_env())
said = json.loads(r.stdout)
check(r.returncode == 0 and said["proved"] and said["manifest"]["node"] == "vault-2" and said["voters"] == 3, "and proved from the command line, too")
check(os.stat(file).st_mode & 0o777 == 0o600, "0600")
until(lambda: os.path.exists(told) and open(told).read().count("\n") >= 8, "everything is told")
lines = [json.loads(line) for line in open(told)]
check([(x["name"], x["state"]) for x in lines] == [("preflight", "begun"), ("preflight", "done"), ("canary", "begun"), ("canary", "done"), ("snapshot", "begun"),
                                                   ("snapshot", "failed"), ("snapshot", "begun"), ("snapshot", "done")], "the hook was told of each phase, in order")
check("cut off" in lines[5]["text"] and all(x["workload"] == "vault" and x["schema"] == 1 for x in lines), "with the reason")
done()
