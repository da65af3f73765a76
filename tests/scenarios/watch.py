#!/usr/bin/env python3
"""ferryman watch: a line for each change, a summary and an exit status without a terminal; the window on the whole screen with one;
an engine that is started where none runs, and found again when it was killed.

Windows last for a day, so an engine of the test's own tells of them: it serves a stream that was written by hand on the socket that a
reader is told to use."""
import fcntl
import os
import pty
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time

sys.path.insert(0, os.path.join(os.environ.get("top_srcdir", "."), "tests", "lib"))
from ferry import *
import window

HOUR = 3600000
GATES = ("voters", "caught up", "unsealed", "leader", "write probe", "alerts", "http")


class Engine:
    """Serves rows on a unix socket to readers that come and go; each gets the whole world, then what changes, and a tick a second."""

    def __init__(self, path):
        self.path, self.rows, self.readers, self.seq = path, {}, [], 0
        self.lock = threading.RLock()
        self.intents = []
        self.start()

    def start(self):
        if os.path.exists(self.path):
            os.unlink(self.path)
        self.server = socket.socket(socket.AF_UNIX)
        self.server.bind(self.path)
        self.server.listen(8)
        self.alive = threading.Event()
        threading.Thread(target=self._accept, args=(self.server,), daemon=True).start()
        threading.Thread(target=self._tick, args=(self.alive,), daemon=True).start()

    def _accept(self, server):
        while True:
            try:
                reader, _ = server.accept()
            except OSError:
                return
            with self.lock:
                out = [dict(t="hello", schema=1, version="0.1.0", plan="nfs-hostile", context="home", peer=1, pid=1, now=self.now()), dict(t="begin")]
                out += [self._upsert(*k) for k in self.rows] + [dict(t="end", seq=self.seq), dict(t="commit", seq=self.seq)]
                self.readers.append(reader)
                self._send([reader], out)
            threading.Thread(target=self._read, args=(reader,), daemon=True).start()

    def _read(self, reader):
        try:
            for line in reader.makefile():
                self.intents.append(json.loads(line))
        except OSError:
            pass

    def _tick(self, alive):
        while not alive.wait(1):
            with self.lock:
                self._send(self.readers, [dict(t="tick", now=self.now())])

    def now(self):
        return int(time.time() * 1000)

    def _upsert(self, table, key):
        return dict(t="upsert", table=table, key=key, src="", seq=self.seq, at=self.now(), row=self.rows[table, key])

    def _send(self, readers, records):
        data = "".join(json.dumps(r) + "\n" for r in records).encode()
        for r in list(readers):
            try:
                r.sendall(data)
            except OSError:
                self.readers.remove(r)

    def put(self, **tables):
        """put(windows={"vault": {…}}): changes rows, in one turn."""
        with self.lock:
            out = []
            for table, rows in tables.items():
                for key, row in rows.items():
                    self.seq += 1
                    self.rows[table, key] = {k: v for k, v in dict(self.rows.get((table, key), {}), **row).items() if v is not None}
                    out.append(self._upsert(table, key))
            self._send(self.readers, out + [dict(t="commit", seq=self.seq)])

    def die(self):
        """As if it were killed."""
        self.alive.set()
        self.server.shutdown(socket.SHUT_RDWR)
        self.server.close()
        os.unlink(self.path)
        with self.lock:
            for r in self.readers:
                r.shutdown(socket.SHUT_RDWR)
                r.close()
            self.readers = []


def world_of_a_window(e):
    now = e.now()
    e.put(plan={"plan": dict(name="nfs-hostile", context="home", state="OK")},
          sources={"vault/vault-0": dict(server="vault", kind="vault-0", state="LIVE", since=now, last_ok=now, objects=1, requests=1)},
          plan_workloads={"vault": dict(name="vault", kind="raft-rolling", namespace="vault", object="StatefulSet/vault", state="WAITING", phase="window-1")},
          phases={"vault/window-1": dict(workload="vault", name="window-1", title="vault-0: validation window", state="WAITING", rank=5)},
          gates={"three voters": dict(name="three voters", answer="PASS", rank=1)},
          windows={"vault": dict(workload="vault", phase="window-1", pod="vault-0", state="PASSING", started=now - 2 * HOUR, duration=24 * HOUR,
                                 credited=2 * HOUR, gaps=0, longest_gap=0, max_gap=300000, failures=0, restarts=0, leader_changes=0,
                                 earliest=now + 22 * HOUR, sampled=now, sample=10000, bucket=900000, next="vault-1 (follower)", can_credit=False)},
          window_gates={f"vault/{g}": dict(workload="vault", name=g, answer="PASS", strip="p" * 8, rank=i) for i, g in enumerate(GATES)})


