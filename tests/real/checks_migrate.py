"""A database moved on a real control plane."""

import json
import re
import subprocess
import threading

from ferry import *
from migrate_world import MigrateWorld
from objects import APPS, CORE
from program import folder, path, write

LEASES = "/apis/coordination.k8s.io/v1/namespaces/immich/leases"
CLAIMS = CORE + "/namespaces/immich/persistentvolumeclaims"
LOCK = "ferryman-immich-postgres"

WORKLOAD, OBJECT, CONTEXT = "immich-postgres", "immich-postgresql", "mover"
TYPED = {
    "preflight": "y",
    "inventory": "y",
    "rehearse": "y",
    "quiesce": OBJECT,
    "counts": "y",
    "dump": "y",
    "swap": OBJECT,
    "preload": "y",
    "restore": "y",
    "reindex": "y",
    "verify": "y",
    "resume": OBJECT,
    "rollback": OBJECT,
    "cleanup": CONTEXT,
}


def ferryman(w, *words, seconds=300, status=0, state="state"):
    """Runs it to its end; returns what it said."""
    env = clean_env(XDG_STATE_HOME=folder(state))
    r = subprocess.run([FERRYMAN, *w.args, *words], env=env, capture_output=True, text=True, timeout=seconds)
    said = r.stdout + r.stderr
    with open(path("log", "ferryman.log"), "a") as f:
        f.write(f"$ ferryman {' '.join(words)}\n{said}[{r.returncode}]\n")
    if r.returncode != status:
        print(said, flush=True)
        fail(f"ferryman {' '.join(words)}: status {r.returncode}, not {status}")
    return said


def move(w, *phases, status=0, **more):
    """The phases one after another, each with its text."""
    said = ""
    for p in phases:
        said += ferryman(w, "run", f"{WORKLOAD}/{p}", "--arm", CONTEXT, "--confirm", f"{p}={TYPED[p]}", status=status, **more)
    return said


def lease_rules(w):
    """What lock.c rests on, as the real server enforces it."""
    where = "/apis/coordination.k8s.io/v1/namespaces/immich/leases"
    spec = {
        "holderIdentity": "a@b/1",
        "leaseDurationSeconds": 120,
        "renewTime": "2026-11-22T06:00:00.123000Z",
        "acquireTime": "2026-11-22T06:00:00.123000Z",
        "leaseTransitions": 0,
    }
    made = w.api.must("POST", where, {"metadata": {"name": "rules"}, "spec": spec})
    status, _ = w.api.call("POST", where, {"metadata": {"name": "rules"}, "spec": spec})
    check(status == 409, "a Lease that is there: 409")
    released = json.loads(json.dumps(made))
    released["spec"]["holderIdentity"] = ""
    status, doc = w.api.call("PUT", where + "/rules", released)
    check(status == 200 and not doc["spec"].get("holderIdentity"), f"released with an empty holderIdentity: {status}")
    status, _ = w.api.call("PUT", where + "/rules", released)
    check(status == 409, "a stale resourceVersion: 409")
    doc["spec"]["renewTime"] = "2026-11-22T06:00:00.123Z"
    status, _ = w.api.call("PUT", where + "/rules", doc)
    check(status == 400, "three fraction digits: 400")
    w.api.must("DELETE", where + "/rules")


def away(w, seconds):
    """The API server is killed, and comes back after a while."""
    w.kube.apiserver.kill()
    threading.Event().wait(seconds)  # the outage itself: nothing can be waited for
    w.kube.start_apiserver()


def rows(w):
    return int(w.sql("SELECT count(*) FROM asset")), w.sql("SELECT t FROM note", "keeper")


def identifier(w):
    return w.sql("SELECT system_identifier FROM pg_control_system()")


def live(w):
    """The application writes now."""
    before = int(w.sql("SELECT max(id) FROM asset"))
    until(lambda: int(w.sql("SELECT max(id) FROM asset")) > before, "the application writes", 60)


def fenced(w):
    return w.sql("SHOW default_transaction_read_only") == "on"


