#!/usr/bin/env python3
"""The crash matrix: ferryman is killed (-9) right before and right after each record of an act or an outcome that a whole migration
writes, each time from a cluster and a journal that were saved at the beginning of that phase. Started again it must reach the end
of the phase with the same end state, and no act done twice.

    run.py [--jobs N] [--phases a,b] [--sample SECONDS] [--keep]      needs a build with --enable-failpoints

First one whole run is made, phase after phase, with `ferryman run`; before each phase the sandbox and the state folder are saved,
after each the end state is noted: the objects, their generations, the server's identifier, rows, fences, files. Then each case: the
saved sandbox goes on in the same folder, ferryman is killed at the Nth record (FERRYMAN_FAILPOINT=journal.before:N, journal.after:N),
started again, and the end state compared. Once for each phase it is begun from the console, and the console alone is killed (its engine
ends the phase), then console and engine.

Cases run beside one another where mount and network namespaces may be made (each sees the same paths, ports and addresses), else
one after another. With --sample, a few cases that are spread over the phases are taken for as long as the time lasts, at least one.
"""
import argparse
import concurrent.futures
import glob
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from ferry import *

WORKLOAD = "immich-postgres"
TYPED = {"quiesce": "immich-postgresql", "swap": "immich-postgresql", "resume": "immich-postgresql", "rollback": "immich-postgresql"}
PHASES = ["preflight", "inventory", "rehearse", "quiesce", "counts", "dump", "swap", "preload", "restore", "reindex", "verify", "resume"]
OVERRIDES = ["--override", "alerts=the crash matrix", "--override", "backups=the crash matrix"]
LIMIT = 240  # of one run of ferryman
# Where a phase starts from, if not from its own folder, and what is run first: a server that goes on from saved files has lost its
# statistics, as after a crash, and what rests on the sums of writes would rightly refuse them.
PRELUDE = {"dump": ("counts", ["counts"]), "swap": ("counts", ["counts", "dump"]), "rollback": ("resume", [])}
# Steps that begin anew by design when they are interrupted: what they made is discarded and made again (safety 9). A server whose
# orderly end was not seen is started once more and stopped again (safety 7).
ANEW = {"rehearse": None, "restore": None, "swap": {"stop", "boot", "claim", "name"}}


# ---- One cluster in the folder that all share -------------------------------------------------------------------------------

class Cluster(Sandbox):
    """A sandbox in BASE/sb, with ferryman's own folders beside it."""

    def __init__(self, base, saved=None):
        self.dir, self.base = os.path.join(base, "sb"), base
        for name in ("sb", "state", "run"):
            os.makedirs(os.path.join(base, name), 0o700, exist_ok=True)
        if saved:
            shutil.rmtree(os.path.join(base, "state"))
            shutil.copytree(os.path.join(saved, "state"), os.path.join(base, "state"))
        self.log = open(os.path.join(base, "sandbox.stderr"), "w+")
        options = ["--from", os.path.join(saved, "sandbox")] if saved else ["--small-db"]
        self.process = subprocess.Popen([SANDBOX, "--dir", self.dir, *options], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log,
                                        text=True, start_new_session=True)
        atexit.register(self.stop)
        self.lines = []
        threading.Thread(target=self._read, daemon=True).start()
        until(lambda: "ready" in self.lines or self.process.poll() is not None, "the sandbox is ready", 120)
        if self.process.poll() is not None:
            self.log.seek(0)
            raise RuntimeError("the sandbox ended: " + self.log.read()[-2000:])
        self.kubeconfig, self.plan = os.path.join(self.dir, "kubeconfig"), os.path.join(self.dir, "plan.yaml")
        self.args = ["--plan", self.plan, "--kubeconfig", self.kubeconfig]
        self._leave_plain()
        self.env = clean_env(XDG_STATE_HOME=os.path.join(base, "state"), XDG_RUNTIME_DIR=os.path.join(base, "run"))

    def _leave_plain(self):
        """Deriving a key takes seconds each time, and is not what is tested here."""
        with open(self.plan) as f:
            text = f.read()
        with open(self.plan, "w") as f:
            f.write(re.sub(r"encrypt: *\{[^}]*\}", 'encrypt: { none: true, reason: "the crash matrix" }', text))

    def stop(self):
        if self.process.poll() is None:
            self.process.stdin.close()
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()

    def ferryman(self, *words, failpoint=None):
        env = dict(self.env)
        if failpoint:
            env["FERRYMAN_FAILPOINT"] = failpoint
        return subprocess.run([FERRYMAN, *self.args, *words], capture_output=True, text=True, errors="replace", timeout=LIMIT, env=env)

    def phase(self, phase, failpoint=None):
        words = ["rollback", WORKLOAD] if phase == "rollback" else ["run", f"{WORKLOAD}/{phase}"]
        return self.ferryman(*words, "--arm", "home", "--confirm", f"{phase}={TYPED.get(phase, 'y')}", *OVERRIDES, failpoint=failpoint)

    def journal(self):
        path = os.path.join(self.base, "state", "ferryman", "nfs-hostile", "journal.jsonl")
        if not os.path.exists(path):
            return []
        with open(path) as f:
            return [json.loads(line) for line in f if line.endswith("\n")]

    def changes(self):
        """What the API server changed for ferryman since it was asked to forget: {"patch deployments immich/x": how often}."""
        found = {}
        for line in self.control("audit").splitlines():
            what, manager, count = line.rsplit(" ", 2)
            if manager.startswith("ferryman") and " leases " not in what and " secrets " not in what:
                found[stripped(what)] = found.get(stripped(what), 0) + int(count)
        return found

    def save(self, folder):
        os.makedirs(folder)
        self.control("save", os.path.join(folder, "sandbox"))
        shutil.copytree(os.path.join(self.base, "state"), os.path.join(folder, "state"))


