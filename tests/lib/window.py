"""A validation window of the sandbox's Vault without what comes before it: a journal that says that one pod's turn is done, an engine as the
console starts it, and its operator, who is a line on the engine's socket."""
import hashlib

from ferry import *

DONE = ["preflight", "canary", "snapshot", "template", "pod-1"]


def write_journal(folder, pod="vault-0"):
    """What a run would have left at the end of the first pod's turn."""
    os.makedirs(folder, 0o700, exist_ok=True)
    records = [{"t": "journal", "id": "00112233aabbccdd", "plan": "nfs-hostile", "version": "0"}]
    facts = {"replicas": "3", "pod.1.name": pod, "pod.1.done": "1777132800000", "pod.1.begun": "1777132700000", "pod.1.uid.new": "made-up",
             "set.new.uid": "made-up", "snapshot.proved_at": "1777132600000"}
    records += [{"t": "fact", "workload": "vault", "name": k, "value": v} for k, v in facts.items()]
    for phase in DONE:
        records += [{"t": "phase", "workload": "vault", "phase": phase, "state": s, "by": "test"} for s in ("begun", "done")]
    prev = "0" * 64
    with open(os.path.join(folder, "journal.jsonl"), "w") as f:
        os.chmod(f.name, 0o600)
        for seq, r in enumerate(records, 1):
            body = json.dumps({"seq": seq, "at": "2026-04-25T16:00:00.000Z", **r}, separators=(",", ":"))[:-1] + f',"prev":"{prev}"'
            prev = hashlib.sha256(body.encode()).hexdigest()
            f.write(f'{body},"hash":"{prev}"}}\n')


class Engine:
    """`ferryman engine`, its stream applied to tables, and an operator who is armed on it."""

    def __init__(self, window):
        self.w, self.tables, self.lock, self.changed = window, {}, threading.Lock(), threading.Event()
        self.log = open(os.path.join(window.own, "engine.log"), "a")
        self.path = os.path.join(window.own, "s")
        self.process = subprocess.Popen([FERRYMAN, *window.args, "--socket", self.path, "engine"], stdin=subprocess.DEVNULL,
                                        stdout=self.log, stderr=self.log, env=window.env, start_new_session=True)
        atexit.register(self.kill)
        self.sock = until(self._connect, "the engine listens", 30)
        threading.Thread(target=self._read, args=(self.sock.makefile(),), daemon=True).start()

    def _connect(self):
        s = socket.socket(socket.AF_UNIX)
        try:
            s.connect(self.path)
            return s
        except OSError:
            s.close()
            if self.process.poll() is not None:
                fail(f"the engine ended with {self.process.returncode}: " + open(self.log.name).read()[-3000:])

    def _read(self, lines):
        try:
            for line in lines:
                r = json.loads(line)
                with self.lock:
                    if r["t"] == "upsert":
                        self.tables.setdefault(r["table"], {})[r["key"]] = r["row"]
                    elif r["t"] == "remove":
                        self.tables.get(r["table"], {}).pop(r["key"], None)
                self.changed.set()
        except (OSError, ValueError):
            pass

    def leave(self):
        """As a console that ends: nobody reads any more."""
        self.sock.shutdown(socket.SHUT_RDWR)
        self.sock.close()
        with self.lock:
            self.tables = {}

    def join(self):
        self.sock = until(self._connect, "the engine listens", 30)
        threading.Thread(target=self._read, args=(self.sock.makefile(),), daemon=True).start()

    def row(self, table, key):
        with self.lock:
            return dict(self.tables.get(table, {}).get(key, {}))

    def rows(self, table):
        with self.lock:
            return [dict(r) for r in self.tables.get(table, {}).values()]

    def wait(self, condition, what, seconds=60):
        end = time.monotonic() + seconds
        while True:
            self.changed.clear()
            value = condition()
            if value:
                return value
            if self.process.poll() is not None:
                fail(f"the engine ended with {self.process.returncode}: {what}: " + open(self.log.name).read()[-3000:])
            if time.monotonic() > end:
                fail(f"not within {seconds} s: {what}; window {self.row('windows', 'vault')}, answer {self.row('arming', 'arming').get('answer')}, "
                     f"gates { {g['name']: (g['answer'], g.get('reason')) for g in self.rows('window_gates')} }")
            self.changed.wait(0.2)

    def send(self, **intent):
        before = self.row("arming", "arming").get("answered", 0)
        self.sock.sendall((json.dumps(intent) + "\n").encode())
        self.wait(lambda: self.row("arming", "arming").get("answered", 0) > before, f"an answer to {intent}")
        return self.row("arming", "arming").get("answer")

    def window(self):
        return self.row("windows", "vault")

    def gate(self, name):
        return self.row("window_gates", "vault/" + name)

    def state(self, *words, seconds=60):
        self.wait(lambda: self.window().get("state") in words, f"the window is {' or '.join(words)}", seconds)

    def phase(self, name="window-1"):
        return self.row("phases", "vault/" + name)

    def arm(self):
        answer = self.send(verb="arm", typed="home")
        if answer:
            fail(f"not armed: {answer}")

    def dialog(self, phase):
        """(key, row) of a new dialog once it is READY or REFUSED; (None, why) if it was not opened."""
        known = set(self.tables.get("dialogs", {}))
        answer = self.send(verb="open", workload="vault", phase=phase)
        if answer:
            return None, answer
        def ready():
            with self.lock:
                return [(k, d) for k, d in self.tables.get("dialogs", {}).items() if k not in known and d["state"] in ("READY", "REFUSED")]
        key, row = self.wait(ready, "a dialog is ready")[0]
        if row["state"] == "READY":
            return key, row
        self.send(verb="cancel", dialog=key)
        return None, row.get("reason")

    def begin(self, phase="window-1"):
        """Opens the dialog as soon as the phase may begin, and says y; returns the dialog's lines."""
        self.wait(lambda: self.row("raft_clusters", "vault").get("leader") and self.row("raft_clusters", "vault").get("state") == "OK", "the cluster is seen", 60)
        end = time.monotonic() + 60
        key, why = self.dialog(phase)
        while not key:
            if time.monotonic() > end:
                fail(f"{phase} may not begin: {why}")
            self.changed.wait(0.2)
            key, why = self.dialog(phase)
        lines = [(l["label"], l["text"]) for l in self.rows("dialog_lines") if l.get("dialog") == key]
        answer = self.send(verb="confirm", dialog=key, typed="y")
        if answer:
            fail(f"not confirmed: {answer}")
        return lines

    def kill(self, sig=signal.SIGKILL):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.send_signal(sig)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.sock.close()


