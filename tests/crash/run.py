#!/usr/bin/env python3
"""The crash matrix: ferryman is killed (-9) right before and right after each record of an act or an outcome that a whole migration
writes, each time from a cluster and a journal that were saved at the beginning of that phase. Started again it must reach the end
of the phase with the same end state, and no act done twice.

    run.py [--workload immich-postgres,vault] [--jobs N] [--phases a,b] [--sample SECONDS] [--keep]   needs --enable-failpoints

First one whole run of the workload is made, phase after phase, with `ferryman run`; before each phase the sandbox and the state folder
are saved, after each the end state is noted: the objects, their generations, the server or the raft cluster, fences, files. Then each
case: the saved sandbox goes on in the same folder, ferryman is killed at the Nth record (FERRYMAN_FAILPOINT=journal.before:N,
journal.after:N), started again, and the end state compared. Once for each phase it is begun from the console, and the console alone is
killed (its engine ends the phase), then console and engine. What differs between the workloads is in postgres.py and vault.py.

Cases run beside one another where mount and network namespaces may be made (each sees the same paths, ports and addresses), else
one after another. With --sample, a few cases that are spread over the phases are taken for as long as the time lasts, at least one.
"""
import argparse
import concurrent.futures
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import postgres
import vault
from cluster import *

WORKLOADS = {w.NAME: w for w in (postgres, vault)}


# ---- The whole run, and one case --------------------------------------------------------------------------------------------

def points(records):
    return [r for r in records if r["t"] in ("act", "outcome")]


def whole(w):
    """Every phase of the run, then the ways back, and those from the middle of a phase."""
    return [*w.PHASES, *w.BACK, *w.HALFWAY]


def needed(w, phases):
    """What has to be run as a whole for the cases of these."""
    return [p for p in whole(w) if p not in w.HALFWAY and (p in phases or any(p in w.HALFWAY[h][:2] for h in phases if h in w.HALFWAY))]


def start_of(w, phase):
    """(the folder that it starts from, what is run first)"""
    return w.PRELUDE.get(phase, (w.BACK.get(phase, phase), []))


def reference(w, base, saves, phases):
    """Runs every phase; {phase: {"records": its acts and outcomes, "end": …}}; a folder in `saves` for each of `phases`."""
    cluster, found = Cluster(w, base), {}
    wanted = {start_of(w, p)[0] for p in phases}
    last = max([w.PHASES.index(p) for p in (*phases, *wanted) if p in w.PHASES])
    for phase in [*w.PHASES[:last + 1], *(p for p in w.BACK if p in phases)]:
        if phase in w.BACK:
            cluster.stop()
            shutil.rmtree(os.path.join(base, "sb"))
            cluster = Cluster(w, base, os.path.join(saves, w.BACK[phase]))
        elif phase in wanted:
            cluster.save(os.path.join(saves, phase))
        before, began = len(cluster.journal()), time.monotonic()
        w.prepare(cluster, phase)
        cluster.control("audit", "clear")
        if phase in w.SKIPPED and phase not in phases:
            r = cluster.ferryman("run", f"{w.NAME}/{phase}", "--arm", "home", "--skip", f"{phase}={w.SKIPPED[phase]}")
        else:
            r = cluster.phase(phase)
        if r.returncode:
            raise RuntimeError(f"{phase} ended with {r.returncode}: {r.stdout[-3000:]}{r.stderr[-3000:]}")
        here = points(cluster.journal()[before:])
        found[phase] = {"records": here, "changes": cluster.changes(), "end": w.end_state(cluster) if phase in phases else None}
        print(f"  {phase}: {len(here)} records of acts and outcomes, {time.monotonic() - began:.1f} s", flush=True)
    cluster.stop()
    shutil.rmtree(os.path.join(base, "sb"), ignore_errors=True)
    return found


REQUEST = re.compile(r"(SQL|POST|PUT|PATCH|DELETE) (?!.*(pg_reload_conf|CHECKPOINT))|\S+ POST /v1/sys/")


def done_twice(w, records, phase):
    """Requests and statements of the phase that were carried out more than once, but for those of steps that begin anew by design. Jobs
    (a dump, a look at many things) are begun again when they were interrupted; to reload or checkpoint twice is as good as once."""
    phase, case = w.ACTION.get(phase, phase), phase
    requests = {(r["step"], r["op"]) for r in records if r["t"] == "act" and r.get("phase") == phase and REQUEST.match(r.get("request", ""))}
    count = {}
    for r in records:
        if r["t"] == "outcome" and r.get("phase") == phase and r["result"] in ("done", "lost-answer-done") and (r["step"], r["op"]) in requests:
            count[r["step"], r["op"]] = count.get((r["step"], r["op"]), 0) + 1
    return [f"{s}/{o} was done {n} times" for (s, o), n in count.items() if n > 1 and not anew(w, case, s)]


def anew(w, phase, step):
    return phase in w.ANEW and (w.ANEW[phase] is None or step is None or step in w.ANEW[phase])