# ---- The end state, without what differs from run to run --------------------------------------------------------------------

VOLATILE = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|\d{8}T\d{6}Z|\d{4}-\d\d-\d\dT[\d:.]+Z|vm-\d+")


def stripped(value):
    """Uids, times and names that are made of them become one sign each."""
    if isinstance(value, dict):
        return {stripped(k): stripped(v) for k, v in value.items()}
    if isinstance(value, list):
        return [stripped(v) for v in value]
    return VOLATILE.sub("*", value) if isinstance(value, str) else value


def facts_of(records):
    return {r["name"]: r["value"] for r in records if r["t"] == "fact" and r.get("workload") == WORKLOAD}


def objects_of(cluster):
    """What counts of each object in the database's namespace, and of the volumes of its claims."""
    out = {}
    items = json.loads(cluster.kubectl("get", "deployments,cronjobs,pvc,pods,leases,secrets", "-n", "immich", "-o", "json"))["items"]
    items += json.loads(cluster.kubectl("get", "pv", "-o", "json"))["items"]
    for o in items:
        kind, meta, name = o["kind"], o["metadata"], o["metadata"]["name"]
        annotations = {k: v for k, v in meta.get("annotations", {}).items() if k not in ("ferryman.io/run", "volume.kubernetes.io/selected-node")}
        seen = {"labels": meta.get("labels"), "annotations": annotations, "finalizers": meta.get("finalizers")}
        if kind in ("Deployment", "CronJob"):
            seen.update(generation=meta["generation"], spec=o["spec"])
        elif kind == "PersistentVolumeClaim":
            seen.update(spec=o["spec"], phase=o["status"]["phase"])
        elif kind == "PersistentVolume":
            ref = o["spec"].get("claimRef", {})
            if ref.get("namespace") != "immich":
                continue
            name = "of " + ref["name"]
            seen.update(reclaim=o["spec"]["persistentVolumeReclaimPolicy"], storage=o["spec"].get("storageClassName"), phase=o["status"]["phase"])
        elif kind == "Pod":
            if "job-name" in (meta.get("labels") or {}):
                continue
            ready = any(c["type"] == "Ready" and c["status"] == "True" for c in o["status"].get("conditions", []))
            claims = sorted(v["persistentVolumeClaim"]["claimName"] for v in o["spec"].get("volumes", []) if "persistentVolumeClaim" in v)
            name = re.sub(r"-[a-z0-9]{8,10}-[a-z0-9]{5}$", "", name)
            seen = {"ready": ready, "claims": claims, "phase": o["status"]["phase"]}
        elif kind == "Lease":
            seen = {"held": bool(o["spec"].get("holderIdentity"))}
        elif kind == "Secret":
            seen = {"keys": sorted(o.get("data", {}))}
        out.setdefault(f"{kind} {name}", []).append(json.loads(json.dumps(stripped(seen), sort_keys=True)))
    return {k: sorted(v, key=json.dumps) for k, v in out.items()}