class Window:
    """A sandbox whose plan has this window, and a state folder with a journal that ends before it."""

    def __init__(self, duration="20m", sample="10s", max_gap="2m", fail_after="30s", scale=10, more=(), journal=True, plan=lambda text: text):
        self.own = tempfile.mkdtemp(prefix="ferryman-window-")
        atexit.register(shutil.rmtree, self.own, True)
        self.sandbox = Sandbox("--small-db", *(["--time-scale", str(scale)] if scale > 1 else []), *more)
        self.control = self.sandbox.control
        self.plan = os.path.join(self.own, "plan.yaml")
        text = open(self.sandbox.plan).read()
        text = re.sub(r"window: \{[^}]*\}", f"window: {{ duration: {duration}, sample: {sample}, max_gap: {max_gap}, fail_after: {fail_after} }}", text)
        with open(self.plan, "w") as f:
            f.write(plan(text))
        self.state = os.path.join(self.own, "state")
        self.folder = os.path.join(self.state, "ferryman", "nfs-hostile")
        if journal:
            write_journal(self.folder)
        self.args = ["--plan", self.plan, "--kubeconfig", self.sandbox.kubeconfig]
        self.env = clean_env(XDG_STATE_HOME=self.state, XDG_RUNTIME_DIR=self.own)

    def journal(self, **match):
        with open(os.path.join(self.folder, "journal.jsonl")) as f:
            records = [json.loads(line) for line in f if line.endswith("}\n")]
        return [r for r in records if all(r.get(k) == v for k, v in match.items())]

    def notes(self):
        return [r["text"] for r in self.journal(t="note") if r["text"].startswith("window of ")]

    def said(self, text, seconds=10):
        """Whether the journal has such a line, or has it soon: a record is written behind what is shown."""
        end = time.monotonic() + seconds
        while not any(text in n for n in self.notes()):
            if time.monotonic() > end:
                print("the journal says:", *self.notes(), sep="\n    ", flush=True)
                return False
            threading.Event().wait(STEP)
        return True

    def start(self):
        return Engine(self)
