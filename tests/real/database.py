"""A real PostgreSQL, made by initdb as an unprivileged user."""

import glob
import os
import signal
import subprocess

from program import Program, folder, path, write

PORT = 5432
USER = "postgres"
EXTENSIONS = ("hstore", "pg_trgm", "citext", "pgcrypto", "pg_stat_statements")


def bindir():
    """The newest PostgreSQL of the machine; Debian keeps each in a folder of its own."""
    found = sorted(glob.glob("/usr/lib/postgresql/*/bin/postgres"), key=lambda p: int(p.split("/")[4]))
    return os.path.dirname(found[-1]) if found else None


class Database:
    def __init__(self, ip):
        self.ip, self.bin = ip, bindir()
        self.data = path("postgres", "data")
        self.password = "not-so-secret"
        self.server = Program(
            "postgres",
            [
                os.path.join(self.bin, "postgres"),
                "-D",
                self.data,
                "-p",
                str(PORT),
                "-c",
                f"listen_addresses={ip}",
                "-c",
                "unix_socket_directories=" + folder("postgres", owner=USER),
                "-c",
                "shared_preload_libraries=pg_stat_statements",
                "-c",
                "work_mem=7MB",
            ],
            user=USER,
            stop_signal=signal.SIGINT,
        )

    def start(self):
        if not os.path.exists(self.data):
            pwfile = write(path("pg-password"), self.password, 0o644)
            subprocess.run(
                [
                    os.path.join(self.bin, "initdb"),
                    "-D",
                    self.data,
                    "-U",
                    USER,
                    "-E",
                    "UTF8",
                    "--locale=C.UTF-8",
                    "-A",
                    "scram-sha-256",
                    "--pwfile=" + pwfile,
                    "-k",
                    "--no-sync",
                ],
                check=True,
                capture_output=True,
                user=USER,
                cwd="/",
            )
            with open(os.path.join(self.data, "pg_hba.conf"), "a") as f:
                f.write(f"host all all {self.ip}/8 scram-sha-256\n")
        self.server.start().ready(
            lambda: subprocess.run(
                [os.path.join(self.bin, "pg_isready"), "-h", self.ip, "-p", str(PORT)], capture_output=True
            ).returncode
            == 0,
            60,
        )

    def sql(self, text, database="postgres"):
        """Runs statements and returns their unaligned output."""
        r = subprocess.run(
            ["psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-h", self.ip, "-p", str(PORT), "-U", USER, "-d", database],
            input=text,
            env=dict(os.environ, PGPASSWORD=self.password),
            capture_output=True,
            text=True,
            timeout=60,
        )
        if r.returncode:
            raise RuntimeError(r.stderr)
        return r.stdout.strip()

    def seed(self):
        """Databases, extensions, and a role that may look but not change."""
        self.sql(
            "CREATE DATABASE immich; CREATE DATABASE paperless; CREATE ROLE watcher LOGIN PASSWORD 'look' IN ROLE pg_monitor"
        )
        self.sql(
            "".join(f"CREATE EXTENSION {e};" for e in EXTENSIONS)
            + "CREATE TABLE asset AS SELECT g AS id, md5(g::text) AS name "
            "FROM generate_series(1, 20000) g",
            "immich",
        )
        self.sql("CREATE EXTENSION pg_trgm VERSION '1.5'", "paperless")
        write(path("pg-watcher"), "look")

    def version(self):
        return self.sql("SHOW server_version")
