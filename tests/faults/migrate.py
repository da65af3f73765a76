#!/usr/bin/env python3
"""What goes wrong while the database is moved: each fault is planted in a cluster that was saved on the way, and the message that ends
or halts the phase is compared with what it should say: the thing, the place, the remedy."""
import os
import sys

sys.path.insert(0, os.path.join(os.environ.get("top_srcdir", "."), "tests", "lib"))
from migrate import *

# What is said, after the phase and the operation that said it. A line of the dump is one of the sandbox's own making.
GOLDEN = {
    "other-cluster": "this is another cluster than the plan pins under 'cluster'; nothing was done",
    "quota": ('the API server would refuse it: kube home: POST /api/v1/namespaces/immich/persistentvolumeclaims: 403 '
        'Forbidden: persistentvolumeclaims "immich-postgresql-data-encrypted" is forbidden: exceeded quota: immich, '
        'requested: persistentvolumeclaims=1, used: persistentvolumeclaims=3, limited: persistentvolumeclaims=3; raise '
        'the ResourceQuota of the namespace, or remove what uses it up'),
    "denied": '1 of 40 permissions are missing: create persistentvolumeclaims in immich. Ask for a Role that grants them',
    "init-writes": ('init container write-config writes into the data directory without asking for PG_VERSION, so initdb would '
        "refuse a fresh volume: let it begin with 'test -f $PGDATA/PG_VERSION'"),
    "lost-found": ('PGDATA is the mount point /var/lib/postgresql/data itself: a fresh ext4 has lost+found there and initdb '
        'refuses. Set PGDATA to a folder below it, or give the mount a subPath'),
    "elsewhere": ('postgres of immich-postgres: the server at ADDRESS is ADDRESS, the pod POD is ADDRESS: the Service leads '
        'elsewhere; look at its selector and endpoints'),
    "unlisted": ("1 client: user immich, database immich, application psql, from pod psql-admin (nobody made it). The plan's "
        'quiesce does not name what this belongs to: add it there, or stop it'),
    "cron-writes": ('immich public.tags: 60, now 61: the database was written after the dump, which is stale; find the writer, then '
        'run counts and dump again'),
    "409": ('kube home: PATCH /apis/apps/v1/namespaces/immich/deployments/immich-postgresql: 409 Conflict: Operation cannot '
        'be fulfilled on deployments.apps "immich-postgresql": the object has been modified; please apply your changes '
        'to the latest version and try again; somebody else writes it: its managedFields say who; stop that, then try '
        'again'),
    "422": ('kube home: POST /api/v1/namespaces/immich/persistentvolumeclaims: 422 Invalid: PersistentVolumeClaim '
        '"immich-postgresql-data-encrypted" is invalid: spec: Invalid value: refused by the fault that was planted; '
        'correct in the plan or in the object what this names, then try again'),
    "403": ('kube home: POST /api/v1/namespaces/immich/persistentvolumeclaims: 403 Forbidden: persistentvolumeclaims is '
        'forbidden: User "sandbox-admin" cannot create resource "persistentvolumeclaims" in API group "" in the '
        'namespace "immich"; this needs the right to create there: have it granted, then try again'),
    "preload": ("shared_preload_libraries = '', without vchord, vectors, pg_prewarm: look into the configuration that the image "
        'loads on its second boot (postgresql.override.conf, -c in args)'),
    "extension": ('the restore stopped at line 277 of the dump, EXTENSION vchord: 0A000 (extension "vchord" is not available); the '
        "server's log has the whole message. This half-restored target is to be discarded"),
    "truncated": ("dump DIR/immich-postgres-TIME.sql: its SHA-256 is not the one in DIR/immich-postgres-TIME.sql.json: the file was changed "
                  "or cut off. Put back the file that was proved, or roll back and dump again"),
    "row": ('immich public.tags: 60, now 59. What was restored is no copy of what was counted: roll back, and find who wrote '
        'or what the restore left out'),
    "drift": ('extension vector of immich: 0.8.0→1.0.0 is major drift, the plan allows minor. Pin the image, or raise '
        'verify.extensions.drift of the plan'),
}
POINTS = ["quiesce", "dump", "swap", "restore", "verify", "end"]
CASES = {}