class Lines:
    """ferryman watch --headless, line by line."""

    def __init__(self, *words):
        self.lines = []
        self.process = subprocess.Popen([FERRYMAN, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True, env=clean_env())
        atexit.register(lambda: self.process.poll() is None and self.process.kill())
        self.reader = threading.Thread(target=lambda: [self.lines.append(l.rstrip("\n")) for l in self.process.stdout], daemon=True)
        self.reader.start()

    def wait(self, text, seconds=20):
        return until(lambda: next((l for l in self.lines if text in l), None) or (self.process.poll() is not None and fail(
            f"it ended with {self.process.returncode} before it said {text!r}: {self.lines} {self.process.stderr.read()}")), f"a line with {text!r}", seconds)

    def end(self):
        code = self.process.wait(20)
        self.reader.join(20)
        return code


folder = tempfile.mkdtemp(prefix="ferryman-watch-")
atexit.register(shutil.rmtree, folder, True)
path = os.path.join(folder, "engine.sock")
e = Engine(path)
world_of_a_window(e)
headless = ("--socket", path, "watch", "--headless")

# A line a change, until the window is over.
w = Lines(*headless)
first = w.wait("vault window vault-0: PASSING")
check(re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ vault window vault-0: PASSING; covered 2:00:00 of 24:00:00, gaps none", first), "it begins with the window as it is")
e.put(windows={"vault": dict(state="CLOCK STOPPED", reason="alerts: 1 firing for 10s")}, window_gates={"vault/alerts": dict(answer="FAIL", reason="1 firing for 10s")})
w.wait("vault window gate alerts: FAIL: 1 firing for 10s")
w.wait("vault window vault-0: CLOCK STOPPED: alerts: 1 firing for 10s")
e.put(windows={"vault": dict(reason="alerts: 1 firing for 20s")}, window_gates={"vault/alerts": dict(reason="1 firing for 20s")})
e.put(windows={"vault": dict(state="PASSING", reason=None)}, window_gates={"vault/alerts": dict(answer="PASS", reason=None)})
w.wait("vault window gate alerts: PASS")
check(not any("for 20s" in l for l in w.lines), "time that goes on is no change")
e.put(sources={"vault/vault-0": dict(state="DOWN", error="connection refused")})
w.wait("- source vault/vault-0: DOWN: connection refused")
ok("each change is one line: time, workload, what")
e.die()
w.wait("ENGINE GONE: ")
e.start()
w.wait("connected to the engine again", 30)
e.put(windows={"vault": dict(state="PASSED", credited=24 * HOUR, earliest=None)},
      plan_workloads={"vault": dict(state="BETWEEN PHASES", phase="pod-2")}, phases={"vault/window-1": dict(state="DONE")})
check(w.end() == 0, "a window that passes ends it with status 0")
check("summary: window vault-0: PASSED; covered 24:00:00 of 24:00:00" in w.lines[-3] and "summary: ended: the window is over; exit status 0" in w.lines[-1],
      "with a summary; and it has outlived its engine")

w = Lines(*headless)
check(w.end() == 0 and "exit status 0: the window of vault-0 passed" in w.lines[-1], "when the window is over already, it says so and ends")

for state, reason, status in (("FAILING", "2 of 3 voters for 44s", 1), ("INCONCLUSIVE", "nobody looked for 3h02m", 2), ("PASSING", None, 2)):
    e.put(windows={"vault": dict(state=state, reason=reason, credited=HOUR)}, plan_workloads={"vault": dict(state="WAITING", phase="window-1")})
    w = Lines(*headless, "--for", "6s")
    code = w.end()
    check(code == status and "ended: its time is over" in w.lines[-1], f"{state} at the end of --for: status {status} (was {code})")
e.put(windows={"vault": dict(state="ENDED EARLY", reason="change freeze")}, plan_workloads={"vault": dict(state="BETWEEN PHASES", phase="pod-2")})
w = Lines(*headless)
check(w.end() == 2 and "was ended early: change freeze" in w.lines[-1], "a window that was ended early is not one that passed: status 2")
e.put(windows={"vault": dict(state="PASSING", reason=None)}, plan_workloads={"vault": dict(state="WAITING", phase="window-1")})
for signum in (signal.SIGTERM, signal.SIGINT):
    w = Lines(*headless)
    w.wait("window vault-0: PASSING")
    w.process.send_signal(signum)
    check(w.end() == 2 and f"ended: {signum.name}" in w.lines[-1], f"{signum.name} ends it with a summary; not over yet is status 2")
w = Lines("--socket", path, "attach", "--plain")
w.wait("window vault-0: ")
e.put(timeline={"1": dict(at=e.now() + 5000, level="INFO", object="vault", text="unsealed")})
w.wait("vault event INFO: unsealed")
w.process.terminate()
check(w.end() == 0, "--plain prints what happens until it is ended")

# On the whole screen.
world_of_a_window(e)
for cols, rows in ((80, 24), (200, 50)):
    t = Terminal([FERRYMAN, "--socket", path, "watch", "--bell"], cols, rows)
    t.wait("WINDOW  vault-0")
    s = t.wait("PASSING")
    check("WATCH, READ-ONLY" in s and "ends at the earliest" in s, f"{cols}x{rows}: it opens on the window, and only looks")
    t.keys("E")
    t.wait("watch only looks")
    t.keys("A")
    t.wait("watch only looks")
    e.put(windows={"vault": dict(state="FAILING", reason="voters: 2 of 3 for 44s")}, window_gates={"vault/voters": dict(answer="FAIL", reason="2 of 3 for 44s", strip="p" * 8 + "x")})
    t.wait("FAILING")
    t.wait(lambda s: re.search(r"✗ voters .*✗", s))
    e.die()
    t.wait("ENGINE GONE")
    t.wait("was FAILING")
    e.start()
    t.wait(lambda s: "ENGINE GONE" not in s and "✗ FAILING" in s, 30)
    e.put(windows={"vault": dict(state="PASSING", reason=None)}, window_gates={"vault/voters": dict(answer="PASS", reason=None)})
    t.wait("✓ PASSING")
    check(not any(i.get("verb") in ("end", "credit", "arm") for i in e.intents), f"{cols}x{rows}: it outlives its engine, and has asked for nothing")
    t.keys("q")
    check(t.status() == "0", f"{cols}x{rows}: q ends it well")
    t.stop()


def rings(change, *words):
    """Whether the terminal of a watch is rung when this changes: bytes, which no screen shows."""
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    p = subprocess.Popen([FERRYMAN, "--socket", path, "watch", *words], stdin=follower, stdout=follower, stderr=follower, start_new_session=True,
                         env=clean_env(TERM="xterm-256color", LC_ALL="C.UTF-8"), preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
    os.close(follower)
    seen = bytearray()

    def read():
        try:
            while data := os.read(leader, 65536):
                seen.extend(data)
        except OSError:
            pass
    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    until(lambda: b"PASSING" in seen, "the window is on the screen", 30)
    before = seen.count(b"\a")
    change()
    until(lambda: b"FAILING" in seen, "the change is on the screen", 30)
    p.send_signal(signal.SIGTERM)
    p.wait(20)
    reader.join(10)
    e.put(windows={"vault": dict(state="PASSING", reason=None)})
    return before == 0 and seen.count(b"\a") > 0


fails = lambda: e.put(windows={"vault": dict(state="FAILING", reason="voters: 2 of 3")})
check(rings(fails, "--bell"), "--bell rings when the window fails, and not before")
check(not rings(fails), "without it nothing rings")
e.die()

# What cannot be.
for words, part in ((("watch", "--json"), "needs --headless"), (("watch", "--headless", "--bell"), "full screen"), (("watch", "--headless", "--for", "soon"), "no"),
                    (("watch",), "needs a terminal")):
    r = subprocess.run([FERRYMAN, *words], stdin=subprocess.DEVNULL, capture_output=True, text=True, env=clean_env(), timeout=30)
    check(r.returncode == 64 and part in r.stderr, f"{' '.join(words)}: refused with 64")

# An engine of its own, on a cluster.
sandbox = Sandbox("--small-db")
w = Lines(*sandbox.args, "watch", "--headless")
w.wait("watching plan")
pid = until(lambda: engines(sandbox.dir), "it starts an engine where none runs")[0]
os.kill(pid, signal.SIGKILL)
w.wait("ENGINE GONE")
w.wait("connected to the engine again", 40)
check(engines(sandbox.dir)[0] != pid, "and another one when that was killed")
w.process.terminate()
code = w.end()
check(code in (1, 2) and "summary: " in w.lines[-2], f"without a window the gates decide: before the migration they do not pass ({code})")
until(lambda: not engines(sandbox.dir), "the engine ends with its last reader", 15)
r = subprocess.run([FERRYMAN, *sandbox.args, "watch", "--headless", "--json", "--for", "3s"], capture_output=True, text=True, env=clean_env(), timeout=60)
check(r.returncode == 0 and json.loads(r.stdout.splitlines()[0])["t"] == "hello", "--json is the stream, and --for ends it")
sandbox.stop()

# A window whose engine died with the machine: the watch starts another, which goes on with it to its end.
w = window.Window(duration="5m")
e = w.start()
e.arm()
e.begin()
e.state("PASSING")
until(lambda: e.window().get("credited", 0) >= 60000, "a minute is credited", 60)
e.kill()
r = subprocess.run([FERRYMAN, *w.args, "watch", "--headless"], capture_output=True, text=True, env=w.env, stdin=subprocess.DEVNULL, timeout=120)
lines = r.stdout.splitlines()
check(r.returncode == 0 and "exit status 0: the window of vault-0 passed" in lines[-1], f"after a reboot the watch has the window go on, and it passes: {r.returncode} {lines[-3:]} {r.stderr}")
check(any("summary: window vault-0: PASSED; covered 0:05:" in l and "gaps none" not in l for l in lines), "the time without an engine is a gap")
until(lambda: not engines(w.own), "its engine ends with it", 20)
done()
