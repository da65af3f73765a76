"""PostgreSQL: what is in it, what changes in it, and a server that comes and goes."""

import subprocess
import time

from database import EXTENSIONS
from ferry import *

SOURCE = "postgres/immich-postgres"


def server(stream):
    return stream.row("pg_servers") or {}


def well(stream):
    return stream.source(SOURCE)[0] == "POLLED" and server(stream).get("state") == "OK"


def extensions(stream, database):
    return {r["name"]: (r["installed"], r["state"]) for r in stream.rows("extensions", database=database)}


def run(w, s, d):
    shown(w, s)
    extension_created(w, s, d)
    long_work(w, s)
    invalid_index(w, s)
    restarts(w, s, d)


def shown(w, s):
    s.wait(lambda: well(s), "the server is polled")
    check(
        server(s)["version"] == w.database.version()
        and server(s)["identifier"] == w.database.sql("SELECT system_identifier FROM pg_control_system()"),
        f"PostgreSQL {server(s)['version']}, system identifier {server(s)['identifier']}",
    )
    there = set(w.database.sql("SELECT datname FROM pg_database WHERE datallowconn").split())
    s.wait(
        lambda: there <= {r["name"] for r in s.rows("databases")}
        and s.row("databases", name="immich")["extensions"] == len(EXTENSIONS) + 1,
        "databases with their extensions",
    )
    size = int(w.database.sql("SELECT pg_database_size('immich')"))
    check(
        abs(s.row("databases", name="immich")["size"] - size) < 1 << 20,
        f"databases with sizes: immich has {size} bytes",
    )
    installed = {
        line.split("|")[0]: line.split("|")[1]
        for line in w.database.sql("SELECT extname, extversion FROM pg_extension", "immich").splitlines()
    }
    check(
        {n: v for n, (v, _) in extensions(s, "immich").items()} == installed,
        f"the {len(installed)} extensions of immich with versions, as in pg_extension",
    )
    check(
        extensions(s, "paperless")["pg_trgm"] == ("1.5", "DRIFT"),
        "an old version in paperless is DRIFT: a restore would give another",
    )
    check("pg_stat_statements" in server(s)["preload"], "shared_preload_libraries: " + server(s)["preload"])
    s.wait(lambda: s.row("settings", name="work_mem"), "settings that differ")
    setting = s.row("settings", name="work_mem")
    check(
        (setting["value"], setting["source"]) == ("7168 kB", "command line"),
        f"settings that differ from their default: work_mem {setting['value']}, {setting['source']}",
    )
    check(s.row("credentials", _key=SOURCE)["user"] == "watcher", "asked as a role that may only look")
    s.wait(lambda: s.row("activity", user="watcher"), "activity")
    check(
        not any("select" in str(v).lower() for r in s.rows("activity") for v in r.values()),
        "activity without query text",
    )


def extension_created(w, s, d):
    began = time.monotonic()
    w.database.sql("CREATE EXTENSION btree_gin", "immich")
    for stream in (s, d):
        stream.wait(lambda: "btree_gin" in extensions(stream, "immich"), "an extension that was created", 60)
    ok(f"CREATE EXTENSION is followed, after {time.monotonic() - began:.0f} s")
    w.database.sql("DROP EXTENSION btree_gin", "immich")
    w.database.sql("ALTER EXTENSION pg_trgm UPDATE", "paperless")
    for stream in (s, d):
        stream.wait(
            lambda: "btree_gin" not in extensions(stream, "immich")
            and extensions(stream, "paperless")["pg_trgm"][1] == "OK",
            "its end, and an update",
            60,
        )
    ok("DROP EXTENSION and ALTER EXTENSION UPDATE, too")


def long_work(w, s):
    """A COPY that is held open: it shows in the progress views as long as it runs."""
    copy = subprocess.Popen(
        ["psql", "-Xq", "-h", w.database.ip, "-U", "postgres", "-d", "immich", "-c", "COPY asset FROM STDIN"],
        stdin=subprocess.PIPE,
        env=dict(clean_env(), PGPASSWORD=w.database.password),
        text=True,
    )
    copy.stdin.write("30001\tone\n" * 20000)
    copy.stdin.flush()
    running = lambda: s.row("progress", command="COPY FROM")
    s.wait(lambda: running() and running()["done"] > 100000, "a COPY that runs is shown")
    ok(f"a COPY that runs is shown: {running().get('relation')}, {running()['done']} {running()['unit']}")
    copy.stdin.close()
    copy.wait(20)
    s.wait(lambda: not running(), "and ends")


def invalid_index(w, s):
    try:
        w.database.sql("CREATE UNIQUE INDEX CONCURRENTLY asset_once ON asset (id)", "immich")
    except RuntimeError:
        pass
    s.wait(lambda: s.row("indexes", name="public.asset_once", state="INVALID"), "an index that is not valid", 60)
    w.database.sql("DROP INDEX asset_once", "immich")
    s.wait(lambda: not s.row("indexes", name="public.asset_once"), "and its end", 60)
    ok("an index that failed to build is INVALID, and gone when it is dropped")


def restarts(w, s, d):
    identifier, databases = server(s)["identifier"], len(s.rows("databases"))
    w.database.server.stop()
    for stream in (s, d):
        stream.wait(lambda: stream.source(SOURCE)[0] == "DOWN", "the server is DOWN", 30)
    check(
        len(s.rows("databases")) == databases,
        "stopped: DOWN, what was known stays: " + (s.source(SOURCE)[1] or "")[:100],
    )
    kube = set(s.sources("kube").values())
    check(kube == {"LIVE"}, "Kubernetes is not frozen by it")
    w.database.start()
    began = time.monotonic()
    for stream in (s, d):
        stream.wait(lambda: well(stream), "it is found again", 60)
    ok(f"started: found again by itself {time.monotonic() - began:.0f} s after it listened")
    started = server(s)["started"]
    w.database.server.kill()
    until(lambda: not postmasters(w), "its backends are gone")
    w.database.start()
    for stream in (s, d):
        stream.wait(
            lambda: stream.source(SOURCE)[0] == "POLLED" and server(stream).get("started", 0) > started,
            "found again after a crash",
            60,
        )
    check(server(s)["identifier"] == identifier, "killed and recovered: found again, the same system identifier")


def postmasters(w):
    return processes(w.database.data)
