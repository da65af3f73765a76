#!/usr/bin/env python3
"""Leaders that hang, as the sandbox plants them, seen while a window runs its write probe: class A without it, B and B' with it, C; each is
told apart, says since when, and is over when the leader goes on. A step-down is none of them. And an API server that is away for longer
than the lock lives. Four sandboxes side by side: what takes time here is waiting."""
import os
import sys

sys.path.insert(0, os.path.join(os.environ.get("top_srcdir", "."), "tests", "lib"))
from window import *


class Case(threading.Thread):
    """A window in a sandbox of its own; what is checked is told at the end."""

    def __init__(self, act):
        super().__init__(daemon=True)
        self.act, self.passed, self.failed = act, [], None
        self.w = Window(duration="24h", max_gap="5m", scale=1, plan=lambda t: t.replace("ignore: []", "ignore: [KubeJobFailed]"))
        self.e = self.w.start()
        self.e.arm()
        self.e.begin()
        self.e.state("PASSING")
        self.start()

    def cluster(self):
        return self.e.row("raft_clusters", "vault")

    def see(self, state, text, seconds, what):
        began = time.monotonic()
        while not (self.cluster().get("state") == state and text in (self.cluster().get("verdict") or "")):
            if time.monotonic() - began > seconds:
                raise RuntimeError(f"not within {seconds} s: {what}: {self.cluster().get('state')} {self.cluster().get('verdict')}")
            self.e.changed.clear()
            self.e.changed.wait(0.2)
        self.passed.append(f"{what} ({time.monotonic() - began:.0f} s)")

    def run(self):
        try:
            self.act(self)
        except BaseException as x:  # told by the main thread
            self.failed = f"{type(x).__name__} {x}"


def hung(c):
    c.see("OK", "", 30, "calm")
    c.w.control("leader", "next")
    end = time.monotonic() + 20
    while time.monotonic() < end:
        if c.cluster().get("state") in ("STUCK", "NO LEADER"):
            raise RuntimeError(f"a step-down is taken for {c.cluster()['state']}")
        c.e.changed.clear()
        c.e.changed.wait(0.2)
    c.passed.append("a step-down is no alarm")
    c.see("OK", "", 30, "calm again")
    if not c.e.window()["leader_changes"] or c.e.window()["failures"]:
        raise RuntimeError(f"the change of the leader: {c.e.window()}")
    c.passed.append("the window records it, and that is no failure")
    c.w.control("scenario", "leader-hung", "on")
    c.see("STUCK", "answers nothing", 60, "class A is told within a minute")
    c.w.control("scenario", "leader-hung", "off")
    c.see("OK", "", 60, "and is over")


def storage(c):
    c.w.control("scenario", "leader-storage-stall", "on")
    c.see("STUCK", "its storage does not end writes", 150, "class B is told: storage")
    if "LEADER STUCK since " not in c.cluster()["verdict"] or "index is frozen at " not in c.cluster()["verdict"] or c.cluster()["write_probe"] != "FAIL":
        raise RuntimeError(f"{c.cluster()}")
    c.w.control("scenario", "leader-storage-stall", "off")
    c.see("OK", "", 60, "and is over with the next write")


def audit(c):
    c.w.control("scenario", "leader-audit-stall", "on")
    c.see("STUCK", "its audit device hangs or is full", 150, "class B' is told: audit")
    c.w.control("scenario", "leader-audit-stall", "off")
    c.see("OK", "", 60, "and is over with the next write")


def outage(c):
    """For longer than a lock may live without the API server, and nobody looks."""
    c.e.leave()
    c.w.control("scenario", "api-down", "on")
    end = time.monotonic() + 110
    until(lambda: c.w.journal(t="phase", phase="window-1", state="interrupted"), "the lock is lost, and the window interrupted", 110)
    until(lambda: time.monotonic() > end, "time passes", 110)
    if c.e.process.poll() is not None:
        raise RuntimeError(f"the engine ended with {c.e.process.returncode}")
    c.passed.append("an engine without readers stays for a window that lost its lock")
    c.w.control("scenario", "api-down", "off")
    until(lambda: len(c.w.journal(t="phase", phase="window-1", state="begun")) > 1, "it goes on", 60)
    c.e.join()
    c.e.state("PASSING")
    if c.e.window()["failures"] or not c.e.window()["gaps"]:
        raise RuntimeError(f"{c.e.window()}")
    c.passed.append("it goes on by itself when the API server is there again: a gap, no failure")


cases = [Case(hung), Case(storage), Case(audit), Case(outage)]
for case in cases:
    case.join(400)
    for text in case.passed:
        ok(text)
    if case.failed or case.is_alive():
        fail(case.failed or "it does not end")
    case.e.kill(signal.SIGTERM)
    check(case.e.process.returncode == 0, "the engine ends well")
done()