def server_of(cluster, facts):
    """The server that the plan leads to: whose it is, its fence, its rows and extensions."""
    with open(cluster.plan) as f:
        conninfo = re.search(r'conninfo: "([^"]+)"', f.read()).group(1)
    def ask(sql):
        r = subprocess.run(["psql", conninfo, "-XAtqc", sql], capture_output=True, text=True, timeout=60, env=clean_env(PGCONNECT_TIMEOUT="20"))
        if r.returncode:
            raise RuntimeError("psql: " + r.stderr)
        return r.stdout.strip()
    identifier = ask("SELECT system_identifier FROM pg_control_system()")
    names = {facts.get("pg.identifier.old"): "old", facts.get("pg.identifier.new"): "new"}
    tables = ask("SELECT string_agg(format('SELECT %L, count(*) FROM %s', oid::regclass, oid::regclass), ' UNION ALL ') FROM pg_class "
                 "WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace")
    return {"identifier": names.get(identifier, "neither" if facts.get("pg.identifier.old") else "not noted"),
            "read_only": ask("SELECT coalesce((SELECT setting FROM pg_file_settings WHERE name = 'default_transaction_read_only' LIMIT 1), '')"),
            "rows": sorted(ask(tables).splitlines()),
            "extensions": sorted(ask("SELECT extname || ' ' || extversion FROM pg_extension").splitlines()),
            "indexes": ask("SELECT count(*) FROM pg_index WHERE NOT indisvalid"),
            "roles": sorted(ask("SELECT rolname, rolsuper, rolcanlogin FROM pg_roles WHERE rolname !~ '^pg_'").splitlines())}


def files_of(cluster):
    """Everything that ferryman may leave lying about."""
    found = []
    for top in (os.path.join(cluster.base, "state"), os.path.join(cluster.dir, "dumps")):
        for folder, _, names in os.walk(top):
            found += [os.path.relpath(os.path.join(folder, n), cluster.base) for n in names]
    return sorted(stripped(found))


def phases_of(records):
    state = {}
    for r in records:
        if r["t"] == "phase" and r["state"] in ("begun", "done", "failed", "skipped", "aborted"):
            state[r["phase"]] = r["state"]
    return state


def end_state(cluster):
    records = cluster.journal()
    facts = facts_of(records)
    keep = ("claim.old.name", "claim.new.name", "apps", "fence.old", "fence.new", "counts", "inventory.readonly", "dump.rows", "dump.strategy",
            "reindex.needed", "volume.new.reclaim", "volume.old.reclaim")
    return {"phases": phases_of(records), "objects": objects_of(cluster), "server": server_of(cluster, facts), "files": files_of(cluster),
            "facts": {k: stripped(facts.get(k, "")) for k in keep}}


def differences(a, b, at=""):
    if type(a) is not type(b):
        return [f"{at}: {a!r} became {b!r}"]
    if isinstance(a, dict):
        return [d for k in sorted(set(a) | set(b)) for d in differences(a.get(k), b.get(k), f"{at}/{k}")]
    if isinstance(a, list) and len(a) == len(b):
        return [d for i, (x, y) in enumerate(zip(a, b)) for d in differences(x, y, f"{at}/{i}")]
    return [] if a == b else [f"{at}: {a!r} became {b!r}"]


# ---- The whole run, and one case --------------------------------------------------------------------------------------------

def points(records):
    return [r for r in records if r["t"] in ("act", "outcome")]


def reference(base, saves, phases):
    """Runs every phase; {phase: {"records": its acts and outcomes, "end": …}}; a folder in `saves` for each of `phases`."""
    cluster, found = Cluster(base), {}
    wanted = {PRELUDE.get(p, (p,))[0] for p in phases}
    for phase in PHASES + ["rollback"]:
        before = len(cluster.journal())
        if phase == "rollback":  # from before "resume apps"
            cluster.stop()
            shutil.rmtree(os.path.join(base, "sb"))
            if "rollback" not in phases:
                break
            cluster = Cluster(base, os.path.join(saves, "resume"))
            before = len(cluster.journal())
        elif phase in wanted:
            cluster.save(os.path.join(saves, phase))
        began = time.monotonic()
        cluster.control("audit", "clear")
        if phase == "rehearse" and phase not in phases:
            r = cluster.ferryman("run", f"{WORKLOAD}/rehearse", "--arm", "home", "--skip", "rehearse=the crash matrix looks elsewhere")
        else:
            r = cluster.phase(phase)
        if r.returncode:
            raise RuntimeError(f"{phase} ended with {r.returncode}: {r.stdout[-3000:]}{r.stderr[-3000:]}")
        here = points(cluster.journal()[before:])
        found[phase] = {"records": here, "changes": cluster.changes(), "end": end_state(cluster) if phase in phases else None}
        print(f"  {phase}: {len(here)} records of acts and outcomes, {time.monotonic() - began:.1f} s", flush=True)
        if not set(phases) & set((PHASES + ["rollback"])[PHASES.index(phase) + 1 if phase in PHASES else 99:]):
            break
    cluster.stop()
    shutil.rmtree(os.path.join(base, "sb"), ignore_errors=True)
    return found