def changed_more(cluster, case, expected):
    """The same as the API server saw it."""
    if anew(cluster.workload, case["phase"], case.get("step")):
        return []
    return [f"{what}: changed {n} times, not {expected.get(what, 0)}" for what, n in cluster.changes().items() if n > expected.get(what, 0)]


def console_to(cluster, phase):
    """A console that is armed and has begun the phase by its keys; the phase is under way, or done already."""
    w, known = cluster.workload, len(cluster.journal())
    t = Terminal([FERRYMAN, *cluster.args], 100, 30, dict(cluster.env))
    def asked(key, label, text):
        t.keys(key)
        t.wait(label, 60)
        t.type(text)
        t.keys("Enter")
    t.wait("vault", 60)
    t.keys("5")
    t.wait("PHASE  ", 60)
    def shown():
        if f"PHASE  {w.NAME}" in t.screen():
            return True
        t.keys("Tab")
        threading.Event().wait(0.5)
        return False
    until(shown, f"the console shows {w.NAME}", 60)
    asked("A", "type the context's name", "home")
    t.wait("ARMED 14:", 60)
    for gate, why in w.asks(phase).items():
        asked("o", "gate to pass over", gate)
        t.wait(f"may '{gate}' be passed over", 60)
        t.type(why)
        t.keys("Enter")
    t.wait(f"{w.NAME} · {phase}", 60)
    t.keys("r")
    t.wait("[ Cancel ]", 60)
    typed = w.TYPED.get(phase, "y")
    t.wait((lambda s: re.search(rf"[Tt]ype (the context, )?{typed}", s)) if phase in w.TYPED else "y goes on", 60)
    def said(screen):
        if any(r["t"] == "phase" and r["state"] == "begun" for r in cluster.journal()[known:]):
            return True
        if "[ Cancel ]" in screen:  # keys that come too early do not count
            if phase in w.TYPED and f"[{typed}" not in screen:
                t.type(typed)
            t.keys("Enter" if phase in w.TYPED else typed)
        threading.Event().wait(0.5)
        return False
    t.wait(said, 60)
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
    """The end state against the expected one."""
    w = cluster.workload
    now = w.end_state(cluster)
    for key in set(now["objects"]) - set(expected["objects"]):
        if key.startswith("Lease "):
            now["objects"].pop(key)
    if "back" in case or anew(w, case["phase"], case.get("step")):
        w.forgive(case, (now, expected))
    return differences(expected, now)


def run_case(w, base, saves, case, expected, changes):
    """One kill and the way back; a list of what is wrong."""
    phase, point = case["phase"], case["point"]
    start, prelude = start_of(w, phase)
    cluster = Cluster(w, base, os.path.join(saves, start))
    try:
        for earlier in prelude:
            r = cluster.phase(earlier)
            if r.returncode:
                return [f"{earlier} before it ended with {r.returncode}: {r.stdout[-1500:]}{r.stderr[-1500:]}"]
        w.prepare(cluster, phase)
        before = len(cluster.journal())
        cluster.control("audit", "clear")
        if point in ("console", "both"):
            wrong = kill_console(cluster, case)
            if wrong:
                return [wrong]
            if point == "both":  # an engine that was killed at the very end could not let go of it
                expected["objects"].pop(f"Lease ferryman-{w.NAME}", None)
            return compared(cluster, case, expected) + done_twice(w, cluster.journal()[before:], phase)
        first = cluster.phase(phase, failpoint=point)
        if first.returncode != -9:
            return [f"was to be killed at {point}, ended with {first.returncode}: {first.stdout[-1500:]}{first.stderr[-1500:]}"]
        killed = len(cluster.journal())
        second = cluster.phase(case.get("back", phase))
        if second.returncode:
            return [f"started again it ended with {second.returncode}: {second.stdout[-2500:]}{second.stderr[-2500:]}"]
        wrong = compared(cluster, case, expected) + done_twice(w, cluster.journal()[before:], phase)
        wrong += done_twice(w, cluster.journal()[before:], case["back"]) if "back" in case else changed_more(cluster, case, changes)
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
    w = WORKLOADS[o.workload]
    base, saves = os.path.join(o.folder, "base"), os.path.join(o.folder, "saves")
    if o.reference:
        result = reference(w, base, saves, o.phases.split(","))
    else:
        case = json.loads(o.case)
        with open(os.path.join(o.folder, "reference.json")) as f:
            expected = json.load(f)[case.get("back", case["phase"])]
        result = run_case(w, base, saves, case, expected["end"], expected["changes"])
    with open(o.result, "w") as f:
        json.dump(result, f)
    return 0


# ---- All of it --------------------------------------------------------------------------------------------------------------

