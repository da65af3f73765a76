"""A migration of the sandbox's database from saved points on the way, for tests of what goes wrong there.

`prepare(home)` moves the database once and saves the sandbox with ferryman's state before the phases that are asked for; a `Migration`
goes on from one of these in a folder of its own. Two that go on from the same point at the same time need a network of their own each,
since pods keep their addresses: `parallel` sees to that where it may, and runs them one after another elsewhere."""
import concurrent.futures

from ferry import *

PHASES = ["preflight", "inventory", "rehearse", "quiesce", "counts", "dump", "swap", "preload", "restore", "reindex", "verify", "resume"]
HARD = ("quiesce", "swap", "resume", "rollback")
LIMIT = 150


def arguments(plan, kubeconfig, phase, *more):
    what = ["rollback", "immich-postgres"] if phase == "rollback" else ["run", f"immich-postgres/{phase}"]
    confirm = [] if "--skip" in more else ["--confirm", f"{phase}={'immich-postgresql' if phase in HARD else 'y'}"]
    override = [] if phase == "rollback" else ["--override", "alerts=a test"]
    return [FERRYMAN, *what, "--plan", plan, "--kubeconfig", kubeconfig, "--arm", "home", *confirm, *override, *more]


def plan_of(sandbox, path, dumps):
    """The sandbox's plan with dumps that are not enciphered: PBKDF2 takes most of the time of a sanitized build."""
    text = re.sub(r"encrypt: \{[^{}]*\}", 'encrypt: { none: true, reason: "made-up data of a test" }', open(sandbox.plan).read())
    with open(path, "w") as f:
        f.write(re.sub(r'directory: "[^"]*"', f'directory: "{dumps}"', text))
    os.chmod(path, 0o600)


def prepare(home, points):
    """Runs phase after phase; HOME/PHASE/{sandbox,state} is how it was before each phase of `points`."""
    s = Sandbox("--small-db", dir=os.path.join(home, "first"))
    plan, state = os.path.join(home, "plan.yaml"), os.path.join(home, "state")
    os.makedirs(state, 0o700)
    plan_of(s, plan, os.path.join(home, "dumps"))
    for phase in PHASES + ["end"]:
        if phase in points:
            s.control("save", os.path.join(home, phase, "sandbox"))
            shutil.copytree(state, os.path.join(home, phase, "state"))
            if phase == [p for p in PHASES + ["end"] if p in points][-1]:
                break
        skip = ["--skip", "rehearse=it is tried elsewhere"] if phase == "rehearse" else []
        r = subprocess.run(arguments(plan, s.kubeconfig, phase, *skip), capture_output=True, text=True, timeout=LIMIT,
                           env=clean_env(XDG_STATE_HOME=state, XDG_RUNTIME_DIR=home))
        if r.returncode:
            fail(f"{phase} ended with {r.returncode}: {r.stdout[-3000:]}{r.stderr[-2000:]}")
    s.stop()


class Migration:
    """Goes on before `phase`; phase None: from the very beginning."""

    def __init__(self, home, phase=None):
        self.home, self.own = home, tempfile.mkdtemp(prefix="ferryman-migration-")
        atexit.register(shutil.rmtree, self.own, True)
        self.sandbox = Sandbox("--from", os.path.join(home, phase, "sandbox")) if phase else Sandbox("--small-db")
        self.control, self.psql, self.kubectl = self.sandbox.control, self.sandbox.psql, self.sandbox.kubectl
        self.plan, self.state = os.path.join(self.own, "plan.yaml"), os.path.join(self.own, "state")
        # What is before its dump writes one; what comes after it reads the one that all share.
        done = phase in PHASES and PHASES.index(phase) > PHASES.index("dump") or phase == "end"
        plan_of(self.sandbox, self.plan, os.path.join(home if done else self.own, "dumps"))
        if phase:
            shutil.copytree(os.path.join(home, phase, "state"), self.state)
        else:
            os.makedirs(self.state, 0o700)
        self.env = clean_env(XDG_STATE_HOME=self.state, XDG_RUNTIME_DIR=self.own)

    def start(self, phase, *more, env=None):
        p = subprocess.Popen(arguments(self.plan, self.sandbox.kubeconfig, phase, *more), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                             text=True, errors="replace", env=env or self.env)
        atexit.register(lambda: p.poll() is None and p.kill())
        p.said = ""
        return p

    @staticmethod
    def until(p, text):
        """Reads what it says up to a line with the text; False if it ended before. What takes too long is ended."""
        late = threading.Timer(LIMIT, p.kill)
        late.start()
        try:
            for line in p.stdout:
                p.said += line
                if text in line:
                    return True
            return False
        finally:
            late.cancel()

    @staticmethod
    def finish(p):
        p.said += p.stdout.read()
        return p.wait(LIMIT), p.said

    def run(self, phase, *more, env=None):
        return self.finish(self.start(phase, *more, env=env))

    def stopped_at(self, phase, text):
        """Runs until it says the text, then ends it as ^C does: (that line, everything)."""
        p = self.start(phase)
        found = self.until(p, text)
        line = p.said.rstrip().splitlines()[-1] if found else ""
        p.terminate()
        return line, self.finish(p)[1]


def normal(text):
    """A message without what differs from run to run."""
    for pattern, sign in ((r"\d\d:\d\d:\d\d ", ""), (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "UID"), (r"\b127\.\d+\.\d+\.\d+(:\d+)?", "ADDRESS"),
                          (r"port \d+", "port PORT"), (r"immich-postgresql-[a-z0-9]{8,10}-[a-z0-9]{5}", "POD"), (r"/(tmp|var/tmp)/[^\s'\";:,]*/", "DIR/"),
                          (r"\d{8}T\d{6}Z", "TIME"), (r"\d+ bytes", "N bytes"), (r"\b[0-9a-f]{64}\b", "HASH"), (r"system identifier \d+", "system identifier N"),
                          (r"\b7\d{18}\b", "IDENTIFIER"), (r"; go on with: .*", "")):
        text = re.sub(pattern, sign, text)
    return text.strip()


def last_word(out):
    """What ferryman itself says at the end."""
    lines = [l for l in out.splitlines() if l.startswith("ferryman: ")]
    return normal(lines[-1][len("ferryman: "):]) if lines else ""


def spaces():
    return os.geteuid() == 0 and shutil.which("ip") and shutil.which("unshare") and subprocess.run(["unshare", "--net", "true"], capture_output=True).returncode == 0


def parallel(program, names, home, jobs=3):
    """`program --case NAME HOME` for each name, each in a network of its own; returns the names that failed."""
    bad = []

    def one(name):
        words = [sys.executable, program, "--case", name, home]
        if spaces():
            words = ["unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh", *words]
        r = subprocess.run(words, capture_output=True, text=True, timeout=LIMIT * 2)
        return name, r.returncode, r.stdout + r.stderr
    with concurrent.futures.ThreadPoolExecutor(jobs if spaces() else 1) as pool:
        for name, code, out in pool.map(one, names):
            print("".join(f"{l}\n" for l in out.splitlines() if not l.endswith(" checks passed")), end="", flush=True)
            if code:
                bad.append(name)
    return bad