REQUEST = re.compile(r"(SQL|POST|PUT|PATCH|DELETE) (?!.*(pg_reload_conf|CHECKPOINT))")


def done_twice(records, phase):
    """Requests and statements of the phase that were carried out more than once, but for those of steps that begin anew by design. Jobs
    (a dump, a look at many things) are begun again when they were interrupted; to reload or checkpoint twice is as good as once."""
    requests = {(r["step"], r["op"]) for r in records if r["t"] == "act" and r.get("phase") == phase and REQUEST.match(r.get("request", ""))}
    count = {}
    for r in records:
        if r["t"] == "outcome" and r.get("phase") == phase and r["result"] in ("done", "lost-answer-done") and (r["step"], r["op"]) in requests:
            count[r["step"], r["op"]] = count.get((r["step"], r["op"]), 0) + 1
    return [f"{s}/{o} was done {n} times" for (s, o), n in count.items() if n > 1 and not anew(phase, s)]


def anew(phase, step):
    return phase in ANEW and (ANEW[phase] is None or step is None or step in ANEW[phase])


def changed_more(cluster, case, expected):
    """The same as the API server saw it."""
    if anew(case["phase"], case.get("step")):
        return []
    return [f"{what}: changed {n} times, not {expected.get(what, 0)}" for what, n in cluster.changes().items() if n > expected.get(what, 0)]


def console_to(cluster, phase):
    """A console that is armed and has begun the phase by its keys; the phase is under way, or done already."""
    known = len(cluster.journal())
    t = Terminal([FERRYMAN, *cluster.args], 80, 24, dict(cluster.env))
    def asked(key, label, text):
        t.keys(key)
        t.wait(label, 60)
        t.type(text)
        t.keys("Enter")
    t.wait("vault", 60)
    t.keys("5")
    t.wait("PHASE  immich-postgres", 60)
    asked("A", "type the context's name", "home")
    t.wait("ARMED 14:", 60)
    for gate in ("alerts", "backups") if phase == "preflight" else ():
        asked("o", "gate to pass over", gate)
        t.wait(f"may '{gate}' be passed over", 60)
        t.type("the crash matrix")
        t.keys("Enter")
    t.wait(f"immich-postgres · {phase}", 60)
    t.keys("r")
    t.wait("[ Cancel ]", 60)
    typed = TYPED.get(phase, "y")
    t.wait(f"Type {typed}" if phase in TYPED else "y goes on", 60)
    def said():
        if any(r["t"] == "phase" and r["state"] == "begun" for r in cluster.journal()[known:]):
            return True
        if phase in TYPED and f"[{typed}" not in t.screen():
            t.type(typed)
        t.keys("Enter" if phase in TYPED else typed)
        threading.Event().wait(0.5)  # the next look decides; keys that come too early do not count
        return False
    until(said, f"{phase} has begun from the console", 60)
    return t


def kill_console(cluster, case):
    """Kills the console, or it and its engine, once the phase is under way; returns what is wrong, or None."""
    phase = case["phase"]
    t = console_to(cluster, phase)
    pids = [t.pid()] + (engines(cluster.dir) if case["point"] == "both" else [])
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    if case["point"] == "console":  # the engine outlives it, and ends by itself when the phase has
        until(lambda: phases_of(cluster.journal()).get(phase) != "begun", f"{phase} comes to its end without a console", LIMIT)
    until(lambda: not engines(cluster.dir), "no engine stays behind", 60)
    t.stop()
    if phases_of(cluster.journal()).get(phase) == "done":
        return None
    again = cluster.phase(phase)
    return f"started again it ended with {again.returncode}: {again.stdout[-2500:]}{again.stderr[-2500:]}" if again.returncode else None


def compared(cluster, case, expected):
    """The end state against the expected one. A target that was discarded took one more stop and start of the database."""
    now = end_state(cluster)
    for key in set(now["objects"]) - set(expected["objects"]):
        if key.startswith("Lease "):
            now["objects"].pop(key)
    if anew(case["phase"], case.get("step")):
        for state in (now, expected):
            for o in state["objects"].get("Deployment immich-postgresql", []):
                o.pop("generation")
    return differences(expected, now)