def permissions(w):
    """What is missing is found before anything begins."""
    where = "/apis/rbac.authorization.k8s.io/v1/clusterroles/ferryman-mover"
    role = w.api.get(where)
    less = json.loads(json.dumps(role))
    less["rules"] = [r for r in role["rules"] if r["resources"] not in (["deployments"], ["cronjobs"])]
    w.api.must("PUT", where, less)
    said = move(w, "preflight", status=1, state="state-narrow")
    for part in (
        "3 of 36 permissions are missing",
        "patch cronjobs.batch postgresql-backup in immich",
        "patch deployments.apps immich-postgresql in immich",
    ):
        check(part in said, "preflight names what is missing: " + part)
    said = move(w, "preflight", status=75, state="state-second")
    check("another journal" in said, "what another journal has begun is not gone on with")
    w.api.must("DELETE", f"{CORE}/namespaces/immich/secrets/{LOCK}")
    more = dict(role, metadata=w.api.get(where)["metadata"])
    w.api.must("PUT", where, more)


def contention(w):
    """Somebody else holds the workload: nothing begins, and nothing is written over him."""
    spec = {
        "holderIdentity": "eve@there/0123456789abcdef",
        "leaseDurationSeconds": 120,
        "renewTime": "1999-01-01T00:00:00.000000Z",
        "acquireTime": "1999-01-01T00:00:00.000000Z",
        "leaseTransitions": 3,
    }
    w.api.call("DELETE", LEASES + "/" + LOCK)
    w.api.must("POST", LEASES, {"metadata": {"name": LOCK}, "spec": spec})
    said = move(w, "preflight", status=75, state="state-second")
    check("eve@there" in said, "a Lease of somebody else, however old its renewTime: status 75, and who it is")
    check(w.lease()["spec"]["holderIdentity"].startswith("eve@"), "and it is still his")
    w.api.must("DELETE", LEASES + "/" + LOCK)


def up_to_verify(w):
    old, before = identifier(w), rows(w)
    said = move(w, "preflight", "inventory", "rehearse")
    check("permissions" in said, "preflight, inventory, rehearse")
    scratch = [c["metadata"]["name"] for c in w.api.get(CLAIMS)["items"] if "scratch" in c["metadata"]["name"]]
    check(not scratch, "the rehearsal has left nothing")
    killed(w, "quiesce", "quiesce/scale RUNNING", "quiesce/fence RUNNING")
    check(fenced(w), "quiesced and fenced")
    check(w.deployment("immich-server")["spec"]["replicas"] == 0, "the application is stopped")
    cron = w.api.get("/apis/batch/v1/namespaces/immich/cronjobs/postgresql-backup")
    check(cron["spec"]["suspend"] is True, "the cron job is suspended")
    owner = [f["manager"] for f in w.deployment("immich-server")["metadata"]["managedFields"] if "f:replicas" in json.dumps(f)]
    check("ferryman" in owner, f"replicas belong to the field manager ferryman: {owner}")
    secret = w.recovery()
    check(secret["type"] == "ferryman.io/recovery", "the recovery state is in a Secret of its own type")
    lease = w.lease()
    check(not lease["spec"].get("holderIdentity"), "the Lease is nobody's between two commands")
    foreign_change(w)
    before = rows(w)
    move(w, "counts")
    stolen(w)
    killed(w, "swap", "swap/stop RUNNING", "swap/name RUNNING", "swap/boot RUNNING")
    check(w.claim_in_use() == "postgres-data-encrypted", "the deployment names the new claim")
    check(identifier(w) != old and fenced(w), "another server, fenced from its first boot")
    volume = w.volume_of("postgres-data")
    check(volume["spec"]["persistentVolumeReclaimPolicy"] == "Retain", "the old volume is kept: Retain")
    move(w, "preload")
    killed(w, "restore", "restore/restore RUNNING")
    move(w, "verify")
    check(rows(w) == before, f"every row is there: {before}")
    return old, before


def foreign_change(w):
    """Somebody scales the application up while it has to be down: the next phase stops, and says who."""
    path = f"{APPS}/namespaces/immich/deployments/immich-server"
    w.api.must("PATCH", path + "?fieldManager=mallory", {"spec": {"replicas": 1}}, "application/merge-patch+json")
    said = move(w, "counts", status=1)
    check("mallory" in said or "immich-server" in said, "the application was scaled up by somebody: " + said.strip()[-160:])
    w.api.must("PATCH", path + "?fieldManager=mallory", {"spec": {"replicas": 0}}, "application/merge-patch+json")
    until(lambda: not w.kubelet.serving("immich-server"), "its pod is gone", 60)


