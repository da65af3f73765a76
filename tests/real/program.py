"""A server of the test: started with a log of its own, stopped, killed, paused and resumed. Everything lives in one
folder (ROOT), which is a tmpfs of the test's own mount namespace and vanishes with it."""

import os
import pwd
import signal
import socket
import subprocess
import threading

ROOT = os.environ.get("FERRYMAN_REAL_ROOT", "")
TICK = 0.05


def path(*parts):
    return os.path.join(ROOT, *parts)


def folder(*parts, owner=None):
    where = path(*parts)
    os.makedirs(where, exist_ok=True)
    if owner:
        os.chown(where, pwd.getpwnam(owner).pw_uid, -1)
    return where


def write(name, text, mode=0o600):
    os.makedirs(os.path.dirname(name), exist_ok=True)
    with open(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "w") as f:
        f.write(text)
    return name


def reached(condition, what, seconds):
    """Waits until condition() is true (an OSError counts as not yet) and returns its value; raises when the deadline
    passes."""
    gate = threading.Event()
    last = None
    for _ in range(int(seconds / TICK)):
        try:
            value = condition()
            if value:
                return value
        except OSError as e:
            last = e
        gate.wait(TICK)
    raise TimeoutError(f"not within {seconds:g} s: {what}" + (f" ({last})" if last else ""))


def listens(host, port):
    with socket.create_connection((host, port), 1):
        return True


class Program:
    def __init__(self, name, argv, user=None, env=None, stop_signal=signal.SIGTERM):
        self.name, self.argv, self.user, self.env, self.stop_signal = name, argv, user, env, stop_signal
        self.log = path("log", name + ".log")
        self.process = None

    def start(self):
        folder("log")
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                self.argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                user=self.user,
                env=self.env,
                start_new_session=True,
                cwd=ROOT,
            )
        return self

    def runs(self):
        return self.process is not None and self.process.poll() is None

    def tail(self):
        with open(self.log, errors="replace") as f:
            return f.read()[-1500:]

    def signal(self, number):
        self.process.send_signal(number)

    def pause(self):
        self.signal(signal.SIGSTOP)

    def resume(self):
        self.signal(signal.SIGCONT)

    def kill(self):
        self.signal(signal.SIGKILL)
        self.process.wait()

    def stop(self, seconds=20):
        if not self.runs():
            return
        self.signal(self.stop_signal)
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()

    def ready(self, condition, seconds=60):
        """Waits for condition; says what the program wrote last when it ends or does not get there."""

        def look():
            if not self.runs():
                raise RuntimeError(f"{self.name} ended with {self.process.returncode}: {self.tail()}")
            return condition()

        try:
            reached(look, f"{self.name} is ready", seconds)
        except TimeoutError as e:
            raise TimeoutError(f"{e}: {self.tail()}") from None
        return self