def run_case(base, saves, case, expected, changes):
    """One kill and the way back; a list of what is wrong."""
    phase, point = case["phase"], case["point"]
    start, prelude = PRELUDE.get(phase, (phase, []))
    cluster = Cluster(base, os.path.join(saves, start))
    try:
        for earlier in prelude:
            r = cluster.phase(earlier)
            if r.returncode:
                return [f"{earlier} before it ended with {r.returncode}: {r.stdout[-1500:]}{r.stderr[-1500:]}"]
        before = len(cluster.journal())
        cluster.control("audit", "clear")
        if point in ("console", "both"):
            wrong = kill_console(cluster, case)
            if wrong:
                return [wrong]
            if point == "both":  # an engine that was killed at the very end could not let go of it
                expected["objects"].pop("Lease ferryman-immich-postgres", None)
            return compared(cluster, case, expected) + done_twice(cluster.journal()[before:], phase)
        first = cluster.phase(phase, failpoint=point)
        if first.returncode != -9:
            return [f"was to be killed at {point}, ended with {first.returncode}: {first.stdout[-1500:]}{first.stderr[-1500:]}"]
        killed = len(cluster.journal())
        second = cluster.phase(phase)
        if second.returncode:
            return [f"started again it ended with {second.returncode}: {second.stdout[-2500:]}{second.stderr[-2500:]}"]
        wrong = compared(cluster, case, expected) + done_twice(cluster.journal()[before:], phase) + changed_more(cluster, case, changes)
        verify = cluster.ferryman("journal", "verify")
        if verify.returncode:
            wrong.append("the journal does not verify: " + verify.stderr)
        if killed <= before:
            wrong.append("nothing was written before the kill")
        return wrong
    finally:
        cluster.stop()
        shutil.rmtree(os.path.join(base, "sb"), ignore_errors=True)


# ---- Namespaces -------------------------------------------------------------------------------------------------------------

UNSHARE = ["unshare", "--mount", "--net", "--pid", "--fork", "--mount-proc", "--kill-child"]


def namespaces():
    return os.geteuid() == 0 and shutil.which("ip") and subprocess.run([*UNSHARE, "true"], capture_output=True).returncode == 0


def inside(base, own, words):
    """The same program in namespaces of its own, where `own` is what lies at `base` and at /var/tmp."""
    os.makedirs(os.path.join(own, "base"), exist_ok=True)
    os.makedirs(os.path.join(own, "tmp"), exist_ok=True)
    os.chmod(os.path.join(own, "tmp"), 0o1777)
    script = 'ip link set lo up && mount --bind "$1/base" "$2" && mount --bind "$1/tmp" /var/tmp && shift 2 && exec "$@"'
    return [*UNSHARE, "sh", "-c", script, "sh", own, base, sys.executable, os.path.abspath(__file__), *words]


