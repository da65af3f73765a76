"""What the scenario, fault and real-server tests share: the programs, a reader of the stream, a terminal.

Nothing here sleeps for a fixed time: everything waits for a condition with a deadline and says what it saw when that passes.
Standard library only."""
import atexit
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

# Started in the background of a shell without job control, SIGINT is ignored, by all children too.
signal.signal(signal.SIGINT, signal.default_int_handler)

BUILD = os.environ.get("top_builddir", os.getcwd())
SRC = os.environ.get("top_srcdir", os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
FERRYMAN = os.path.join(BUILD, "ferryman")
SANDBOX = os.path.join(BUILD, "ferryman-sandbox")
STEP = 0.05  # how often a condition that cannot be waited for otherwise is looked at
passed = 0


def ok(text):
    global passed
    passed += 1
    print("PASS:", text, flush=True)


def fail(text):
    print("FAIL:", text, flush=True)
    sys.exit(1)


def check(condition, text):
    if not condition:
        fail(text)
    ok(text)


def skip(text):
    """A test that lacks something fails in CI and skips with a line elsewhere."""
    if os.environ.get("CI") == "true":
        fail("in CI this may not be skipped: " + text)
    print("SKIP:", text, flush=True)
    sys.exit(77)


def until(condition, what, seconds=20.0):
    """Waits until condition() is true and returns its value."""
    end = time.monotonic() + seconds
    gate = threading.Event()
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            fail(f"not within {seconds:g} s: {what}")
        gate.wait(STEP)


def clean_env(**more):
    env = {k: v for k, v in os.environ.items() if k not in ("KUBECONFIG", "VAULT_TOKEN", "VAULT_ADDR", "NO_COLOR")}
    env.setdefault("HOME", "/tmp")
    env["FERRYMAN_THEMES"] = os.path.join(SRC, "themes")
    env.update(more)
    return env


class Sandbox:
    """ferryman-sandbox in a folder of its own."""

    def __init__(self, *options, seconds=60, dir=None):
        self.dir = dir or tempfile.mkdtemp(prefix="ferryman-test-")
        os.makedirs(self.dir, mode=0o700, exist_ok=True)
        self.log = open(os.path.join(self.dir, "sandbox.stderr"), "w+")
        self.process = subprocess.Popen([SANDBOX, "--dir", self.dir, *options], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=self.log, text=True, start_new_session=True)
        atexit.register(self.stop)
        self.lines = []
        threading.Thread(target=self._read, daemon=True).start()
        until(lambda: "ready" in self.lines or self.process.poll() is not None, "the sandbox is ready", seconds)
        if self.process.poll() is not None:
            self.log.seek(0)
            fail("the sandbox ended: " + self.log.read()[-2000:])
        self.kubeconfig = os.path.join(self.dir, "kubeconfig")
        self.plan = os.path.join(self.dir, "plan.yaml")
        self.args = ["--plan", self.plan, "--kubeconfig", self.kubeconfig]

    def _read(self):
        for line in self.process.stdout:
            self.lines.append(line.strip())

    def control(self, *words):
        r = subprocess.run([SANDBOX, "--control", self.dir, *words], capture_output=True, text=True, timeout=60)
        if r.returncode:
            fail(f"control {' '.join(words)}: {r.stdout}{r.stderr}")
        return r.stdout.strip()

    def psql(self, sql, host="127.0.0.1", port=None, may_fail=False):
        """Rows as unaligned text, as the application's user; by way of the Service unless a host is named."""
        if host == "127.0.0.1" and not port:
            port = re.search(r"port=(\d+) dbname", open(self.plan).read()).group(1)
        r = subprocess.run(["psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-h", host, "-p", str(port or 5432), "-U", "immich", "-d", "immich",
                            "-c", sql], capture_output=True, text=True, timeout=60,
                           env=clean_env(PGPASSFILE=os.path.join(self.dir, "pgpass"), PGCONNECT_TIMEOUT="10"))
        if r.returncode and not may_fail:
            fail(f"psql {sql}: {r.stderr}")
        return r.stdout.strip() if r.returncode == 0 else None

    def pod(self, app="immich-postgresql", ns="immich"):
        """The newest pod of an application that is not ending, as a document; None if there is none."""
        pods = json.loads(self.kubectl("get", "pods", "-n", ns, "-l", f"app={app}", "-o", "json"))["items"]
        pods = [p for p in pods if "deletionTimestamp" not in p["metadata"]]
        return max(pods, key=lambda p: p["metadata"]["creationTimestamp"], default=None)

    def kubectl(self, *words, may_fail=False, stdin=None):
        r = subprocess.run(["kubectl", "--kubeconfig", self.kubeconfig, *words], capture_output=True, text=True, timeout=60, input=stdin)
        if r.returncode and not may_fail:
            fail(f"kubectl {' '.join(words)}: {r.stderr}")
        return r.stdout.strip()

    def stop(self):
        if self.process.poll() is None:
            self.process.stdin.close()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
        shutil.rmtree(self.dir, ignore_errors=True)


class Stream:
    """`ferryman watch --headless --json`, applied to tables as a console would."""

    def __init__(self, args, env=None, command=None):
        self.tables, self.now, self.records, self.seq = {}, 0, 0, 0
        self.seen, self.lock, self.changed = [], threading.Lock(), threading.Event()
        self.err = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(command or [FERRYMAN, *args, "--headless", "--json", "watch"], stdout=subprocess.PIPE,
                                        stderr=self.err, env=env or clean_env())
        atexit.register(self.stop)
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.process.stdout:
            r = json.loads(line)
            with self.lock:
                self.records += 1
                t = r["t"]
                if t == "upsert":
                    row = dict(r["row"], _src=r.get("src", ""), _key=r["key"])
                    self.tables.setdefault(r["table"], {})[r["key"]] = row
                elif t == "remove":
                    self.tables.get(r["table"], {}).pop(r["key"], None)
                elif t == "tick":
                    self.now = r["now"]
                elif t == "hello":
                    self.now = r["now"]
                if t not in ("upsert", "remove", "tick", "commit"):
                    self.seen.append(r)
            self.changed.set()

    def rows(self, table, **match):
        with self.lock:
            return [dict(r) for r in self.tables.get(table, {}).values() if all(r.get(k) == v for k, v in match.items())]

    def row(self, table, **match):
        found = self.rows(table, **match)
        return found[0] if found else None

    def source(self, key):
        """(state, error) of a source, STALE by age as consoles see it."""
        with self.lock:
            r = self.tables.get("sources", {}).get(key)
            now = self.now
        if not r:
            return None, None
        state = r["state"]
        if state in ("LIVE", "POLLED") and r.get("stale_after") and now - r.get("last_ok", 0) > r["stale_after"]:
            state = "STALE"
        return state, r.get("error")

    def sources(self, server):
        return {r["_key"]: self.source(r["_key"])[0] for r in self.rows("sources", server=server)}

    def wait(self, condition, what, seconds=20.0):
        end = time.monotonic() + seconds
        while True:
            self.changed.clear()
            value = condition()
            if value:
                return value
            if self.process.poll() is not None:
                self.err.seek(0)
                fail(f"ferryman watch ended with {self.process.returncode}: {self.err.read()[-3000:]}")
            if time.monotonic() > end:
                states = {k: self.source(k) for k in self.tables.get("sources", {})}
                fail(f"not within {seconds:g} s: {what}; sources: {json.dumps(states)}")
            self.changed.wait(0.2)

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                fail("ferryman watch did not end on SIGTERM within 10 s")
        return self.process.returncode

    def end_well(self):
        """Ends it and sees that it ended well: under the sanitizers a leak or a fault is an exit status."""
        code = self.stop()
        self.err.seek(0)
        check(code == 0, f"watch ends with status 0 (was {code}) {self.err.read()[-3000:]}")


class Terminal:
    """A program in a tmux of its own, at a size of our choosing."""

    def __init__(self, command, cols=120, rows=40, env=None):
        if not shutil.which("tmux"):
            skip("tmux is not installed")
        self.dir = tempfile.mkdtemp(prefix="ferryman-tmux-")
        self.socket = os.path.join(self.dir, "tmux")
        self.env = env or clean_env()
        self.env.update(TERM="xterm-256color", LC_ALL="C.UTF-8")
        self.env.pop("TMUX", None)
        with open(os.path.join(self.dir, "conf"), "w") as f:
            f.write("set -g default-terminal tmux-256color\nset -g escape-time 0\nset -g remain-on-exit on\nset -g status off\n")
        # tmux sometimes leaves a dead pane's process unreaped, so a shell notes how it ended.
        self.ended = os.path.join(self.dir, "ended")
        shell = ["sh", "-c", f'"$0" "$@"; echo $? > {self.ended}', *command]
        self.tmux("-f", os.path.join(self.dir, "conf"), "new-session", "-d", "-s", "t", "-x", str(cols), "-y", str(rows), *shell)
        atexit.register(self.stop)

    def tmux(self, *words, may_fail=False):
        r = subprocess.run(["tmux", "-S", self.socket, *words], capture_output=True, text=True, env=self.env, timeout=30)
        if r.returncode and not may_fail:
            fail(f"tmux {' '.join(words)}: {r.stderr}")
        return r.stdout

    def keys(self, *keys):
        self.tmux("send-keys", "-t", "t", *keys)

    def type(self, text):
        self.tmux("send-keys", "-t", "t", "-l", text)

    def screen(self):
        return self.tmux("capture-pane", "-p", "-t", "t", may_fail=True)

    def wait(self, text, seconds=20.0):
        def seen():
            s = self.screen()
            return s if (text(s) if callable(text) else text in s) else None
        end = time.monotonic() + seconds
        gate = threading.Event()
        while True:
            s = seen()
            if s:
                return s
            if time.monotonic() > end:
                fail(f"not on the screen within {seconds:g} s: {text!r}\n{self.screen()}")
            gate.wait(STEP)

    def pid(self):
        """Of the program, which is the only child of the shell in the pane."""
        pane = int(self.tmux("display-message", "-p", "-t", "t", "#{pane_pid}").strip())
        def child():
            with open(f"/proc/{pane}/task/{pane}/children") as f:
                return f.read().split()
        return int(until(child, "the program runs in the terminal", 5)[0])

    def dead(self):
        return os.path.exists(self.ended) and os.path.getsize(self.ended) > 0

    def status(self):
        """The exit status of the program, as its shell saw it (128 + N for signal N)."""
        until(self.dead, "the program in the terminal has ended", 5)
        with open(self.ended) as f:
            return f.read().strip()

    def resize(self, cols, rows):
        self.tmux("resize-window", "-t", "t", "-x", str(cols), "-y", str(rows))

    def stop(self):
        self.tmux("kill-server", may_fail=True)
        shutil.rmtree(self.dir, ignore_errors=True)


def command_line(pid):
    """The arguments of a process; [] if it has gone."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as f:
            return f.read().decode(errors="replace").split("\0")
    except OSError:
        return []


def engines(marker):
    """Pids of the engines among processes(marker)."""
    return [p for p in processes(marker) if "engine" in command_line(p)]


def processes(marker):
    """Pids of live processes (no zombies) that have `marker` in their command line."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/stat") as f:
                if f.read().rsplit(")", 1)[1].split()[0] == "Z":
                    continue
            with open(f"/proc/{pid}/cmdline", "rb") as f:
                text = f.read()
            if marker.encode() in text and int(pid) != os.getpid():
                found.append(int(pid))
        except (OSError, IndexError):
            pass
    return found


