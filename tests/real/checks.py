"""The checks in their order. Two programs of the kind that an operator leaves open follow everything at once: `s` by
token, through a forwarder that can be cut, with OpenBao behind the API server's pod proxy; `d` by client
certificate, with OpenBao reached directly.

    tests/real/run [GROUP…]    kube, raft, postgres, console, faults; all of them by default
    tests/real/run migrate     a database is moved; it has servers of its own, and needs no OpenBao
    tests/real/run openbao     what OpenBao does with wiped, hanging and spoilt nodes, and what is said of it
    tests/real/run roll        pods of a set are moved to new claims and back, again and again
    tests/real/run whole       a raft cluster is moved; both have a kubelet of their own, whose pods run OpenBao"""

import importlib
import sys
import time

import checks_console
import checks_faults
import checks_kube
import checks_postgres
import checks_raft
from ferry import Stream, done, ok, until
from world import World

GROUPS = {
    "kube": checks_kube,
    "raft": checks_raft,
    "postgres": checks_postgres,
    "console": checks_console,
    "faults": checks_faults,
}


# Each has servers of its own, and stands alone.
ALONE = ("migrate", "openbao", "roll", "whole")


def main():
    if len(sys.argv) > 1 and sys.argv[1] in ALONE:
        importlib.import_module("checks_" + sys.argv[1]).main(*sys.argv[2:])
        return
    began = time.monotonic()
    w = World()
    ok(
        f"servers: Kubernetes {w.kube.version()}, OpenBao {w.raft.version()}, PostgreSQL {w.database.version()}, up in {w.seconds:.0f} s"
    )
    s, d = Stream(w.args("through")), Stream(w.args("certificate", w.plan_direct))
    until(w.raft.calm, "autopilot is content", 40)
    for stream in (s, d):
        stream.wait(
            lambda: checks_kube.live(stream) and checks_raft.well(w, stream) and checks_postgres.well(stream),
            "everything is shown and well",
            60,
        )
    wanted = sys.argv[1:] or GROUPS
    for name in wanted:
        GROUPS[name].run(w, s, d)
    s.end_well()
    d.end_well()
    print(
        f"{time.monotonic() - began:.0f} s; skipped: {', '.join(g for g in GROUPS if g not in wanted) or 'nothing'}",
        flush=True,
    )
    done()
