"""A raft snapshot archive, damaged in every way that we could think of. Where the damage is inside, the archive is made
anew around it, so that only what the member itself proves can find it."""

import gzip
import hashlib
import io
import json
import os
import random
import tarfile

MEMBERS = ("meta.json", "state.bin", "SHA256SUMS", "SHA256SUMS.sealed")
BLOCK = 512
GZIP_HEADER = 10


def members(archive):
    """[(name, content)] in their order."""
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(archive))) as t:
        return [(m.name, t.extractfile(m).read()) for m in t.getmembers()]


def packed(parts):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as t:
        for name, content in parts:
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(content), 0o600
            t.addfile(info, io.BytesIO(content))
    # Python pads to 10 kB; Go writes two blocks.
    end = sum(BLOCK + (len(c) + BLOCK - 1) // BLOCK * BLOCK for _, c in parts)
    return gzip.compress(out.getvalue()[:end] + b"\0" * 2 * BLOCK, mtime=0)


def summed(parts):
    """The same with the sums made anew: everything fits but for what was changed on purpose."""
    sums = "".join(
        f"{hashlib.sha256(c).hexdigest()}  {n}\n" for n, c in parts if n in ("meta.json", "state.bin")
    ).encode()
    return packed([(n, sums if n == "SHA256SUMS" else c) for n, c in parts])


def flipped(content, at, bit=0):
    out = bytearray(content)
    out[at] ^= 1 << bit
    return bytes(out)


def good(archive):
    """What must be accepted: as it came, and the same members packed by somebody else."""
    yield "as it came", archive
    yield "packed anew", packed(members(archive))


def cut(archive):
    for n in (1, 8, 9, 100):
        yield f"cut by {n} bytes", archive[:-n]
    tar = gzip.decompress(archive)
    at = 0
    for name, content in members(archive):
        rest = (len(content) + BLOCK - 1) // BLOCK * BLOCK
        for what, where in (
            ("before", at),
            ("in the header of", at + 100),
            ("after the header of", at + BLOCK),
            ("in", at + BLOCK + len(content) // 2),
            ("after", at + BLOCK + rest),
        ):
            yield f"the tar is cut {what} {name}", gzip.compress(tar[:where], mtime=0)
        # As the server may really end: the archive itself, cut where that member begins. Stored or not, a part of the
        # compressed bytes decodes to the same part of the tar.
        yield f"the archive is cut around {name}", archive[: GZIP_HEADER + int((len(archive) - GZIP_HEADER) * (at + BLOCK) / len(tar))]
        at += BLOCK + rest
    yield "only the header of gzip", archive[:GZIP_HEADER]


def bits(archive, count=40):
    rng = random.Random(4)
    # Bytes 4 to 9 of gzip's header (time, flags of the compressor, system) say nothing about the content.
    places = [0, 1, 2, 3, *(rng.randrange(GZIP_HEADER, len(archive)) for _ in range(count)), *range(len(archive) - 8, len(archive))]
    for at in places:
        yield f"bit flipped in byte {at}", flipped(archive, at, rng.randrange(8))
    parts = members(archive)
    for i, (name, content) in enumerate(parts[:3]):
        for at in (0, len(content) // 2, len(content) - 2):
            changed = [(n, flipped(c, at) if j == i else c) for j, (n, c) in enumerate(parts)]
            yield f"{name} with a bit flipped at {at}, packed anew", packed(changed)


def wrong(archive):
    parts = members(archive)
    by = dict(parts)
    meta = json.loads(by["meta.json"])
    other = lambda **more: json.dumps({**meta, **more}).encode() + b"\n"
    with_meta = lambda text: summed([(n, text if n == "meta.json" else c) for n, c in parts])
    yield "an empty file", b""
    yield "text", b"this is no snapshot\n" * 50
    yield "a page of a login", b"<!DOCTYPE html><html><title>Sign in</title></html>"
    yield "an error of the server", b'{"errors":["1 error occurred:\\n\\t* permission denied\\n\\n"]}\n'
    yield "random bytes", random.Random(5).randbytes(50000)
    yield "text in gzip", gzip.compress(b"a dump of a database\n" * 1000)
    yield "a tar that is not compressed", gzip.decompress(archive)
    yield "another tar in gzip", packed([("etc/passwd", b"root:x:0:0\n")])
    yield "an empty tar", gzip.compress(b"\0" * 1024)
    yield "bytes after the end", archive + b"x"
    yield "twice the same", archive + archive
    yield "zeros after the end", archive + b"\0" * 512
    for name in MEMBERS:
        yield f"without {name}", packed([p for p in parts if p[0] != name])
        yield f"{name} twice", packed(parts + [(name, by[name])])
        yield f"{name} is empty", packed([(n, b"" if n == name else c) for n, c in parts])
    yield "a member more", packed(parts + [("more", b"x")])
    yield "another version", with_meta(other(Version=2))
    yield "another size in meta.json", with_meta(other(Size=meta["Size"] + 1))
    yield "index 0", with_meta(other(Index=0))
    yield "meta.json is no JSON", with_meta(b"{")
    yield "state.bin of another snapshot", packed([(n, os.urandom(len(c)) if n == "state.bin" else c) for n, c in parts])
