#!/usr/bin/env python3
"""ferryman dump verify and decrypt over a dump that this script makes with openssl, as doc/dump.md says: no cluster, no plan."""
import hashlib
import json
import os
import pty
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.environ.get("top_srcdir", "."), "tests", "lib"))
from ferry import *

ITERATIONS = 1000
folder = tempfile.TemporaryDirectory(prefix="ferryman-dump-")
P, FILE = os.path.join(folder.name, "p"), os.path.join(folder.name, "x.sql.enc")
TEXT = ("--\n-- PostgreSQL database cluster dump\n--\n\n\\connect immich\n\n--\n-- PostgreSQL database dump\n--\n\nCOPY public.asset (id) FROM stdin;\n"
        + "".join(f"{i}\n" for i in range(1000)) +
        "\\.\n\n--\n-- PostgreSQL database dump complete\n--\n\n--\n-- PostgreSQL database cluster dump complete\n--\n\n")


def openssl(*words, given=None):
    return subprocess.run(["openssl", *words], input=given, capture_output=True, check=True).stdout


def make():
    with open(P, "w") as f:
        f.write("correct horse\n")
    derive = ["-aes-256-ctr", "-pbkdf2", "-iter", str(ITERATIONS), "-pass", "file:" + P]
    with open(FILE, "wb") as f:
        f.write(openssl("enc", *derive, "-salt", given=TEXT.encode()))
    key = [line for line in openssl("enc", *derive, "-S", "66657272796d616e", "-P").decode().split("\n") if line.startswith("key=")][0][4:].strip()
    with open(FILE + ".hmac", "w") as f:
        f.write(openssl("dgst", "-sha256", "-mac", "HMAC", "-macopt", "hexkey:" + key, FILE).decode().split("= ")[1])
    manifest = {"schema": "ferryman/dump/1", "file": "x.sql.enc", "workload": "immich-postgres", "server": {"version": 150020, "identifier": "7"},
                "ended": "2026-11-22T11:03:55Z", "bytes": len(TEXT), "sha256": hashlib.sha256(TEXT.encode()).hexdigest(), "rows": 1000,
                "encryption": {"cipher": "aes-256-ctr", "iterations": ITERATIONS}, "tables": {"immich": {"public.asset": 1000}}}
    with open(FILE + ".json", "w") as f:
        json.dump(manifest, f)


def run(*words, status=0, **more):
    r = subprocess.run([FERRYMAN, "dump", *words], capture_output=True, timeout=60, env=clean_env(), **more)
    if r.returncode != status:
        fail(f"dump {' '.join(words)}: status {r.returncode}, not {status}: {r.stdout[-1000:]} {r.stderr[-1000:]}")
    return r


def refused(status, part, *words):
    r = run(*words, status=status)
    check(part in (r.stdout + r.stderr).decode(), f"dump {' '.join(words[:1])}: {status}, {part!r}")


make()
with_p = ["--passphrase-file", P]
shown = run("verify", FILE, *with_p).stdout.decode()
check("1000 rows in 1 tables" in shown and shown.endswith("\nproved\n"), "a dump that openssl enciphered is proved")
said = json.loads(run("verify", FILE, *with_p, "--json").stdout)
check(said["proved"] and said["tables"] == {"immich": {"public.asset": 1000}} and {c["state"] for c in said["checks"].values()} == {"pass"},
      "as JSON, too")
check(run("decrypt", FILE, *with_p).stdout.decode() == TEXT, "decrypt gives the plain text")
OUT = os.path.join(folder.name, "out.sql")
run("decrypt", FILE, *with_p, "-o", OUT)
check(open(OUT).read() == TEXT and os.stat(OUT).st_mode & 0o777 == 0o600, "into a file of its own, 0600")
refused(64, "is there already", "decrypt", FILE, *with_p, "-o", OUT)

primary, secondary = pty.openpty()
r = subprocess.run([FERRYMAN, "dump", "decrypt", FILE, *with_p], stdout=secondary, stderr=subprocess.PIPE, timeout=60, env=clean_env())
os.close(secondary)
check(r.returncode == 64 and b"is a terminal" in r.stderr, "no plain text onto a terminal")

refused(65, "its passphrase is needed", "verify", FILE)
refused(65, "its passphrase is needed", "decrypt", FILE)
refused(65, "no-such-file", "verify", os.path.join(folder.name, "no-such-file"), *with_p)
refused(64, "what to do is missing", "prove", FILE)
refused(64, "one file at a time", "verify", FILE, FILE)
refused(64, "the value is empty", "verify", FILE, "--passphrase-file", "")
WRONG = os.path.join(folder.name, "wrong")
with open(WRONG, "w") as f:
    f.write("incorrect horse\n")
refused(1, "or the passphrase is another", "verify", FILE, "--passphrase-file", WRONG)
with open(FILE, "r+b") as f:
    f.seek(100)
    byte = f.read(1)
    f.seek(100)
    f.write(bytes([byte[0] ^ 1]))
refused(1, "the file was changed or cut off", "verify", FILE, *with_p)
os.unlink(OUT)
refused(65, "the file was changed or cut off", "decrypt", FILE, *with_p, "-o", OUT)
check(not os.path.exists(OUT), "nothing is written of a file that was changed")
with open("/dev/full", "w") as full:
    make()
    r = subprocess.run([FERRYMAN, "dump", "decrypt", FILE, *with_p], stdout=full, stderr=subprocess.PIPE, timeout=60, env=clean_env())
check(r.returncode == 2 and b"standard output cannot be written" in r.stderr, "a full disk is said")
