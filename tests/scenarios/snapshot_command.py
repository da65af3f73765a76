#!/usr/bin/env python3
"""ferryman snapshot verify over archives that this script makes, plain and enciphered with openssl as doc/snapshot.md says: no cluster, no plan."""
import gzip
import hashlib
import io
import json
import os
import random
import subprocess
import sys
import tarfile
import tempfile

sys.path.insert(0, os.path.join(os.environ.get("top_srcdir", "."), "tests", "lib"))
from ferry import *

ITERATIONS, RANDOM = 1000, random.Random(7)
folder = tempfile.TemporaryDirectory(prefix="ferryman-snapshot-")
P, PLAIN, FILE = (os.path.join(folder.name, n) for n in ("p", "vault.snap", "vault-20261122T110355Z.snap.enc"))


def varint(n):
    out = b""
    while n >= 0x80:
        out, n = out + bytes([n & 0x7F | 0x80]), n >> 7
    return out + bytes([n])


def entry(key, value):
    e = b"\x0a" + varint(len(key)) + key + b"\x12" + varint(len(value)) + value
    return varint(len(e)) + e


def state():
    return entry(b"core/keyring", b"k" * 300) + b"".join(entry(b"logical/%d" % i, RANDOM.randbytes(i * 37 % 900)) for i in range(400))


def members(**other):
    data = other.get("state", state())
    meta = {"Version": 1, "ID": "bolt-snapshot", "Index": 2730012, "Term": 33, "Peers": None,
            "Configuration": {"Servers": [{"Suffrage": 0, "ID": f"vault-{i}", "Address": f"vault-{i}.vault-internal:8201"} for i in range(3)]},
            "ConfigurationIndex": 2729000, "Size": len(data)}
    meta = (json.dumps({**meta, **other.get("meta", {})}) + "\n").encode()
    sums = "".join(f"{hashlib.sha256(d).hexdigest()}  {n}\n" for n, d in (("state.bin", data), ("meta.json", meta))).encode()
    return [("meta.json", meta), ("state.bin", data), ("SHA256SUMS", sums), ("SHA256SUMS.sealed", b"opaque")]


def tar(parts, end=b"\0" * 1024):
    out = io.BytesIO()
    for name, data in parts:
        t = tarfile.TarInfo(name)
        t.size, t.mode = len(data), 0o600
        out.write(t.tobuf(tarfile.USTAR_FORMAT) + data + b"\0" * (-len(data) % 512))
    return out.getvalue() + end


def openssl(*words, given=None):
    return subprocess.run(["openssl", *words], input=given, capture_output=True, check=True).stdout


def put(name, data, mode="wb"):
    with open(name, mode) as f:
        f.write(data)


def encipher(archive):
    put(P, "correct horse\n", "w")
    derive = ["-aes-256-ctr", "-pbkdf2", "-iter", str(ITERATIONS), "-pass", "file:" + P]
    put(FILE, openssl("enc", *derive, "-salt", given=archive))
    key = [line for line in openssl("enc", *derive, "-S", "66657272796d616e", "-P").decode().split("\n") if line.startswith("key=")][0][4:].strip()
    put(FILE + ".hmac", openssl("dgst", "-sha256", "-mac", "HMAC", "-macopt", "hexkey:" + key, FILE).decode().split("= ")[1], "w")
    put(FILE + ".json", json.dumps({"schema": "ferryman/snapshot/1", "run": "r1", "workload": "vault", "node": "vault-2", "at": "2026-11-22T11:03:55Z",
                                    "index": 2730012, "term": 33, "bytes": len(archive), "sha256": hashlib.sha256(archive).hexdigest(),
                                    "encryption": {"cipher": "aes-256-ctr", "iterations": ITERATIONS}}), "w")


def run(*words, status=0):
    r = subprocess.run([FERRYMAN, "snapshot", *words], capture_output=True, timeout=60, env=clean_env())
    if r.returncode != status:
        fail(f"snapshot {' '.join(words)}: status {r.returncode}, not {status}: {r.stdout[-1000:]} {r.stderr[-1000:]}")
    return r


def refused(status, part, *words):
    r = run(*words, status=status)
    check(part in (r.stdout + r.stderr).decode(), f"snapshot {' '.join(words[:1])}: {status}, {part!r}")


