"""One fault of an API server, from the first sign of it to the last."""
from ferry import *

CLAIMS = "kube/persistentvolumeclaims"


class ApiFault:
    """Turns a fault of the sandbox on while watches are open, sees it shown with its reason, nothing lost and nothing else frozen; turns it
    off, and sees everything come back by itself with the claims there were before."""

    def __init__(self, name, words, rate=0, cut=True):
        sandbox = Sandbox("--small-db")
        s = Stream(sandbox.args)
        live = lambda: s.sources("kube") and set(s.sources("kube").values()) == {"LIVE"}
        claims = lambda: {r["_key"] for r in s.rows("claims")}
        s.wait(lambda: len(claims()) >= 110 and live(), "everything is live", 40)
        s.wait(lambda: s.source("postgres/immich-postgres")[0] == "POLLED", "PostgreSQL is polled")
        before = claims()
        sandbox.control("scenario", name, "on")
        if cut:
            sandbox.control("scenario", "api-down", "on")
            sandbox.control("scenario", "api-down", "off")
        sandbox.control("rate", str(rate))
        s.wait(lambda: s.source(CLAIMS)[0] in ("DOWN", "STALE") and any(w in (s.source(CLAIMS)[1] or "") for w in words), "the fault is told", 90)
        ok(f"{name}: {s.source(CLAIMS)}")
        check(claims() >= before, "what was known is still there")
        check(s.source("postgres/immich-postgres")[0] == "POLLED", "PostgreSQL is not frozen by it")
        with open(f"/proc/{s.process.pid}/statm") as f:
            self.peak = int(f.read().split()[1]) * 4096
        sandbox.control("rate", "0")
        sandbox.control("scenario", name, "off")
        s.wait(live, "live again by itself", 120)
        s.wait(lambda: claims() == before, "the same claims as before", 30)
        ok("live again by itself, with the same claims")
        s.end_well()
