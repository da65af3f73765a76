"""What the measurements share: consoles on pseudo-terminals, engines that are read to the end of their lists, the API."""
import base64
import fcntl
import http.client
import json
import os
import pty
import re
import select
import signal
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from ferry import BUILD, FERRYMAN, Sandbox, clean_env  # noqa: E402,F401
from vt import Screen  # noqa: E402

COLS, ROWS = 120, 40
DIR = tempfile.mkdtemp(prefix="ferryman-bench-")
gate = threading.Event()  # never set: what waits on it waits for its timeout
names = iter(range(1, 1 << 30))


class Failed(Exception):
    """A measurement that could not be made; the others go on."""


def until(condition, what, seconds=30.0, step=0.005):
    end = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > end:
            raise Failed(f"not within {seconds:g} s: {what}")
        gate.wait(step)
    return value


def path(name):
    return os.path.join(DIR, f"{next(names)}-{name}")


def median(values):
    return percentile(values, 50)


def percentile(values, p):
    """The nearest rank."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, -(-len(ordered) * p // 100) - 1))]


# ---- Processes --------------------------------------------------------------------------------------------------------

def status_kb(pid, field):
    with open(f"/proc/{pid}/status") as f:
        return int(re.search(rf"^{field}:\s+(\d+) kB", f.read(), re.M)[1])


def cpu_ns(pid):
    """Time on a processor of all threads, in ns; /proc/PID/stat counts in hundredths of a second only."""
    total = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/schedstat") as f:
            total += int(f.read().split()[0])
    return total


def children_ticks(pid):
    """CPU of children that have ended, in ticks."""
    with open(f"/proc/{pid}/stat") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return int(fields[13]) + int(fields[14])


def timed(command):
    """Seconds, peak MB and exit status of a program. A shell lies between, because the peak of a child begins with its parent's."""
    out = path("out")
    start = time.monotonic()
    p = subprocess.Popen(["sh", "-c", '"$@" >"$0" 2>&1 & wait $!', out, *command], env=clean_env())
    _, status, usage = os.wait4(p.pid, 0)
    seconds = time.monotonic() - start
    p.returncode = os.waitstatus_to_exitcode(status)
    with open(out) as f:
        text = f.read()
    if p.returncode:
        raise Failed(f"{' '.join(command)}: {text[-500:]}")
    return seconds, usage.ru_maxrss / 1024, text


# ---- Consoles ---------------------------------------------------------------------------------------------------------

class Console:
    """`ferryman` on a pseudo-terminal of 120×40. A thread reads it, notes when each piece came and keeps the screen."""
    running = []

    def __init__(self, args, **env):
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLS, 0, 0))
        self.screen, self.bytes, self.pieces = Screen(ROWS, COLS), 0, []
        self.lock, self.seen = threading.Condition(), None
        self.watching = None
        self.reading = threading.Event()
        self.reading.set()

        r, w = os.pipe()

        def own_terminal():
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)
            os.write(w, struct.pack("d", time.monotonic()))  # what comes before is Python's

        self.process = subprocess.Popen([FERRYMAN, *args], stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
                                        preexec_fn=own_terminal, env=clean_env(TERM="xterm-256color", LC_ALL="C.UTF-8", TMPDIR=DIR, **env))
        os.close(slave)
        self.started = struct.unpack("d", os.read(r, 8))[0]
        os.close(r)
        os.close(w)
        self.over = False
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()
        Console.running.append(self)

    def _read(self):
        poll = select.poll()
        poll.register(self.master, select.POLLIN)
        while not self.over:
            self.reading.wait()
            if not poll.poll(100) or not self.reading.is_set():
                continue
            try:
                data = os.read(self.master, 65536)
            except OSError:
                data = b""
            now = time.monotonic()
            if not data:
                return
            with self.lock:
                self.screen.feed(data)
                self.bytes += len(data)
                self.pieces.append((now, len(data)))
                if self.watching and self.watching(self.screen):
                    self.watching, self.seen = None, now
                self.lock.notify_all()

    def keys(self, text):
        os.write(self.master, text.encode())

    def watch(self, condition):
        """Begins to look for a condition of the screen; `when` waits for it."""
        with self.lock:
            self.seen = time.monotonic() if condition(self.screen) else None
            self.watching = None if self.seen else condition

    def when(self, what, seconds=20.0):
        """When the watched condition came true (mono s)."""
        with self.lock:
            if not self.lock.wait_for(lambda: self.seen, seconds):
                self.watching = None
                raise Failed(f"not on the screen within {seconds:g} s: {what}\n{self.screen.text()}")
            return self.seen

    def wait(self, words, seconds=20.0):
        self.watch(words if callable(words) else lambda s: words in s)
        return self.when(words, seconds)

    def end(self):
        if self.process.poll() is None:
            self.reading.set()
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                raise Failed("the console did not end on SIGTERM within 10 s") from None
        Console.running.remove(self)
        self.over = True
        self.thread.join()  # before the descriptor's number can be another console's
        os.close(self.master)


# ---- Engines ----------------------------------------------------------------------------------------------------------

