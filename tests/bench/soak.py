#!/usr/bin/env python3
"""make soak: what a validation window costs the machine that watches.

    tests/bench/soak.py [real [MINUTES]]

Without a word: a whole window of 24 hours on a plan clock 300 times as fast (a sample every 5 minutes, gaps up to 30): about 5 minutes. It
must pass, its journal stay under 10 MB, and the engine not grow by 1 MB after its first minute. With `real`: the plan's own window at real speed for
MINUTES (30): the engine costs less than 1 % of one core, and grows by less than 1 MB from minute 5 on; the journal of a day is reckoned from
that of these minutes. Numbers of a build with sanitizers are shown, and only what they do not change is judged. Exit status 0: all of it holds; 1: not."""
import sys
import os

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.environ.get("top_srcdir", "."), "tests", "lib"))
from window import *  # noqa: E402

DAY = 24 * 3600
MB = 1024 * 1024
real = sys.argv[1:2] == ["real"]
minutes = float(sys.argv[2]) if real and len(sys.argv) > 2 else 30
sanitized = b"__asan_init" in open(FERRYMAN, "rb").read()
tick = os.sysconf("SC_CLK_TCK")
faults = []


def cpu(pid):
    """Seconds of the engine itself, and of the programs that it ran (the lvs report)."""
    with open(f"/proc/{pid}/stat") as f:
        v = f.read().rsplit(")", 1)[1].split()
    return (int(v[11]) + int(v[12])) / tick, (int(v[13]) + int(v[14])) / tick


def rss(pid, which="VmRSS"):
    with open(f"/proc/{pid}/status") as f:
        return int(re.search(which + r":\s+(\d+)", f.read()).group(1)) * 1024


def rows():
    with e.lock:
        return sum(len(t) for t in e.tables.values())


def judge(name, value, unit, limit, judged=True):
    well = value < limit
    if judged and not well:
        faults.append(name)
    word = "not judged" if not judged else "ok" if well else "TOO MUCH"
    print(f"{name:38} {value:10.3f} {unit:3} limit {limit:g}  {word}", flush=True)


if real:
    w = Window(duration="24h", sample="10s", max_gap="5m", scale=1)
else:
    w = Window(duration="24h", sample="5m", max_gap="30m", scale=300)
e = w.start()
pid = e.process.pid
e.arm()
e.send(verb="override", workload="vault", gate="alerts", reason="what fires is not of this window")
e.begin()
e.state("PASSING", seconds=120)
path = os.path.join(w.folder, "journal.jsonl")
began, cpu0, size0 = time.monotonic(), cpu(pid), os.path.getsize(path)
settled = 300 if real else 60
marks = []
length = minutes * 60 if real else DAY / 300 * 2


def over():
    """Looks every second or so; the engine's size once a minute."""
    t = time.monotonic() - began
    if not marks or t - marks[-1][0] >= (60 if real else 15):
        marks.append((t, rss(pid)))
        n = e.window()
        print(f"{t:7.0f} s  rss {marks[-1][1] / MB:7.2f} MB (own {rss(pid, 'RssAnon') / MB:.2f})  rows {rows()}  cpu {cpu(pid)[0] - cpu0[0]:7.2f} s  {n.get('state')}  credited {n.get('credited', 0) // 1000} s"
              f"  gaps {n.get('gaps', 0) // 1000} s  restarts {n.get('restarts')}", flush=True)
    if e.process.poll() is not None:
        fail(f"the engine ended with {e.process.returncode}")
    return t >= length or e.window().get("state") == "PASSED"


until(over, "the window", length + 60)
spent, taken = time.monotonic() - began, [b - a for a, b in zip(cpu0, cpu(pid))]
final, size = rss(pid), os.path.getsize(path) - size0
base = [r for t, r in marks if t >= settled]
window = e.window()
print(f"\n{spent:.0f} s of real time; {window['state']}, credited {window['credited'] // 1000} s, gaps {window['gaps'] // 1000} s, "
      f"longest {window['longest_gap'] // 1000} s, restarts {window['restarts']}, failures {window['failures']}; {len(w.journal())} records{'; sanitized build' if sanitized else ''}")
judge("engine, of one core", 100 * taken[0] / spent, "%", 1, real and not sanitized)
judge("programs that it runs, of one core", 100 * taken[1] / spent, "%", 1, False)
judge("engine, resident", final / MB, "MB", 64, not sanitized)
judge(f"growth from {settled // 60} min on", (max(base + [final]) - base[0]) / MB if base else 0, "MB", 1, not sanitized)
judge("journal of a day", size * (DAY / spent if real else 1) / 1e6, "MB", 10)
if not real and window["state"] != "PASSED":
    faults.append(f"the window is {window['state']}")
if window["restarts"] or window["failures"]:
    faults.append("the window was restarted")
e.kill(signal.SIGTERM)
w.sandbox.stop()
print("soak:", "; ".join(faults) if faults else "all of it holds")
sys.exit(1 if faults else 0)
