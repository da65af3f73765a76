"""ferryman as an operator starts it: phases one after another, each with what its dialog asks for; or as a command that
goes on while something is done to it."""

import os
import subprocess
import threading

from ferry import *
from program import folder, path

WORKLOAD, CONTEXT = "vault", "mover"


def note(text):
    with open(path("log", "ferryman.log"), "a") as f:
        f.write(text)


def ferryman(w, *words, seconds=600, status=0, state="state"):
    """Runs it to its end; returns what it said. status None: any."""
    env = clean_env(XDG_STATE_HOME=folder(state))
    r = subprocess.run([FERRYMAN, *w.args, *words], env=env, capture_output=True, text=True, timeout=seconds)
    said = r.stdout + r.stderr
    note(f"$ ferryman {' '.join(words)}\n{said}[{r.returncode}]\n")
    if status is not None and r.returncode != status:
        print(said, flush=True)
        fail(f"ferryman {' '.join(words)}: status {r.returncode}, not {status}")
    return said


def one(phase, typed):
    if phase == "rollback":
        return ["rollback", WORKLOAD, "--arm", CONTEXT, "--confirm", f"rollback={typed}"]
    return ["run", f"{WORKLOAD}/{phase}", "--arm", CONTEXT, "--confirm", f"{phase}={typed}"]


def move(w, phase, typed="y", *more, **how):
    said = ferryman(w, *one(phase, typed), *more, **how)
    end = "rollback/end DONE" if phase == "rollback" else f"phase {phase}: DONE"
    if how.get("status", 0) == 0 and end not in said:
        print(said, flush=True)
        fail(f"{phase}: not DONE")
    return said


class Run:
    """A command that goes on while we do something to it."""

    def __init__(self, w, *words, state="state"):
        env = clean_env(XDG_STATE_HOME=folder(state))
        self.said, self.words = [], words
        self.process = subprocess.Popen(
            [FERRYMAN, *w.args, *words], env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        for line in self.process.stdout:
            note(line)
            self.said.append(line)

    def text(self):
        return "".join(self.said)

    def over(self):
        return self.process.poll() is not None and not self.reader.is_alive()

    def wait(self, text, seconds=120):
        def seen():
            if self.over() and text not in self.text():
                fail(f"it ended without saying {text!r}: {self.text()[-2500:]}")
            return text in self.text()

        until(seen, text, seconds)

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.reader.join(10)

    def end(self, status=0, seconds=600):
        self.process.wait(seconds)
        self.reader.join(10)
        if status is not None and self.process.returncode != status:
            fail(f"{' '.join(self.words)}: status {self.process.returncode}, not {status}: {self.text()[-2500:]}")
        return self.text()


def killed(w, phase, typed, marks, meanwhile=lambda: None):
    """Killed when it has said each of these, and begun again: what was done is seen to be done. Returns what the last
    one said."""
    for mark in marks:
        run = Run(w, *one(phase, typed))
        until(lambda: mark in run.text() or run.over(), mark, 240)
        run.kill()
        if f"phase {phase}: DONE" in run.text():
            fail(f"{phase} was over before it said {mark!r}: {run.text()[-1500:]}")
        if mark not in run.text():
            fail(f"{phase} never said {mark!r}: {run.text()[-2500:]}")
        meanwhile()
    said = move(w, phase, typed)
    ok(f"{phase}: killed -9 {len(marks)} times (at {', '.join(m.split('/')[-1] for m in marks)}), begun again by the same journal, DONE")
    return said
