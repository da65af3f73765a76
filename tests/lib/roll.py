"""A move of the sandbox's Vault by `ferryman run`, phase by phase, on a clock that runs 12 times as fast; a probe that writes to Vault all
the while; points on the way that others go on from (`prepare`, `Roll(home, phase)`)."""
import base64
import http.client
import ssl

from ferry import *
from migrate import last_word, normal, parallel  # noqa: F401

PHASES = ["preflight", "canary", "snapshot", "template", "pod-1", "window-1", "pod-2", "window-2", "step-down", "pod-last", "window-last", "verify"]
SCALE = 12
LIMIT = 180
ENCRYPTED = "proxmox-lvm-encrypted"
OVERRIDES = ["--override", "alerts=a test", "--override", "backups=a test"]


def plan_of(sandbox, path, duration="2m"):
    """The sandbox's plan with a short window, and snapshots that are not enciphered: PBKDF2 takes most of the time of a sanitized build."""
    text = re.sub(r"encrypt: \{[^{}]*\}", 'encrypt: { none: true, reason: "made-up data of a test" }', open(sandbox.plan).read())
    text = re.sub(r"window: \{[^{}]*\}", f"window: {{ duration: {duration}, sample: {SCALE}s, max_gap: 2m, fail_after: 36s }}", text)
    with open(path, "w") as f:
        f.write(text)
    os.chmod(path, 0o600)


class Api:
    """The API with the token of the kubeconfig, on one connection."""

    def __init__(self, kubeconfig):
        config = open(kubeconfig).read()
        field = lambda name: [l.split(": ", 1)[1] for l in config.splitlines() if l.strip().startswith(name + ":")][0]
        self.host, self.port = field("server").replace("https://", "").split(":")
        self.token = field("token")
        self.tls = ssl.create_default_context(cadata=base64.b64decode(field("certificate-authority-data")).decode())
        self.c = None

    def call(self, method, path, body=None, timeout=5, **headers):
        if not self.c:
            self.c = http.client.HTTPSConnection(self.host, int(self.port), context=self.tls, timeout=timeout)
        try:
            self.c.request(method, path, json.dumps(body) if body is not None else None,
                           {"Authorization": "Bearer " + self.token, "User-Agent": "test/1", "Content-Type": "application/json", **headers})
            r = self.c.getresponse()
            return r.status, r.read()
        except (OSError, http.client.HTTPException):
            self.c.close()
            self.c = None
            return 0, b""

    def vault(self, node, path, method="GET", body=None, token=None, **how):
        headers = {"X-Vault-Token": token} if token else {}
        return self.call(method, f"/api/v1/namespaces/vault/pods/http:{node}:8200/proxy/v1/{path}", body, **how, **headers)


class Writer(threading.Thread):
    """Writes to Vault every 200 ms by way of whichever node answers; `gaps`: (from, to) by the monotonic clock, where no write ended."""

    def __init__(self, sandbox):
        super().__init__(daemon=True)
        self.api, self.token = Api(sandbox.kubeconfig), open(os.path.join(sandbox.dir, "vault-token")).read().strip()
        self.writes, self.gaps, self.over, self.gate = 0, [], False, threading.Event()

    def once(self):
        return any(self.api.vault(f"vault-{n}", "cubbyhole/of-the-test", "POST", {"n": self.writes}, self.token)[0] == 204 for n in (2, 0, 1))

    def run(self):
        since = None
        while not self.over:
            now = time.monotonic()
            if self.once():
                self.writes += 1
                if since:
                    self.gaps.append((since, time.monotonic()))
                since = None
            else:
                since = since or now
            self.gate.wait(0.2)
        if since:
            self.gaps.append((since, time.monotonic()))

    def end(self):
        self.over = True
        self.join(20)
        return self.gaps


def objects(sandbox):
    """Claims by name, volumes by name, the set and its pods, of namespace vault."""
    get = lambda *what: json.loads(sandbox.kubectl("get", *what, "-o", "json"))["items"]
    of = {"claims": {o["metadata"]["name"]: o for o in get("pvc", "-n", "vault")}, "volumes": {o["metadata"]["name"]: o for o in get("pv")},
          "pods": {o["metadata"]["name"]: o for o in get("pods", "-n", "vault", "-l", "component=server")}}
    of["set"] = (get("statefulsets", "-n", "vault") or [None])[0]
    return of


def uid(o):
    return o["metadata"]["uid"]


