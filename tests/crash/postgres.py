"""The crash matrix of the database: what is typed, where its phases start from, and what its end state is."""
from cluster import *

NAME = "immich-postgres"
SANDBOX = ["--small-db"]
TYPED = {"quiesce": "immich-postgresql", "swap": "immich-postgresql", "resume": "immich-postgresql", "rollback": "immich-postgresql",
         "cleanup": "home"}
PHASES = ["preflight", "inventory", "rehearse", "quiesce", "counts", "dump", "swap", "preload", "restore", "reindex", "verify", "resume",
          "cleanup"]
BACK = {"rollback": "resume"}  # the way back, from before that phase
ACTION, HALFWAY = {}, {}
# Where a phase starts from, if not from its own folder, and what is run first: a server that goes on from saved files has lost its
# statistics, as after a crash, and what rests on the sums of writes would rightly refuse them.
PRELUDE = {"dump": ("counts", ["counts"]), "swap": ("counts", ["counts", "dump"]), "rollback": ("resume", [])}
SKIPPED = {"rehearse": "the crash matrix looks elsewhere"}
# Steps that begin anew by design when they are interrupted: what they made is discarded and made again (safety 9). A server whose
# orderly end was not seen is started once more and stopped again (safety 7).
ANEW = {"rehearse": None, "restore": None, "swap": {"stop", "boot", "claim", "name"}}
TOOLS = ("kubectl", "psql")
WHY = "the crash matrix"


def overrides(phase):
    gates = {"alerts": WHY, "backups": WHY, **({"foreign-files": "nothing else"} if phase == "cleanup" else {})}
    return [word for gate, why in gates.items() for word in ("--override", f"{gate}={why}")]


def plan_of(text, base):
    return text


def prepare(cluster, phase):
    if phase != "cleanup":
        return
    cluster.control("advance", "8d")  # its retention ends; the backup that mounts the old claim is given up
    cluster.kubectl("delete", "cronjob", "-n", "immich", "postgresql-backup")
    def at_work():
        pods = json.loads(cluster.kubectl("get", "pods", "-n", "immich", "-o", "json"))["items"]
        return [p for p in pods if p["metadata"]["name"].startswith("postgresql-backup") and p["status"].get("phase") in ("Pending", "Running")]
    until(lambda: not at_work(), "no backup mounts the old claim", 60)


def asks(phase):
    """Gates that are passed over at the console, each with its reason."""
    return {"preflight": {"alerts": WHY, "backups": WHY}, "cleanup": {"foreign-files": "nothing else"}}.get(phase, {})


def server_of(cluster, facts):
    """The server that the plan leads to: whose it is, its fence, its rows and extensions."""
    with open(cluster.plan) as f:
        conninfo = re.search(r'conninfo: "([^"]+)"', f.read()).group(1)
    def ask(sql):
        r = subprocess.run(["psql", conninfo, "-XAtqc", sql], capture_output=True, text=True, timeout=60, env=clean_env(PGCONNECT_TIMEOUT="20"))
        if r.returncode:
            raise RuntimeError("psql: " + r.stderr)
        return r.stdout.strip()
    identifier = ask("SELECT system_identifier FROM pg_control_system()")
    names = {facts.get("pg.identifier.old"): "old", facts.get("pg.identifier.new"): "new"}
    tables = ask("SELECT string_agg(format('SELECT %L, count(*) FROM %s', oid::regclass, oid::regclass), ' UNION ALL ') FROM pg_class "
                 "WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace")
    return {"identifier": names.get(identifier, "neither" if facts.get("pg.identifier.old") else "not noted"),
            "read_only": ask("SELECT coalesce((SELECT setting FROM pg_file_settings WHERE name = 'default_transaction_read_only' LIMIT 1), '')"),
            "rows": sorted(ask(tables).splitlines()),
            "extensions": sorted(ask("SELECT extname || ' ' || extversion FROM pg_extension").splitlines()),
            "indexes": ask("SELECT count(*) FROM pg_index WHERE NOT indisvalid"),
            "roles": sorted(ask("SELECT rolname, rolsuper, rolcanlogin FROM pg_roles WHERE rolname !~ '^pg_'").splitlines())}


def end_state(cluster):
    records = cluster.journal()
    facts = facts_of(records, cluster.workload)
    keep = ("claim.old.name", "claim.new.name", "apps", "fence.old", "fence.new", "counts", "inventory.readonly", "dump.rows", "dump.strategy",
            "reindex.needed", "volume.new.reclaim", "volume.old.reclaim")
    return {"phases": phases_of(records), "objects": objects_of(cluster, "immich", "deployments,cronjobs,pvc,pods,leases,secrets"),
            "server": server_of(cluster, facts), "files": files_of(cluster), "facts": {k: stripped(facts.get(k, "")) for k in keep}}


def forgive(case, states):
    """A target that was discarded took one more stop and start of the database."""
    for state in states:
        for o in state["objects"].get("Deployment immich-postgresql", []):
            o.pop("generation")
