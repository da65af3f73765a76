#!/usr/bin/env python3
"""The console acts, by its keys alone: arming, dialogs refused and cancelled in every way that matters, two phases confirmed, an
engine that is killed behind an open dialog. What was sent is judged by what the engine did: its journal and the cluster."""
import glob
import os
import signal
import sys
import tempfile

sys.path.insert(0, os.path.join(os.environ.get("top_srcdir", "."), "tests", "lib"))
from ferry import *

state = tempfile.mkdtemp(prefix="ferryman-acts-")
sandbox = Sandbox("--small-db")
command = [FERRYMAN, *sandbox.args]
env = clean_env(XDG_STATE_HOME=state)
engines_here = lambda: engines(sandbox.dir)


def journal():
    files = glob.glob(os.path.join(state, "ferryman", "*", "journal.jsonl"))
    if not files:
        return []
    with open(files[0]) as f:
        return [json.loads(line) for line in f if line.endswith("}\n")]


def records(**match):
    return [r for r in journal() if all(r.get(k) == v for k, v in match.items())]


def prompt(t, key, label, text):
    t.keys(key)
    t.wait(label)
    t.type(text)
    t.keys("Enter")


def press(t, act, seen, what):
    """Keys that come within 300 ms of what they would answer do not count: pressed anew until they do."""
    def pressed():
        act()
        end = time.monotonic() + 0.8
        while not seen(t.screen()) and time.monotonic() < end:
            threading.Event().wait(STEP)
        return seen(t.screen())
    until(pressed, what, 10)


def answer(t, key):
    press(t, lambda: t.keys(key), lambda s: "[ Cancel ]" not in s, f"{key} ends the dialog")


t = Terminal(command, 80, 24, env)
t.wait("vault", 30)
t.keys("5")
t.wait("PHASE  immich-postgres")
t.wait("read-only: A arms")
t.keys("r")
t.wait("start: read-only: A arms")
check(not records(t="dialog"), "a console that is not armed opens no dialog")

prompt(t, "A", "type the context's name", "hom")
t.wait("not armed")
check("READ-ONLY" in t.screen().split("\n")[0] and not records(t="armed"), "half a name does not arm")
prompt(t, "A", "type the context's name", "home")
t.wait("ARMED 14:")
check(len(records(t="armed")) == 1, "the context's name arms")

second = Terminal(command, 80, 24, env)
second.wait("armed elsewhere by", 30)
second.keys("5", "r")
second.wait("is armed elsewhere")
second.stop()
ok("another console sees who is armed, and may not act")

for key in ("Escape", "n", "q", "Enter", "C-c", "C-g"):
    t.keys("r")
    t.wait("[ Cancel ]")
    answer(t, key)
    check(not t.dead(), f"{key} says no, and no more than that")
until(lambda: len(records(t="dialog", state="cancelled")) == 6, "six dialogs are cancelled in the journal", 10)
check(not records(t="phase"), "six times no: nothing was begun")

prompt(t, "N", "note:", "the NAS is slow today")
until(lambda: [r for r in records(t="note") if "NAS is slow" in r.get("text", "")], "the note is in the journal", 10)
ok("a note is kept")

prompt(t, "o", "gate to pass over", "alerts")
t.wait("why may 'alerts' be passed over")
t.type("the subtitles job is unrelated")
t.keys("Enter")
until(lambda: records(t="override", gate="alerts"), "the override is in the journal", 10)

for phase in ("preflight", "inventory"):
    t.wait(f"immich-postgres · {phase}", 20)
    t.keys("r")
    t.wait("y goes on. Enter cancels.", 30)
    answer(t, "y")
    until(lambda: records(t="phase", phase=phase, state="done"), f"{phase} is done", 60)
    ok(f"{phase}: y, and it is done")

t.keys(":")
t.type("skip")
t.keys("Enter")
t.wait("why may rehearse be passed over")
t.type("rehearsed elsewhere")
t.keys("Enter")
t.wait("immich-postgres · quiesce")
ok("an optional phase is passed over, with a reason")

t.keys("r")
t.wait("HARD TO UNDO")
t.wait("Type immich-postgresql to go on", 30)
press(t, lambda: t.type("immich"), lambda s: "[immich" in s, "the field takes what is typed")
t.keys("Enter")
t.wait("nothing was done")
check(not records(t="phase", phase="quiesce"), "half the name and Enter begin nothing")
os.kill(engines_here()[0], signal.SIGKILL)
t.wait("the engine has gone: the dialog is closed")
t.wait(lambda s: "ENGINE GONE" not in s and "READ-ONLY" in s.split("\n")[0], 30)
t.wait("immich-postgres · quiesce")
check(not records(t="phase", phase="quiesce"), "an engine that is killed behind a dialog comes back read-only, with nothing begun")
t.keys("q")
until(t.dead, "q ends the console", 10)
t.stop()
until(lambda: not engines_here(), "no engine stays behind", 15)
shutil.rmtree(state, ignore_errors=True)
done()