def connect(where, seconds=20.0):
    s = socket.socket(socket.AF_UNIX)

    def try_it():
        try:
            s.connect(where)
            return True
        except OSError:
            return False
    until(try_it, f"an engine listens on {where}", seconds, 0.001)
    return s


def records(s):
    """Records of a stream, as they come."""
    rest = b""
    while data := s.recv(1 << 18):
        *lines, rest = (rest + data).split(b"\n")
        yield from (json.loads(line) for line in lines)


def hello(where):
    s = connect(where)
    with s:
        return next(records(s))


def tables_of(where, satisfied, what, seconds):
    """Reads an engine's stream until satisfied(tables) at the end of a turn, and gives the tables ({table: {key: row}})."""
    tables = {}
    with connect(where, seconds) as s:
        s.settimeout(seconds)
        end = time.monotonic() + seconds
        try:
            for r in records(s):
                if r["t"] == "upsert":
                    tables.setdefault(r["table"], {})[r["key"]] = r["row"]
                elif r["t"] == "remove":
                    tables.get(r["table"], {}).pop(r["key"], None)
                elif r["t"] == "commit" and satisfied(tables):
                    return tables
                if time.monotonic() > end:
                    break
        except TimeoutError:
            pass
    states = {k: (v["state"], v.get("error")) for k, v in tables.get("sources", {}).items()}
    raise Failed(f"not within {seconds:g} s: {what}; sources: {states}")


def longest_turn_ms(log):
    """(ms, ms of processor time) of the longest turn of an engine's loop, as it logs at its end."""
    with open(log) as f:
        found = re.findall(r"longest turn of the loop: (\d+) us; of processor time: (\d+) us", f.read())
    if not found:
        raise Failed(f"{log} does not say how long the longest turn was")
    return tuple(int(us) / 1000 for us in found[-1])


def list_once(kubeconfig, only, expected):
    """An engine from its start until `expected` claims have been listed and read: seconds, peak MB, longest turn."""
    where, log = path("socket"), path("log")
    start = time.monotonic()
    p = subprocess.Popen([FERRYMAN, "--kubeconfig", kubeconfig, "--socket", where, "--log", log, "engine"],
                         env=clean_env(FERRYMAN_CLAIMS_ONLY=only))
    try:
        with connect(where) as s:
            s.settimeout(60)
            read_claims(s, expected)
            seconds = time.monotonic() - start
        peak = status_kb(p.pid, "VmHWM") / 1024
    finally:
        p.terminate()
        p.wait()
    return seconds, peak, longest_turn_ms(log)


def read_claims(s, expected):
    """Until the claims' source is LIVE and all of them have come. Bytes are searched, not parsed: the reader must not be what
    is measured."""
    claims, rest, live, end = 0, b"", False, time.monotonic() + 60
    while (data := s.recv(1 << 18)) and time.monotonic() < end:
        data = rest + data
        cut = data.rfind(b"\n") + 1
        lines, rest = data[:cut], data[cut:]
        claims += lines.count(b'"t":"upsert","table":"claims"')
        at = lines.rfind(b'"key":"kube/persistentvolumeclaims"')
        if at >= 0:
            live = b'"LIVE"' in lines[at:lines.find(b"\n", at)]
        if live and claims >= expected:
            return
    raise Failed(f"the engine ended, or listed only {claims} of {expected} claims within 60 s")


# ---- The API ----------------------------------------------------------------------------------------------------------

class Api:
    """One connection to the sandbox's API, as a client of its own that writes."""

    def __init__(self, kubeconfig):
        with open(kubeconfig) as f:
            text = f.read()
        host, port = re.search(r"server: https://([^:\s]+):(\d+)", text).groups()
        ca = base64.b64decode(re.search(r"certificate-authority-data: (\S+)", text)[1]).decode()
        self.headers = {"Authorization": "Bearer " + re.search(r"token: (\S+)", text)[1], "User-Agent": "bench"}
        self.connection = http.client.HTTPSConnection(host, int(port), context=ssl.create_default_context(cadata=ca), timeout=20)
        self.connection.connect()
        self.connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, method, where, body=None, kind="application/json"):
        self.connection.request(method, where, json.dumps(body) if body else None, {**self.headers, "Content-Type": kind})

    def answer(self):
        r = self.connection.getresponse()
        text = r.read()
        if r.status >= 300:
            raise Failed(f"the API answered {r.status}: {text[:300]!r}")
        return json.loads(text)

    def call(self, *what, **more):
        self.send(*what, **more)
        return self.answer()

    def version(self):
        """The store's: it rises by one with each write."""
        return int(self.call("GET", "/api/v1/namespaces?limit=1")["metadata"]["resourceVersion"])


CLAIMS = "/api/v1/namespaces/%s/persistentvolumeclaims"


def claim(name, storage="1Gi"):
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name},
            "spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": "proxmox-lvm", "resources": {"requests": {"storage": storage}}}}


def stop_all():
    for console in list(Console.running):
        try:
            console.end()
        except (Failed, OSError) as e:
            print("bench:", e, file=sys.stderr)


def ignore_hangup():
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
