#!/usr/bin/env python3
"""The validation window on the sandbox's clock, ten times as fast: what is credited, what stops it, what restarts it, its early end, a token
that ends in the middle, an engine that dies or stands still, a clock that is set."""
import os
import signal
import sys

sys.path.insert(0, os.path.join(os.environ.get("top_srcdir", "."), "tests", "lib"))
from window import *

MINUTE = 60000
w = Window(duration="60m")
e = w.start()
check("read-only" in (e.send(verb="open", workload="vault", phase="window-1") or ""), "a window begins only when somebody is armed")
e.arm()
lines = e.begin()
check(any("1h00m covered by samples" in t for _, t in lines) and any("this window alone" in t for _, t in lines), "its dialog says how long, and that one yes begins one window")
check(any(l == "gate" and t.startswith("voters: PASS") for l, t in lines), "and what its gates answer now")
e.state("PASSING")
check(e.window()["pod"] == "vault-0" and e.window()["next"] == "vault-1 (follower)", "it names its pod and what comes after it")
until(lambda: e.window().get("credited", 0) >= 2 * MINUTE, "two minutes are credited", 30)
check(e.gate("write probe")["answer"] == "PASS" and e.row("raft_clusters", "vault")["write_probe"] == "OK", "the write probe runs, and the cluster says so")
check(set(e.gate("voters")["strip"]) <= set("pl-") and len(e.gate("voters")["strip"]) <= 96, "strips have at most 96 characters")

# ---- window-fail

before = e.window()["credited"]
w.control("scenario", "vault-sealed", "on")
e.state("FAILING")
check(e.window()["restarts"] == 1 and e.window()["credited"] == 0, f"window-fail: a sealed follower restarts it ({before // 1000} s are lost)")
check(w.said("restarted: "), "window-fail: the journal says why")
w.control("scenario", "vault-sealed", "off")
e.state("PASSING")
ok("window-fail: it begins again when the gate passes")

w.control("scenario", "leader-storage-stall", "on")
e.state("FAILING")
check(w.said("restarted: write probe") or w.said("restarted: leader", 1), "window-fail: a leader that ends no write restarts it, though all else answers")
w.control("scenario", "leader-storage-stall", "off")
e.state("PASSING", seconds=90)

# ---- What only stops its clock

credited = until(lambda: e.window().get("credited", 0) > MINUTE and e.window()["credited"], "a minute is credited", 30)
restarts = e.window()["restarts"]
w.control("scenario", "alert-firing", "on")
e.state("CLOCK STOPPED")
w.control("scenario", "app-down", "on")
until(lambda: e.gate("http").get("answer") == "FAIL", "HTTP fails", 30)
w.control("scenario", "alert-firing", "off")
w.control("scenario", "app-down", "off")
e.state("PASSING")
check(e.window()["restarts"] == restarts and e.window()["credited"] >= credited, "alerts and HTTP stop the clock: nothing is lost")
w.control("scenario", "alertmanager-down", "on")
e.state("CLOCK STOPPED")
check(e.gate("alerts")["answer"] == "NO DATA", "alerts that cannot be asked are NO DATA, never a pass")
w.control("scenario", "alertmanager-down", "off")
e.state("PASSING")

# ---- vault-token-expires-mid-window

failures = e.window()["failures"]
w.control("scenario", "vault-token-expires-mid-window", "on")
e.state("CLOCK STOPPED", "INCONCLUSIVE")
until(lambda: e.gate("write probe").get("answer") == "NO DATA" and "token" in e.gate("write probe").get("reason", ""), "the write probe says that it is the token", 30)
check(e.window()["failures"] == failures, "vault-token-expires: NO DATA with the reason, neither a pass nor a failure")
w.control("scenario", "vault-token-expires-mid-window", "off")
e.state("PASSING", seconds=60)
ok("vault-token-expires: it goes on with the token that came")

# ---- window-gap and window-inconclusive: the engine dies, and is there again

e.send(verb="override", workload="vault", gate="alerts", reason="they are asked elsewhere in this test")
until(lambda: e.window().get("credited", 0) > 2 * MINUTE, "two minutes are credited", 60)
now = e.window()
e.kill()
killed = time.monotonic()
until(lambda: time.monotonic() - killed > 3, "more than one and a half periods go by unwatched")  # else there is no gap
e = w.start()
e.wait(lambda: e.window().get("state") in ("PASSING", "CLOCK STOPPED", "WAITING", "INTERRUPTED"), "the window is shown again")
e.state("PASSING", seconds=60)
after = e.window()
check(after["restarts"] == now["restarts"] and after["credited"] > 0 and w.said("gap of "), "window-gap: the engine was killed; it goes on by itself, and the gap is a gap")
check(after["gaps"] > now["gaps"], f"window-gap: not credited ({(after['gaps'] - now['gaps']) // 1000} s)")
check(e.row("arming", "arming")["state"] == "READ-ONLY" and e.phase()["state"] in ("RUNNING", "WAITING"), "it needs nobody's yes to go on watching")