def rolled_back(w, old, before):
    ferryman(w, "rollback", WORKLOAD, "--arm", CONTEXT, "--confirm", f"rollback={OBJECT}")
    check(identifier(w) == old and not fenced(w), "rolled back: the old server, its fence lifted")
    check(w.claim_in_use() == "postgres-data", "the old claim is named again")
    check(rows(w)[0] >= before[0], "with every row")
    live(w)
    check(w.deployment("immich-server")["spec"]["replicas"] == 1, "the application is back")
    check(not w.api.get(CLAIMS + "/postgres-data-encrypted"), "the target is discarded")
    policy = w.volume_of("postgres-data")["spec"]["persistentVolumeReclaimPolicy"]
    check(policy == "Retain", "its volume stays kept: Retain")


class Run:
    """A command that goes on while we do something to it."""

    def __init__(self, w, *words):
        env = clean_env(XDG_STATE_HOME=folder("state"))
        self.said, self.changed = [], threading.Event()
        self.process = subprocess.Popen(
            [FERRYMAN, *w.args, *words], env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        with open(path("log", "ferryman.log"), "a") as log:
            for line in self.process.stdout:
                log.write(line)
                log.flush()
                self.said.append(line)
                self.changed.set()

    def wait(self, text, seconds=120):
        def seen():
            if self.process.poll() is not None and not self.reader.is_alive():
                if not any(text in line for line in self.said):
                    fail(f"it ended without saying {text!r}: " + "".join(self.said[-15:]))
            return any(text in line for line in self.said)

        until(seen, text, seconds)

    def end(self, status=0, seconds=300):
        self.process.wait(seconds)
        self.reader.join(10)
        if self.process.returncode != status:
            fail(f"status {self.process.returncode}, not {status}: " + "".join(self.said[-15:]))
        return "".join(self.said)


def every_phase(first="preflight"):
    order = ["preflight", "inventory", "quiesce", "counts", "dump", "swap", "preload", "restore", "reindex", "verify", "resume"]
    words = ["run", WORKLOAD, "--arm", CONTEXT]
    words += ["--skip", "rehearse=done before"] if first == "preflight" else []
    for p in order[order.index(first) :]:
        words += ["--confirm", f"{p}={TYPED[p]}"]
    return words


def one(phase):
    return ["run", f"{WORKLOAD}/{phase}", "--arm", CONTEXT, "--confirm", f"{phase}={TYPED[phase]}"]


def killed(w, phase, *marks):
    """Killed when it has said each of these, and begun again: what was done is seen to be done."""
    for mark in marks:
        run = Run(w, *one(phase))
        until(lambda: any(mark in line for line in run.said) or run.process.poll() is not None, mark, 120)
        run.process.kill()
        run.process.wait()
        run.reader.join(10)
        if f"phase {phase}: DONE" in "".join(run.said):
            fail(f"{phase} was over before it said {mark!r}")
    said = ferryman(w, *one(phase))
    check(f"phase {phase}: DONE" in said, f"{phase}: killed {len(marks)} times, and begun again by the same journal")


def whole(w):
    """All phases by one command, while the API server is away in between: an outage below the lock's deadline ends nothing."""
    old = identifier(w)
    run = Run(w, *every_phase())
    run.wait("dump/dump RUNNING")
    lease = w.lease()
    check(lease["spec"]["holderIdentity"].endswith(w.journal_id()), "the Lease: " + lease["spec"]["holderIdentity"])
    check(re.fullmatch(r".*\.\d{6}Z", lease["spec"]["renewTime"]), "its renewTime has six digits")
    away(w, 15)
    said = run.end(1)
    check("phase dump: DONE" in said and "is DOWN: nothing may rest on it" in said, "the API server is away: the dump ends well, the next phase does not begin")
    check(w.lease()["spec"]["holderIdentity"].endswith(w.journal_id()), "the Lease could not be given back")
    run = Run(w, *every_phase("swap"))
    run.wait("phase restore: RUNNING")
    ok("the same journal takes it up at once")
    away(w, 10)
    run.process.wait(300)
    said = run.end(run.process.returncode)
    check("phase restore: DONE" in said, "away while a phase begins: it waits, and restores")
    if run.process.returncode == 1:  # not back yet when the next dialog was opened
        said = ferryman(w, *every_phase("verify"))
    check("phase resume: DONE" in said, "and on to the end")
    check(identifier(w) != old and not fenced(w), "the new server serves, and may be written")
    live(w)
    check(w.claim_in_use() == "postgres-data-encrypted", "on the new claim")
    check(w.api.get(CLAIMS + "/postgres-data") is not None, "the old copy is kept")


def quota(w):
    """What admission would refuse is found by preflight's dry runs."""
    where = CORE + "/namespaces/immich/resourcequotas"
    w.api.must("POST", where, {"metadata": {"name": "full"}, "spec": {"hard": {"persistentvolumeclaims": "1"}}})
    until(lambda: (w.api.get(where + "/full").get("status") or {}).get("used"), "the quota is counted")
    said = move(w, "preflight", status=1, state="state-quota")
    check("exceeded quota: full" in said, "a quota that the new claim would exceed: preflight says so")
    w.api.must("DELETE", where + "/full")
    w.api.must("DELETE", f"{CORE}/namespaces/immich/secrets/{LOCK}")


def another_cluster(w):
    with open(w.plan) as f:
        text = f.read()
    plan = write(path("plan-other.yaml"), re.sub(r"cluster: .*", "cluster: 00000000-0000-0000-0000-000000000000", text))
    args = w.args
    w.args = ["--plan", plan, "--kubeconfig", w.kubeconfig]
    said = move(w, "preflight", status=65, state="state-other")
    w.args = args
    check("another cluster" in said, "a plan for another cluster: status 65")
    check(w.lease() is None or not w.lease()["spec"].get("holderIdentity"), "and nothing is locked")


def stolen(w):
    """Somebody takes the Lease by force while a dump hangs: the dump ends, and its sessions are gone."""
    server = w.kubelet.serving()
    run = Run(w, *one("dump"))
    run.wait("dump/dump RUNNING")
    server.hold(True)
    lease = w.lease()
    lease["spec"]["holderIdentity"] = "eve@there/0123456789abcdef"
    status = 409
    while status == 409:  # a renewal may have come in between
        status, _ = w.api.call("PUT", LEASES + "/" + LOCK, lease)
        if status == 409:
            lease["metadata"]["resourceVersion"] = w.lease()["metadata"]["resourceVersion"]
    said = run.end(75, 60)
    check("eve@there" in said, "the Lease is taken by force while a dump hangs: it ends, and says by whom")
    check(not processes("pg_dumpall"), "its children are gone")
    server.hold(False)
    check(w.lease()["spec"]["holderIdentity"].startswith("eve@"), "the Lease is left to him")
    w.api.must("DELETE", LEASES + "/" + LOCK)
    move(w, "dump")
    ok("the dump is made again once the Lease is free")


def kept(w):
    """The old copy stays for as long as the plan says, and going back says what it costs."""
    said = ferryman(w, *one("cleanup"), status=1)
    check("is kept until" in said, "cleanup before the end of retention: " + said.strip().splitlines()[-1][:200])
    check(w.api.get(CLAIMS + "/postgres-data") is not None, "nothing was removed")


def late_rollback(w, old):
    """After the applications have come back: once it counts what would be lost and stops, then it goes, and keeps a dump."""
    words = ["rollback", WORKLOAD, "--arm", CONTEXT, "--confirm", f"rollback={OBJECT}"]
    said = ferryman(w, *words, status=1)
    check("were written since the applications came back" in said, "rollback after resume counts what would be lost, and stops")
    said = ferryman(w, *words)
    check(re.search(r"lost .*immich", said), "the next dialog shows it")
    check(identifier(w) == old and not fenced(w), "and the old server serves again")
    live(w)


def main():
    w = MigrateWorld()
    ok(f"servers: Kubernetes {w.kube.version()}, PostgreSQL {w.sql('SHOW server_version')} in a pod, up in {w.seconds:.0f} s")
    live(w)
    ok("the application writes over the Service")
    lease_rules(w)
    permissions(w)
    quota(w)
    another_cluster(w)
    contention(w)
    old, before = up_to_verify(w)
    rolled_back(w, old, before)
    whole(w)
    kept(w)
    late_rollback(w, old)
    done()