class Proxy:
    """A TCP forwarder that can be cut: closed, or dropping packets without a word (a socket filter that lets nothing in; needs root)."""

    def __init__(self, host, port):
        self.target = (host, port)
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(64)
        self.port = self.listener.getsockname()[1]
        self.pairs, self.dropping = [], False
        threading.Thread(target=self._accept, args=(self.listener,), daemon=True).start()

    def _accept(self, listener):
        while True:
            try:
                a, _ = listener.accept()
            except OSError:
                return
            try:
                b = socket.create_connection(self.target)
            except OSError:
                a.close()
                continue
            self.pairs.append((a, b))
            if self.dropping:
                self._drop(a)
            for x, y in ((a, b), (b, a)):
                threading.Thread(target=self._pipe, args=(x, y), daemon=True).start()

    @staticmethod
    def _pipe(x, y):
        try:
            while data := x.recv(65536):
                y.sendall(data)
        except OSError:
            pass
        for s in (x, y):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    @staticmethod
    def _drop(s):
        """Attaches the classic BPF program `return 0`: every packet for this socket is dropped before TCP sees it, so the peer's data is
        never acknowledged, as with a dead link."""
        import ctypes
        import struct
        program = ctypes.create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, 0))
        fprog = struct.pack("HL", 1, ctypes.addressof(program))
        s.setsockopt(socket.SOL_SOCKET, 26, fprog)  # SO_ATTACH_FILTER

    def drop(self):
        """From now on packets vanish: those of open connections and of new ones (which never get an answer)."""
        self.dropping = True
        for a, _ in self.pairs:
            try:
                self._drop(a)
            except OSError:
                pass
        self._drop(self.listener)

    def restore(self):
        self.dropping = False
        port = self.port
        self._stop_listening()
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(("127.0.0.1", port))
        self.listener.listen(64)
        threading.Thread(target=self._accept, args=(self.listener,), daemon=True).start()

    def _stop_listening(self):
        """Closing alone would leave a blocked accept listening."""
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.listener.close()

    def refuse(self):
        """From now on connections are refused, and those that are open are closed; until restore()."""
        self._stop_listening()
        self.close_all()

    def close_all(self):
        for pair in self.pairs:
            for s in pair:
                try:
                    s.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
        self.pairs.clear()

    def close(self):
        self._stop_listening()
        self.close_all()


def done():
    print(f"{passed} checks passed", flush=True)
    sys.exit(0 if passed else 1)