stood = time.monotonic() + 14
e.process.send_signal(signal.SIGSTOP)
until(lambda: time.monotonic() > stood, "time passes", 20)  # what is tried here is just that
e.process.send_signal(signal.SIGCONT)
e.wait(lambda: e.window().get("restarts", 0) > after["restarts"], "the machine stood still for too long", 30)
check(w.said("inconclusive: nothing was known for 2m"), "window-inconclusive: suspended for longer than max_gap")
check(e.window()["can_credit"] is True or e.window()["can_credit"] == 1, "a typed reason can give its credit back")
e.arm()
check("needs a reason" in (e.send(verb="credit", workload="vault", reason="") or ""), "not without a reason")
lost = e.window()["credited"]
check(e.send(verb="credit", workload="vault", reason="the host was suspended, the cluster was not") is None, "with one")
check(e.window()["credited"] > lost + MINUTE, "window-inconclusive: the credit is back")

# ---- clock-step

e.state("PASSING")
credited, gaps = e.window()["credited"], e.window()["gaps"]
w.control("advance", "90s")
check(w.said("the clock was set forward by 1m", 30), "clock-step: it is seen")
check(e.window()["credited"] < credited + MINUTE, "clock-step: set forward, nothing is credited for it")
with open(os.path.join(w.sandbox.dir, "clock")) as f:
    rate, origin, ahead = f.read().split()
with open(os.path.join(w.sandbox.dir, "clock"), "w") as f:
    f.write(f"{rate} {origin} {int(ahead) - 60000}\n")
check(w.said("the clock was set back by", 30), "clock-step: so is one back")
check(e.window()["restarts"] == after["restarts"] + 1, "clock-step: and back, it goes on")

# ---- The early end

e.state("PASSING")
check("needs a reason" in (e.send(verb="end", workload="vault", reason="") or ""), "early end: not without a reason")
asked = time.monotonic()
check(e.send(verb="end", workload="vault", reason="the maintenance ends at six") is None, "early end: with one")
check(e.window()["state"] in ("ENDING EARLY", "PASSING"), "early end: not at once")
e.state("ENDED EARLY")
check(time.monotonic() - asked >= 8, "early end: 90 s of the plan's clock, three checks")
e.wait(lambda: e.phase()["state"] == "DONE", "the phase is done")
check([r["value"] for r in w.journal(t="fact", name="window.1.done")] == ["early: the maintenance ends at six"], "early end: the reason is a fact")
check(e.row("raft_clusters", "vault")["write_probe"] == "NOT RUN" or e.wait(lambda: e.row("raft_clusters", "vault")["write_probe"] == "NOT RUN", "the probe is over"), "no write probe runs after it")
check(e.phase("pod-2")["state"] == "NEXT", "and no next pod begins by itself")
e.kill(signal.SIGTERM)
e = w.start()
e.wait(lambda: e.window().get("state") == "ENDED EARLY", "a later engine shows how it ended")
ok("the last window is shown from the journal")
e.kill(signal.SIGTERM)

# ---- A whole one, and a clock that is too fast for its samples

w = Window(duration="4m", max_gap="3m", plan=lambda t: t.replace("ignore: []", "ignore: [KubeJobFailed]"))
run = [FERRYMAN, *w.args, "run", "vault/window-1", "--arm", "home", "--confirm", "window-1=y"]
p = subprocess.Popen(run, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=w.env)
atexit.register(p.kill)
first = next((l for l in p.stdout if (m := re.search(r"PASSING: (\d+) % of 4m00s", l)) and int(m.group(1)) >= 20), None)
check(first, "run: a line at each step of what is covered")
p.kill()
p.wait()
killed = time.monotonic()
until(lambda: time.monotonic() - killed > 3, "more than one and a half periods go by unwatched")  # else there is no gap to be told of
again = subprocess.run(run, capture_output=True, text=True, env=w.env, timeout=150)
check(again.returncode == 0 and "phase window-1: DONE" in again.stdout, f"run: killed with -9 and run again, it goes on and passes ({again.stderr.strip()[-300:]})")
check(w.said("passed: 4m") and not w.journal(t="phase", phase="window-1", state="failed"), "a whole window passes when its duration is covered")
check(w.said("gap of ") or w.said("inconclusive", 1), "run: the time between is a gap")
w.sandbox.stop()

w = Window(scale=60)
e = w.start()
e.arm()
e.wait(lambda: e.row("raft_clusters", "vault").get("leader"), "the cluster is seen")
key, refused = e.dialog("window-1")
while not key and "STARTING" in refused:
    key, refused = e.dialog("window-1")
check(not key and "sample: 60s or more" in refused, f"a sample takes at least one second of real time: {refused}")
e.kill(signal.SIGTERM)
done()