def case(phase):
    """A case that goes on before that phase."""
    def add(fn):
        CASES[fn.__name__] = (phase, fn)
        return fn
    return add


def says(m, result, status, golden, what):
    """The last word ends in the golden one, and the exit status is that, too."""
    code, out = result
    word = last_word(out)
    if not word.endswith(golden) or code != status:
        fail(f"{what}: status {code}, {status} was expected; it said\n{word}\nnot\n{golden}\n{out[-1500:] if not word else ''}")
    ok(f"{what}: {word}")


def up(m):
    until(lambda: m.psql("SELECT 1", may_fail=True) == "1", "the server is there", 60)


def fresh(m):
    """The beginning again."""
    shutil.rmtree(m.state)
    os.makedirs(m.state, 0o700)
    m.kubectl("delete", "lease,secret", "-n", "immich", "ferryman-immich-postgres", "--ignore-not-found")


# ---- Before anything is touched

@case(None)
def preflight(m):
    def planted(on, off, golden, what, status=1, server=False):
        m.control(*on)
        if server:
            up(m)
        says(m, m.run("preflight"), status, golden, what)
        m.control(*off)
        if server:
            up(m)
        fresh(m)
    r = subprocess.run([a if a != "home" else "hom" for a in arguments(m.plan, m.sandbox.kubeconfig, "preflight")], capture_output=True, text=True, env=m.env)
    says(m, (r.returncode, r.stderr), 64, "--arm hom: the context's name is 'home'; nothing was done", "context name mistyped")
    s = lambda name: (("scenario", name, "on"), ("scenario", name, "off"))
    planted(*s("other-cluster"), GOLDEN["other-cluster"], "another cluster with the same context name", 65)
    planted(*s("quota-exceeded"), GOLDEN["quota"], "quota exceeded")
    planted(("deny", "create", "persistentvolumeclaims", "immich"), ("deny", "clear"), GOLDEN["denied"], "a right is missing")
    planted(*s("pg-init-writes"), GOLDEN["init-writes"], "PG_VERSION is not gated", server=True)
    planted(*s("pg-lost-found"), GOLDEN["lost-found"], "PGDATA is the mount point", server=True)
    m.control("scenario", "service-elsewhere", "on")
    until(lambda: m.psql("SELECT to_regclass('assets') IS NULL", may_fail=True) == "t", "another server answers", 60)
    says(m, m.run("preflight"), 1, GOLDEN["elsewhere"], "the Service leads to another server")


# ---- Who writes, who brings back

@case("quiesce")
def unlisted_client(m):
    m.control("scenario", "pg-superuser-writer", "on")
    until(lambda: int(m.psql("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'psql'")) >= 2, "the writer is connected", 30)
    says(m, m.run("quiesce"), 1, GOLDEN["unlisted"], "a client that nobody listed")


@case("quiesce")
def scaled_up(m):
    m.control("scenario", "app-scaled-up", "on")
    code, out = m.run("quiesce")
    check("keda-operator" in last_word(out), "another controller scales the application up: " + (last_word(out) or out[-2500:]))


@case("quiesce")
def gitops(m):
    m.control("scenario", "gitops", "on")
    code, out = m.run("quiesce")
    check("argocd-controller" in last_word(out), "GitOps sets replicas back: " + last_word(out))


@case("quiesce")
def two_plans(m):
    """The first is held in the middle by a server that says nothing."""
    first = m.start("quiesce")
    check(m.until(first, "quiesce/record RUNNING"), "the first has begun")
    m.control("freeze", "pg")
    other = dict(m.env, XDG_STATE_HOME=os.path.join(m.own, "other"), XDG_RUNTIME_DIR=os.path.join(m.own, "other"))
    os.makedirs(other["XDG_STATE_HOME"], 0o700)
    code, out = m.run("preflight", env=other)
    check(code == 75, f"a second plan on the workload: status 75: {last_word(out)}")
    m.control("thaw", "pg")
    first.terminate()
    m.finish(first)