def child(words, folder, own, spaces):
    """Runs a part of this program and returns the JSON it wrote."""
    out = os.path.join(own, "result.json")
    os.makedirs(own, exist_ok=True)
    words = [*words, "--folder", folder, "--result", out]
    command = inside(os.path.join(folder, "base"), own, words) if spaces else [sys.executable, os.path.abspath(__file__), *words]
    r = subprocess.run(command, stdout=None if words[0] == "--reference" else subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        with open(out) as f:
            return json.load(f)
    except (OSError, ValueError):
        raise RuntimeError(f"{' '.join(words)} ended with {r.returncode}: {(r.stdout or '')[-2000:]}{r.stderr[-3000:]}")


def part(o):
    """What runs inside: the whole run, or one case."""
    base, saves = os.path.join(o.folder, "base"), os.path.join(o.folder, "saves")
    if o.reference:
        result = reference(base, saves, o.phases.split(","))
    else:
        case = json.loads(o.case)
        with open(os.path.join(o.folder, "reference.json")) as f:
            expected = json.load(f)[case["phase"]]
        result = run_case(base, saves, case, expected["end"], expected["changes"])
    with open(o.result, "w") as f:
        json.dump(result, f)
    return 0


# ---- All of it --------------------------------------------------------------------------------------------------------------

def cases_of(found, phases):
    cases = [{"phase": p, "point": f"journal.{side}:{n + 1}", "step": r["step"], "record": f"{r['t']} {r['step']}/{r['op']}"}
             for p in phases for n, r in enumerate(found[p]["records"]) for side in ("before", "after")]
    if shutil.which("tmux"):
        cases += [{"phase": p, "point": which, "record": "begun from the console"} for p in phases if p != "rollback" for which in ("console", "both")]
    return cases


def name_of(case):
    return f"{case['phase']} {case['point']} ({case['record']})"


def spread(cases, found, phases):
    """For a sample: the middle of each phase first, then others, so that a short time sees many phases."""
    ranked = []
    for p in phases:
        mine = [c for c in cases if c["phase"] == p and c["point"].startswith("journal")]
        middle = len(mine) // 2
        ranked += [(abs(i - middle), phases.index(p), c) for i, c in enumerate(mine)]
    return [c for _, _, c in sorted(ranked, key=lambda x: x[:2])] + [c for c in cases if not c["point"].startswith("journal")]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=max(1, min(8, os.cpu_count() or 1)))
    parser.add_argument("--phases", default=",".join(PHASES + ["rollback"]))
    parser.add_argument("--point", default="", help="only these, e.g. console, journal.before:3")
    parser.add_argument("--resume", metavar="LOG", help="leave out what passed in the output of an earlier run")
    parser.add_argument("--sample", type=float, default=0, help="seconds")
    parser.add_argument("--keep", action="store_true", help="leave the folder")
    for inner in ("reference", "case", "folder", "result"):
        parser.add_argument("--" + inner, help=argparse.SUPPRESS, **({"action": "store_true"} if inner == "reference" else {}))
    o = parser.parse_args()
    if o.reference or o.case:
        return part(o)
    probe = subprocess.run([FERRYMAN, "--version"], capture_output=True, text=True, env=clean_env())
    if probe.returncode:
        fail("ferryman does not run: " + probe.stderr)
    with open(FERRYMAN, "rb") as f:
        if b"FERRYMAN_FAILPOINT" not in f.read():
            skip("this build has no failpoints: configure with --enable-failpoints")
    for tool in ("kubectl", "psql"):
        if not shutil.which(tool):
            skip(f"{tool} is not installed")
    phases, spaces = o.phases.split(","), namespaces()
    folder = tempfile.mkdtemp(prefix="ferryman-crash-")
    os.chmod(folder, 0o755)
    os.makedirs(os.path.join(folder, "base"))
    began = time.monotonic()
    try:
        found = child(["--reference", "--phases", o.phases], folder, os.path.join(folder, "reference"), spaces)
        with open(os.path.join(folder, "reference.json"), "w") as f:
            json.dump(found, f)
        ok(f"a whole run, {sum(len(found[p]['records']) for p in phases)} records of acts and outcomes in it, {time.monotonic() - began:.0f} s")
        cases = cases_of(found, phases)
        if o.point:
            cases = [c for c in cases if c["point"] in o.point.split(",")]
        if o.resume:
            with open(o.resume) as f:
                passed_before = {line.strip() for line in f if line.startswith("PASS: ")}
            cases = [c for c in cases if "PASS: " + name_of(c) not in passed_before]
        if o.sample:
            cases = spread(cases, found, phases)
        return matrix(cases, folder, o, spaces, time.monotonic() + o.sample if o.sample else None)
    finally:
        if not o.keep:
            shutil.rmtree(folder, ignore_errors=True)


def matrix(cases, folder, o, spaces, end):
    bad, ran, began = [], 0, time.monotonic()
    def one(numbered):
        n, case = numbered
        if end and n > 0 and time.monotonic() > end:
            return case, None
        own = os.path.join(folder, f"case-{n}")
        try:
            return case, child(["--case", json.dumps(case)], folder, own, spaces)
        except RuntimeError as e:
            return case, [str(e)]
        finally:
            shutil.rmtree(own, ignore_errors=True)
    with concurrent.futures.ThreadPoolExecutor(o.jobs if spaces else 1) as pool:
        for case, wrong in pool.map(one, enumerate(cases)):
            if wrong is None:
                continue
            ran += 1
            name = name_of(case)
            if wrong:
                bad.append(name)
                print(f"FAIL: {name}", *wrong[:8], sep="\n      ", flush=True)
            else:
                ok(name)
    print(f"{ran} of {len(cases)} kills in {time.monotonic() - began:.0f} s, {len(bad)} of them with another end", flush=True)
    for name in bad:
        print("  " + name)
    return 1 if bad or not ran else 0


if __name__ == "__main__":
    sys.exit(main())
