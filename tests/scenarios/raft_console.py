#!/usr/bin/env python3
"""Vault's set is moved from the console alone, with the keys that it shows: three pods with a window after each, the leader last. A client writes
all the while: only the step-down stops it."""
import sys
import os

sys.path.insert(0, os.path.join(os.environ.get("top_srcdir", "."), "tests", "lib"))
from roll import *

roll = Roll()
t = Terminal([FERRYMAN, "--plan", roll.plan, "--kubeconfig", roll.sandbox.kubeconfig], 120, 40, roll.env)
TYPED = {"template": "vault", "pod-1": "vault-0", "pod-2": "vault-1", "step-down": "vault-2", "pod-last": "vault-2"}
GATES = {"preflight": ("alerts", "backups"), "verify": ("alerts", "backups")}


def ended(phase):
    last = [r for r in roll.journal() if r["t"] == "phase" and r.get("phase") == phase and r.get("workload") == "vault"]
    return last[-1] if last and last[-1]["state"] in ("done", "failed", "aborted") else None


def ask(key, label, text):
    t.keys(key)
    t.wait(label, 60)
    t.type(text)
    t.keys("Enter")


def begin(phase):
    """By r, then what the dialog asks for; keys that come before the dialog is ready do not count, so they are given again."""
    for gate in GATES.get(phase, ()):
        ask("o", "gate to pass over", gate)
        t.wait(f"may '{gate}' be passed over", 60)
        t.type("a test")
        t.keys("Enter")
        until(lambda g=gate: any(r["t"] == "override" and r.get("gate") == g for r in roll.journal()), f"{gate} is passed over", 20)
    known = len(roll.journal())
    t.wait(f"vault · {phase}", 60)
    t.keys("r")
    t.wait("[ Cancel ]", 60)
    typed = TYPED.get(phase)
    t.wait((lambda screen: re.search(rf"[Tt]ype {typed}", screen)) if typed else "y goes on", 60)
    def begun():
        if any(r["t"] == "phase" and r["state"] == "begun" and r.get("phase") == phase for r in roll.journal()[known:]):
            return True
        screen = t.screen()
        if "[ Cancel ]" in screen:
            if typed and f"[{typed}" not in screen:
                t.type(typed)
            t.keys("Enter" if typed else "y")
        threading.Event().wait(0.5)
        return False
    until(begun, f"{phase} has begun", 60)


t.wait("vault", 60)
t.keys("5")
t.wait("PHASE  ", 60)
until(lambda: "PHASE  vault" in t.screen() or t.keys("Tab") or threading.Event().wait(0.5), "the console shows vault's phases", 30)
ask("A", "type the context's name", "home")
t.wait("ARMED 14:", 60)
before = objects(roll.sandbox)
writer = Writer(roll.sandbox)
writer.start()
for phase in PHASES:
    began = time.monotonic()
    begin(phase)
    if phase == "window-1":
        t.keys("6")
        t.wait("WINDOW", 30)
        t.wait("PASSING", 60)
        check("voters" in t.screen() and "write probe" in t.screen(), "the window's screen shows its gates")
        t.keys("5")
    end = until(lambda: ended(phase), f"{phase} comes to its end", LIMIT)
    check(end["state"] == "done", f"{phase} is done from the console ({time.monotonic() - began:.0f} s){': ' + end.get('reason', '') if end.get('reason') else ''}")
    if phase == "step-down":
        down = (began, time.monotonic())
gaps = [g for g in writer.end() if g[1] - g[0] > 1.0]
check(all(down[0] <= g[0] and g[1] <= down[1] for g in gaps), f"of {writer.writes} writes only the step-down stopped some: {len(gaps)} gaps of more than 1 s")
after = objects(roll.sandbox)
for name, claim in sorted(after["claims"].items()):
    if name in before["claims"] and re.fullmatch(r"(data|audit)-vault-\d", name):
        check(claim["spec"]["storageClassName"] == ENCRYPTED and uid(claim) != uid(before["claims"][name]), f"{name} is a new claim of {ENCRYPTED}")
check("quorum" not in roll.control("alarms").lower(), "no majority was lost")
t.stop()
