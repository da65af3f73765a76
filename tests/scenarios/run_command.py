#!/usr/bin/env python3
"""ferryman run, rollback, plan and journal from the command line: what is refused before anything begins, who is kept out, how it ends
on a signal and goes on, and that the journal tells it and can be taken to another machine."""
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.environ.get("top_srcdir", "."), "tests", "lib"))
from ferry import *

sandbox = Sandbox("--small-db")
OVERRIDES = ["--override", "alerts=this test", "--override", "backups=this test"]


class Machine:
    """An operator's machine: a state folder of its own."""

    def __init__(self, name):
        self.top = os.path.join(sandbox.dir, name)
        for folder in ("state", "run"):
            os.makedirs(os.path.join(self.top, folder), 0o700)
        self.env = clean_env(XDG_STATE_HOME=os.path.join(self.top, "state"), XDG_RUNTIME_DIR=os.path.join(self.top, "run"))
        self.journal = os.path.join(self.top, "state", "ferryman", "nfs-hostile", "journal.jsonl")

    def command(self, *words):
        return [FERRYMAN, *sandbox.args, *words]

    def __call__(self, *words, status=0):
        r = subprocess.run(self.command(*words), capture_output=True, text=True, timeout=180, env=self.env)
        if r.returncode != status:
            fail(f"ferryman {' '.join(words)}: status {r.returncode}, not {status}: {r.stdout[-2000:]} {r.stderr[-2000:]}")
        return r

    def refused(self, status, part, *words):
        r = self(*words, status=status)
        check(part in r.stderr, f"{' '.join(words)[:90]}: {status}, {part!r} ({r.stderr.strip()[:300]})")


here, there = Machine("here"), Machine("there")
W = "immich-postgres"
arm = ["--arm", "home"]

# ---- Plans
shown = json.loads(here("plan", "show", "--json").stdout)
phases = {p["id"]: p for p in shown["workloads"][0]["phases"]}
check(list(phases)[0] == "preflight" and phases["swap"]["typed"] == "immich-postgresql" and phases["cleanup"]["typed"] == "home" and phases["dump"]["typed"] == "y",
      "plan show tells what each dialog asks for")
preview = here("plan", "preview", f"{W}/swap").stdout
check("PATCH /apis/apps/v1/namespaces/immich/deployments/immich-postgresql" in preview and "phase dump" not in preview, "plan preview prints the requests of one phase")
check("POST /api/v1/namespaces/immich/persistentvolumeclaims" in preview, "with what is created")
here.refused(64, "no workload 'nobody'", "plan", "preview", "nobody")
here.refused(64, "no phase 'nothing'", "plan", "preview", f"{W}/nothing")
before = open(sandbox.plan).read()
text = before.replace(re.search(r"cluster: .*\n", before).group(0), "")
with open(sandbox.plan, "w") as f:
    f.write(text)
pinned = here("plan", "check", "--pin").stdout
after = open(sandbox.plan).read()
check(pinned.count("written") == 3 and "identifier: \"" in after and "cluster_id: \"" in after, "plan check --pin writes the cluster, the database's identifier and the Vault's cluster_id")
check(re.sub(r"cluster: .*\n|identifier: \"\d+\", |cluster_id: \"[0-9a-f-]+\", ", "", after) == re.sub(r"identifier: \"\d+\", ", "", text), "and nothing else")
check(here("plan", "check", "--pin").stdout.count("pinned already") == 3, "a second time there is nothing to write")
with open(sandbox.plan, "w") as f:
    f.write(re.sub(r"cluster: .*", "cluster: 00000000-0000-4000-8000-000000000000", after))
here.refused(65, "is pinned as 00000000", "plan", "check", "--pin")
here.refused(65, "another cluster", "run", f"{W}/preflight", *arm, "--confirm", "preflight=y")
with open(sandbox.plan, "w") as f:
    f.write(after)

# ---- Refused before anything begins
here.refused(64, "--arm CONTEXT is missing", "run", W)
here.refused(64, "which workload", "run", *arm)
here.refused(64, "not of the form PHASE=TEXT", "run", W, *arm, "--confirm", "dump")
here.refused(64, "given twice", "run", W, *arm, "--confirm", "dump=y", "--confirm", "dump=y")
here.refused(64, "no workload 'nobody'", "run", "nobody", *arm)
here.refused(64, "is missing: its dialog asks for", "run", "vault", *arm)
here.refused(64, "--through-windows goes on", "run", "vault", *arm, "--confirm", "window-1=y")
here.refused(64, "one that is named is run anyway", "run", "vault/window-1", *arm, "--confirm", "window-1=y", "--through-windows")
here.refused(64, "no phase 'nothing'", "run", f"{W}/nothing", *arm)
here.refused(64, "the context's name is 'home'", "run", f"{W}/preflight", "--arm", "hoem", "--confirm", "preflight=y")
here.refused(64, "is missing", "run", W, *arm, "--confirm", "preflight=y")
here.refused(64, "its dialog asks for 'y'", "run", f"{W}/preflight", *arm, "--confirm", "preflight=yes")
here.refused(64, "would not be run by this command", "run", f"{W}/preflight", *arm, "--confirm", "preflight=y", "--confirm", "dump=y")
here.refused(64, "no phase 'prefligth'", "run", f"{W}/preflight", *arm, "--confirm", "preflight=y", "--confirm", "prefligth=y")
here.refused(64, "cannot be overridden", "run", f"{W}/preflight", *arm, "--confirm", "preflight=y", "--override", "identity=because")
here.refused(1, "preflight comes next, not dump", "run", f"{W}/dump", *arm, "--confirm", "dump=y")
here.refused(1, "nothing to roll back", "rollback", W, *arm, "--confirm", "rollback=immich-postgresql")
check("phase" not in [json.loads(line)["t"] for line in open(here.journal)], "none of these began a phase")