class Roll:
    """A sandbox with ferryman's state; phase None: from the beginning, else as it was before that phase (`prepare`)."""

    def __init__(self, home=None, phase=None, duration="2m", scenarios=()):
        self.own = tempfile.mkdtemp(prefix="ferryman-roll-")
        atexit.register(shutil.rmtree, self.own, True)
        options = ["--from", os.path.join(home, phase, "sandbox")] if phase else ["--small-db", "--time-scale", str(SCALE)]
        self.sandbox = Sandbox(*options, seconds=90)
        self.control, self.kubectl = self.sandbox.control, self.sandbox.kubectl
        self.plan, self.state = os.path.join(self.own, "plan.yaml"), os.path.join(self.own, "state")
        plan_of(self.sandbox, self.plan, duration)
        if phase:
            shutil.copytree(os.path.join(home, phase, "state"), self.state)
        else:
            os.makedirs(self.state, 0o700)
        self.env = clean_env(XDG_STATE_HOME=self.state, XDG_RUNTIME_DIR=self.own)
        for name in scenarios:
            self.control("scenario", name, "on")
        self.said = {}

    def typed(self, phase):
        """What a dialog asks for: read from the program, as an operator reads it."""
        if phase == "rollback":
            pods = [v for k, v in sorted(self.facts().items()) if re.fullmatch(r"pod\.\w+\.name", k) and v]
            return pods[-1] if pods else "vault"
        if phase == "cleanup":
            return "home"
        if phase == "template":
            return "vault"
        if phase == "step-down":
            return self.leader()
        if phase.startswith("pod-"):
            names, facts = sorted(objects(self.sandbox)["pods"]), self.facts()
            turns = {k[4:-5]: v for k, v in facts.items() if re.fullmatch(r"pod\.\w+\.name", k) and v}
            if phase[4:] in turns:
                return turns[phase[4:]]
            leader = self.leader() if phase != "pod-last" else None
            return next(n for n in names if n not in turns.values() and n != leader)
        return "y"

    def leader(self):
        def active():
            for n in range(3):
                code, body = Api(self.sandbox.kubeconfig).vault(f"vault-{n}", "sys/leader")
                if code == 200 and json.loads(body).get("is_self"):
                    return f"vault-{n}"
        return until(active, "a node is active", 40)

    def journal(self, kind=None):
        path = os.path.join(self.state, "ferryman", "nfs-hostile", "journal.jsonl")
        if not os.path.exists(path):
            return []
        with open(path) as f:
            records = [json.loads(line) for line in f if line.endswith("\n")]
        return [r for r in records if kind in (None, r["t"])]

    def facts(self):
        return {r["name"]: r["value"] for r in self.journal("fact") if r.get("workload") == "vault"}

    def ferryman(self, *words, status=0, env=None):
        r = subprocess.run([FERRYMAN, "--plan", self.plan, "--kubeconfig", self.sandbox.kubeconfig, *words], capture_output=True, text=True,
                           errors="replace", timeout=LIMIT, env=env or self.env)
        if "Sanitizer" in r.stderr or (status is not None and r.returncode != status):
            fail(f"ferryman {' '.join(words)}: status {r.returncode}, {status} was expected\n{r.stdout[-3500:]}{r.stderr[-3500:]}")
        return r.returncode, r.stdout + r.stderr

    def words(self, phase, *more, typed=None):
        what = ["rollback", "vault"] if phase == "rollback" else ["run", f"vault/{phase}"]
        return [*what, "--arm", "home", "--confirm", f"{phase}={typed or self.typed(phase)}", *([] if phase == "rollback" else OVERRIDES), *more]

    def run(self, phase, *more, status=0, typed=None):
        began = time.monotonic()
        code, said = self.ferryman(*self.words(phase, *more, typed=typed), status=status)
        self.said[phase] = said
        self.took = time.monotonic() - began
        return said

    def refused(self, phase, words, what, *more, typed=None):
        """The phase stops, and what it says at the end has all of these words."""
        said = self.run(phase, *more, status=None, typed=typed)
        tail = "\n".join(said.strip().splitlines()[-12:])
        missing = [w for w in words if w not in tail]
        if missing or "phase %s: DONE" % phase in said:
            fail(f"{what}: {missing} is not in:\n{tail}")
        lines = [l for l in tail.splitlines() if words[0] in l]
        ok(f"{what}: {([l for l in lines if 'FAILED' in l or 'ferryman:' in l] or lines)[-1].strip()[:230]}")
        return said

    def start(self, phase, *more, typed=None):
        p = subprocess.Popen([FERRYMAN, "--plan", self.plan, "--kubeconfig", self.sandbox.kubeconfig, *self.words(phase, *more, typed=typed)],
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", env=self.env)
        atexit.register(lambda: p.poll() is None and p.kill())
        p.said = ""
        return p

    @staticmethod
    def until(p, pattern, what, seconds=60):
        """Reads what it says up to a line that matches, once the phase is at work; returns the line."""
        late = threading.Timer(seconds, p.kill)
        late.start()
        try:
            for line in p.stdout:
                p.said += line
                if re.match(r"\d\d:\d\d:\d\d |ferryman: ", line) and " RUNNING" in p.said and re.search(pattern, line):
                    ok(f"{what}: {line.strip()[:230]}")
                    return line
        finally:
            late.cancel()
        fail(f"{what}: not within {seconds} s or before its end: {pattern}\n{p.said[-3000:]}")

    @staticmethod
    def finish(p, status=0):
        p.said += p.stdout.read()
        code = p.wait(LIMIT)
        if code != status or "Sanitizer" in p.said:
            fail(f"it ended with {code}, {status} was expected\n{p.said[-3500:]}")
        return p.said

    def save(self, folder):
        self.control("save", os.path.join(folder, "sandbox"))
        shutil.copytree(self.state, os.path.join(folder, "state"))

    def stop(self):
        self.sandbox.stop()


def prepare(home, points, scenarios=()):
    """Moves it once, phase after phase; HOME/PHASE is how it was before each phase of `points`."""
    r = Roll(scenarios=scenarios)
    for phase in PHASES:
        if phase in points:
            r.save(os.path.join(home, phase))
            if phase == [p for p in PHASES if p in points][-1]:
                break
        r.run(phase)
    r.stop()