@case("swap")
def cron_writes(m):
    m.control("scenario", "pg-cron-writes", "on")
    m.control("run", "cronjob", "immich/postgresql-backup")
    until(lambda: m.kubectl("get", "jobs", "-n", "immich", "postgresql-backup-manual-1", "-o", "jsonpath={.status.succeeded}") == "1", "the job has run", 60)
    says(m, m.run("swap"), 1, GOLDEN["cron-writes"], "a CronJob writes between dump and swap")


@case("dump")
def superuser_writes(m):
    m.control("scenario", "pg-superuser-writer", "on")
    until(lambda: int(m.psql("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'psql'")) >= 2, "the writer is connected", 30)
    line, _ = m.stopped_at("dump", "still 1 client")
    check("from pod psql-admin" in line and "stop what comes back" in line, "a superuser who sets himself read-write after the fence: " + normal(line))


@case("end")
def old_claim_back(m):
    m.control("patch", "claim", "immich/immich-postgresql", "immich-postgresql-data-host")
    w = Stream(["--plan", m.plan, "--kubeconfig", m.sandbox.kubeconfig], env=m.env)
    gate = w.wait(lambda: next((g for g in w.rows("gates") if g["answer"] == "FAIL" and ("old" in g["reason"] or "identifier" in g["reason"])), None), "a gate fails", 60)
    ok(f"the old claim brought back after resume: {gate['name']}: {normal(gate['reason'])}")
    w.stop()


# ---- Dump

@case("dump")
def gone_while_dumping(m):
    p = m.start("dump")
    check(m.until(p, "dump/dump RUNNING"), "the dump has begun")
    m.control("kill", "pg")
    code, out = m.finish(p)
    check(code == 1 and last_word(out).startswith("dump FAILED") and "run the phase again" in last_word(out), "the server is gone while it is dumped: " + last_word(out))
    check(not [f for f in os.listdir(os.path.join(m.own, "dumps")) if f.endswith(".sql")], "and no file is left that looks like a dump")


@case("dump")
def token_expires(m):
    p = m.start("dump")
    check(m.until(p, "dump/dump RUNNING"), "the dump has begun")
    m.control("scenario", "token-expired", "on")
    code, out = m.finish(p)
    if code == 0:  # the dump was faster: the next phase meets it
        code, out = m.run("swap")
    check(code != 0 and ("401" in out or "Unauthorized" in out or "token" in out), "the token expires: " + last_word(out))


# ---- Swap

@case("swap")
def requests(m):
    for code, resource, verb, key in ((409, "deployments", "patch", "409"), (422, "persistentvolumeclaims", "create", "422"), (403, "persistentvolumeclaims", "create", "403")):
        m.control("fault", verb, resource, str(code), "0")
        says(m, m.run("swap"), 1, GOLDEN[key], f"{code} for {verb} {resource}")
        m.control("fault", "clear")
    m.control("audit", "clear")
    m.control("fault", "create", "persistentvolumeclaims", "drop-after-commit")
    m.control("fault", "patch", "deployments", "drop-after-commit", "2")
    code, out = m.run("swap")
    check(code == 0, "answers that are lost after the act: it goes on " + (last_word(out) if code else ""))
    counts = dict(l.rsplit(" ", 1) for l in m.control("audit").splitlines())
    check(counts.get("create persistentvolumeclaims immich/immich-postgresql-data-encrypted ferryman") == "1", "and nothing is done twice")


@case("swap")
def pending(m):
    m.control("scenario", "claim-pending", "on")
    line, out = m.stopped_at("swap", "is Pending")
    check("immich-postgresql-data-encrypted" in line and "kubectl describe pvc" in line, "the claim stays Pending: " + normal(line))