# ---- Phases
out = here("run", f"{W}/preflight", *arm, "--confirm", "preflight=y", *OVERRIDES, "--json").stdout
records = [json.loads(line) for line in out.splitlines()]
check(all(r["schema"] == 1 for r in records) and records[-1]["t"] == "end" and records[-1]["status"] == 0 and records[-1]["next"] == "inventory",
      "run --json: one object a line, the last says how it ended and what comes next")
check({"dialog", "line", "step", "phase"} <= {r["t"] for r in records}, "dialogs with their lines, steps and phases are in it")
here.refused(64, "not used: that phase is DONE", "run", W, *arm, "--confirm", "preflight=y")
out = here("run", f"{W}/inventory", *arm, "--confirm", "inventory=y").stdout
check("phase inventory: DONE" in out and "next: rehearse" in out, "run names the next phase and what it asks for")

# ---- A signal, and who is kept out meanwhile
words = here.command("run", f"{W}/rehearse", *arm, "--confirm", "rehearse=y")
running = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=here.env)
seen = []
for line in running.stdout:
    seen.append(line)
    if "rehearse/boot" in line:
        break
check(running.poll() is None, "a rehearsal is under way")
second = here("run", f"{W}/rehearse", *arm, "--confirm", "rehearse=y", status=75)
check(f"process {running.pid}" in second.stderr, f"another process of this machine is told who works with the journal ({second.stderr.strip()[:200]})")
other = there("run", f"{W}/preflight", *arm, "--confirm", "preflight=y", *OVERRIDES, status=75)
check("is held by" in other.stderr, f"another machine is told who holds the lock ({other.stderr.strip()[:300]})")
running.send_signal(signal.SIGINT)
out, err = running.communicate(timeout=60)
check(running.returncode == 2 and "go on with: ferryman" in err, f"SIGINT ends it with the command that goes on ({err.strip()[:300]})")
status = json.loads(here("status", "--json", "--timeout", "5s", status=1).stdout)
state = [p["state"] for p in status["phases"] if p["name"] == "rehearse"]
check(state == ["INTERRUPTED"], f"the phase is shown interrupted ({state})")
again = shlex.split(err.strip().split("go on with: ", 1)[1])
r = subprocess.run([FERRYMAN, *again[1:]], capture_output=True, text=True, timeout=180, env=here.env)
check(r.returncode == 0 and "phase rehearse: DONE" in r.stdout, f"that command ends the phase ({r.stderr[-300:]})")
leftover = sandbox.kubectl("get", "pods,pvc", "-n", "immich", "-o", "name").splitlines()
check(not [n for n in leftover if "scratch" in n], "and nothing of the rehearsals is left")

# ---- The journal tells it, and goes to another machine
story = here("journal", "show").stdout
check("PHASE rehearse done" in story and "create" in story and "armed for context home" in story, "journal show tells it in words")
check(json.loads(here("journal", "show", "--json").stdout)["records"][0]["t"] == "journal", "and as JSON")
verified = here("journal", "verify").stdout
check("an unbroken chain" in verified and verified.strip().split("head ")[1] == json.loads(open(here.journal).readlines()[-1])["hash"], "journal verify gives the head")
there.refused(75, "journal import", "run", f"{W}/preflight", *arm, "--confirm", "preflight=y", *OVERRIDES)
os.rename(there.journal, there.journal + ".old")
damaged = os.path.join(sandbox.dir, "damaged.jsonl")
with open(damaged, "w") as f:
    f.write(open(here.journal).read().replace("rehearse", "reheArse", 1))
there.refused(65, "damaged.jsonl:", "journal", "import", damaged)
there("journal", "import", here.journal)

# ---- A signal while an act is in flight: it is waited for, and said
sandbox.control("fault", "patch", "cronjobs", "hang", "1")
running = subprocess.Popen(there.command("run", f"{W}/quiesce", *arm, "--confirm", "quiesce=immich-postgresql"), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                           text=True, env=there.env)
acts = lambda: [json.loads(line)["op"] for line in open(there.journal) if line.endswith("}\n") and '"t":"act"' in line and '"phase":"quiesce"' in line]
until(lambda: "cronjobs" not in sandbox.control("fault", "list"), "the first act of quiesce has met the server that hangs", 60)
running.send_signal(signal.SIGTERM)
out, err = running.communicate(timeout=90)
check("SIGTERM: quiesce pauses" in out and "an act is in flight: waiting for its outcome" in out, "SIGTERM while an act is in flight: it is said")
check(running.returncode == 2 and len(acts()) == 1, f"it ends once it is known what became of it, before the next act ({err.strip()[:200]})")
out = there("run", f"{W}/quiesce", *arm, "--confirm", "quiesce=immich-postgresql").stdout
check("phase quiesce: DONE" in out, "with the journal the other machine goes on")
here.refused(75, "journal import", "run", f"{W}/quiesce", *arm, "--confirm", "quiesce=immich-postgresql")
out = there("rollback", W, *arm, "--confirm", "rollback=immich-postgresql").stdout
check("phase rollback: DONE" in out, "rollback from the command line")
with open(there.journal, "r+b") as f:
    f.seek(300)
    f.write(b"#")
there.refused(65, "journal.jsonl:", "run", f"{W}/preflight", *arm, "--confirm", "preflight=y")
done()