def damaged(archive, part):
    put(PLAIN, archive)
    r = run("verify", PLAIN, status=1)
    check(part in r.stdout.decode() and "NOT PROVED" in r.stdout.decode(), f"damaged: {part!r}")


parts = members()
good = gzip.compress(tar(parts), mtime=0)
put(PLAIN, good)
shown = run("verify", PLAIN).stdout.decode()
check("index    2730012, term 33" in shown and "3 vote: vault-0, vault-1, vault-2" in shown and shown.endswith("\nproved\n"), "an archive is proved")
said = json.loads(run("verify", PLAIN, "--json").stdout)
check(said["proved"] and said["damage"] is None and (said["index"], said["term"], said["voters"]) == (2730012, 33, 3) and
      said["sha256"] == hashlib.sha256(good).hexdigest() and said["bytes"] == len(good) and not said["encrypted"], "as JSON, too")
put(PLAIN, gzip.compress(tar(parts), 0, mtime=0))
check(b"\nproved\n" in run("verify", PLAIN).stdout, "with stored blocks, too")

for cut in (1, 8, 9, 100):
    damaged(good[:-cut], "cut off")
at = 0
for name, data in parts:
    damaged(gzip.compress(tar(parts)[:at]), "without the two blocks that end one")
    damaged(gzip.compress(tar(p for p in parts if p[0] != name)), f"{name}: it is missing")
    at += 512 + len(data) + -len(data) % 512
damaged(good + b"x", "bytes follow the end of the gzip member")
damaged(good + good, "bytes follow the end of the gzip member")
damaged(gzip.compress(tar(parts, b"\0" * 2048)), "bytes follow the end of the tar")
damaged(gzip.compress(tar(parts + [("more", b"x")])), "more: a member that no snapshot has")
damaged(gzip.compress(tar(parts[:2] + [("SHA256SUMS", parts[2][1].replace(b"state.bin", b"stats.bin"))] + parts[3:])), "it names stats.bin")
damaged(gzip.compress(tar(members(meta={"Index": 0}))), "of no raft log")
damaged(gzip.compress(tar(members(meta={"Size": 5}))), "meta.json says 5")
damaged(gzip.compress(tar(members(state=entry(b"logical/1", b"x")))), "none of its 1 entries is core/keyring")
damaged(b'{"errors":["Vault is sealed"]}\n', "it is no gzip file")
damaged(b"", "it is empty")
step = len(good) // 40
for i in range(40, len(good), step):
    put(PLAIN, good[:i] + bytes([good[i] ^ 1 << i % 8]) + good[i + 1:])
    run("verify", PLAIN, status=1)
ok(f"{len(range(40, len(good), step))} bits that were turned are found")

encipher(good)
with_p = ["--passphrase-file", P]
shown = run("verify", FILE, *with_p).stdout.decode()
check("vault, taken 2026-11-22" in shown and "from vault-2" in shown and "its HMAC is right" in shown and shown.endswith("\nproved\n"),
      "one that openssl enciphered is proved")
check(json.loads(run("verify", FILE, *with_p, "--json").stdout)["manifest"]["node"] == "vault-2", "as JSON, with its manifest")
refused(65, "its passphrase is needed", "verify", FILE)
put(P + "2", "incorrect horse\n", "w")
refused(1, "its HMAC is not the one", "verify", FILE, "--passphrase-file", P + "2")
whole = open(FILE, "rb").read()
put(FILE, whole[:-1])
refused(1, "its HMAC is not the one", "verify", FILE, *with_p)
put(FILE, whole)
for key, value, part in (("index", 7, "its index is 2730012"), ("bytes", 7, "bytes, "), ("sha256", "0" * 64, "its SHA-256 is")):
    manifest = json.load(open(FILE + ".json"))
    put(FILE + ".json", json.dumps({**manifest, key: value}), "w")
    refused(1, part, "verify", FILE, *with_p)
    put(FILE + ".json", json.dumps(manifest), "w")
put(FILE + ".json", "{}", "w")
refused(65, "it is not the manifest of a snapshot", "verify", FILE, *with_p)
os.remove(FILE + ".hmac")
os.remove(FILE + ".json")
refused(65, ".hmac", "verify", FILE, *with_p)

refused(65, "no-such-file", "verify", os.path.join(folder.name, "no-such-file"))
refused(65, "it is not a file", "verify", folder.name)
refused(64, "what to do is missing", "prove", FILE)
refused(64, "one file at a time", "verify", FILE, FILE)
done()