def cases_of(w, found, phases):
    cases = [{"workload": w.NAME, "phase": p, "point": f"journal.{side}:{n + 1}", "step": r["step"], "record": f"{r['t']} {r['step']}/{r['op']}"}
             for p in phases if p not in w.HALFWAY for n, r in enumerate(found[p]["records"]) for side in ("before", "after")]
    for half in (h for h in phases if h in w.HALFWAY):  # what has begun is not ended but taken back
        p, back, step = w.HALFWAY[half]
        first = next(n for n, r in enumerate(found[p]["records"]) if r["step"] == step)
        cases += [{"workload": w.NAME, "phase": p, "back": back, "point": f"journal.after:{n + 1}", "step": r["step"],
                   "record": f"{half}: {r['t']} {r['step']}/{r['op']}"} for n, r in enumerate(found[p]["records"]) if n >= first]
    if shutil.which("tmux"):
        cases += [{"workload": w.NAME, "phase": p, "point": which, "record": "begun from the console"} for p in phases if p in w.PHASES
                  for which in ("console", "both")]
    return cases


def name_of(case):
    return f"{case['workload']} {case['phase']} {case['point']} ({case['record']})"


def spread(w, cases, phases):
    """For a sample: the middle of each phase first, then others, so that a short time sees many phases."""
    ranked = []
    for p in phases:
        half = w.HALFWAY.get(p)
        mine = [c for c in cases if c["phase"] == (half[0] if half else p) and ("back" in c) == bool(half) and c["point"].startswith("journal")]
        middle = len(mine) // 2
        ranked += [(abs(i - middle), phases.index(p), c) for i, c in enumerate(mine)]
    return [c for _, _, c in sorted(ranked, key=lambda x: x[:2])] + [c for c in cases if not c["point"].startswith("journal")]


def options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workload", default=",".join(WORKLOADS))
    parser.add_argument("--jobs", type=int, default=max(1, min(8, os.cpu_count() or 1)))
    parser.add_argument("--phases", default="", help="of all workloads that are asked for; else every one")
    parser.add_argument("--point", default="", help="only these, e.g. console, journal.before:3")
    parser.add_argument("--resume", metavar="LOG", help="leave out what passed in the output of an earlier run")
    parser.add_argument("--sample", type=float, default=0, help="seconds")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="only each Nth record's kills")
    parser.add_argument("--keep", action="store_true", help="leave the folder")
    parser.add_argument("--use", metavar="FOLDER", help="the whole run that --keep left there")
    for inner in ("reference", "case", "folder", "result"):
        parser.add_argument("--" + inner, help=argparse.SUPPRESS, **({"action": "store_true"} if inner == "reference" else {}))
    return parser.parse_args()


def main():
    o = options()
    if o.reference or o.case:
        return part(o)
    probe = subprocess.run([FERRYMAN, "--version"], capture_output=True, text=True, env=clean_env())
    if probe.returncode:
        fail("ferryman does not run: " + probe.stderr)
    with open(FERRYMAN, "rb") as f:
        if b"FERRYMAN_FAILPOINT" not in f.read():
            skip("this build has no failpoints: configure with --enable-failpoints")
    workloads = [WORKLOADS[name] for name in o.workload.split(",")]
    for tool in sorted({t for w in workloads for t in w.TOOLS}):
        if not shutil.which(tool):
            skip(f"{tool} is not installed")
    codes = [one_workload(w, o, namespaces()) for w in workloads]
    return max(codes)


def whole_run(w, o, folder, phases, spaces):
    kept, began = os.path.join(folder, "reference.json"), time.monotonic()
    if o.use:
        with open(kept) as f:
            return json.load(f)
    found = child(["--reference", "--workload", w.NAME, "--phases", ",".join(needed(w, phases))], folder, os.path.join(folder, "reference"), spaces)
    with open(kept, "w") as f:
        json.dump(found, f)
    ok(f"{w.NAME}: a whole run, {sum(len(found[p]['records']) for p in needed(w, phases))} records of acts and outcomes in it, {time.monotonic() - began:.0f} s")
    return found


def one_workload(w, o, spaces):
    phases = o.phases.split(",") if o.phases else whole(w)
    folder = o.use or tempfile.mkdtemp(prefix="ferryman-crash-")
    os.chmod(folder, 0o755)
    os.makedirs(os.path.join(folder, "base"), exist_ok=True)
    try:
        found = whole_run(w, o, folder, phases, spaces)
        cases = cases_of(w, found, phases)
        if o.every > 1:
            cases = [c for n, c in enumerate(cases) if n // 2 % o.every == 0]
        if o.point:
            cases = [c for c in cases if c["point"] in o.point.split(",")]
        if o.resume:
            with open(o.resume) as f:
                passed_before = {line.strip() for line in f if line.startswith("PASS: ")}
            cases = [c for c in cases if "PASS: " + name_of(c) not in passed_before]
        if o.sample:
            cases = spread(w, cases, phases)
        return matrix(cases, folder, o, spaces, time.monotonic() + o.sample if o.sample else None)
    finally:
        if o.keep:
            print("kept:", folder, flush=True)
        elif not o.use:
            shutil.rmtree(folder, ignore_errors=True)


def matrix(cases, folder, o, spaces, end):
    bad, ran, began = [], 0, time.monotonic()
    def one(numbered):
        n, case = numbered
        if end and n > 0 and time.monotonic() > end:
            return case, None
        own = tempfile.mkdtemp(prefix="case-", dir=folder)
        try:
            return case, child(["--case", json.dumps(case), "--workload", case["workload"]], folder, own, spaces)
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