@case("swap")
def temporary_server(m):
    m.control("scenario", "pg-temp-server", "on")
    code, out = m.run("swap")
    check(code == 0 and m.psql("SHOW default_transaction_read_only") == "on", "the temporary server passes the readiness probe first: swap waits for the final one")
    m.control("scenario", "pg-temp-server", "off")
    m.control("scenario", "pg-preload-missing", "on")
    says(m, m.run("preload"), 1, GOLDEN["preload"], "the preload libraries are missing")


# ---- Restore

@case("restore")
def extension_missing(m):
    m.control("scenario", "pg-extension-missing", "on")
    says(m, m.run("restore"), 1, GOLDEN["extension"], "an extension is not in the image")


@case("restore")
def gone_while_restoring(m):
    p = m.start("restore")
    check(m.until(p, "restore/restore RUNNING"), "the restore has begun")
    m.control("kill", "pg")
    code, out = m.finish(p)
    check(code == 1, "the server's container restarts while it is restored: " + last_word(out))
    code, out = m.run("restore")
    check(code != 0 or "discard" in out, "started again, nothing goes on in the half-restored target: " + last_word(out))


@case("restore")
def lease_lost(m):
    p = m.start("restore")
    check(m.until(p, "restore/restore RUNNING"), "the restore has begun")
    m.control("freeze", "pg")
    m.control("lease", "steal", "immich/ferryman-immich-postgres", "mallory@elsewhere")
    found = m.until(p, "mallory@elsewhere")
    m.control("thaw", "pg")
    code, out = m.finish(p)
    check(found and code != 0, "the Lease is lost in the middle of the restore: " + last_word(out))


@case("restore")
def dump_changed(m):
    dumps = os.path.join(m.home, "dumps")
    path = os.path.join(dumps, [f for f in os.listdir(dumps) if f.endswith(".sql")][0])
    whole = open(path, "rb").read()
    own = os.path.join(m.own, "kept")
    shutil.copytree(dumps, own)
    try:  # its folder is in the journal, so it is changed where it is: this case runs alone
        with open(path, "r+b") as f:
            f.truncate(len(whole) // 2)
        says(m, m.run("restore"), 1, GOLDEN["truncated"], "the dump is cut short")
        with open(path, "wb") as f:
            f.write(whole.replace(b"immich_readers", b"immich_writers"))
        says(m, m.run("restore"), 1, GOLDEN["truncated"], "the dump is of another cluster")
    finally:
        with open(path, "wb") as f:
            f.write(whole)


# ---- Verify

@case("verify")
def row_missing(m):
    m.psql("BEGIN READ WRITE; DELETE FROM tags WHERE id = (SELECT id FROM tags LIMIT 1); COMMIT")
    says(m, m.run("verify"), 1, GOLDEN["row"], "rows differ by one")


@case("restore")
def major_drift(m):
    m.control("scenario", "pg-major-drift", "on")
    code, out = m.run("restore")
    check(code == 0, "an image with another major version of an extension restores")
    m.run("reindex")
    says(m, m.run("verify"), 1, GOLDEN["drift"], "major drift")




def main():
    if len(sys.argv) > 3 and sys.argv[1] == "--case":
        phase, fn = CASES[sys.argv[2]]
        m = Migration(sys.argv[3], phase)
        fn(m)
        m.sandbox.stop()
        done()
    home = tempfile.mkdtemp(prefix="ferryman-faults-")
    atexit.register(shutil.rmtree, home, True)
    only = sys.argv[1:] or list(CASES)
    prepare(home, [p for p in POINTS if any(CASES[n][0] == p for n in only)])
    ok("the database was moved once")
    alone = [n for n in only if n == "dump_changed"]
    bad = parallel(os.path.abspath(__file__), [n for n in only if n not in alone], home) + parallel(os.path.abspath(__file__), alone, home)
    check(not bad, f"every fault was met with the right words {bad}")
    done()


if __name__ == "__main__":
    main()
