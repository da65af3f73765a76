"""The console in a terminal, on the same servers."""

import os
import re
import subprocess

import objects
from ferry import *
from program import folder

KUBE_DOWN = re.compile(r"kube . (DOWN|STALE)( \w+)?")


def run(w, s, d):
    env = clean_env(HOME=folder("home"), XDG_RUNTIME_DIR=folder("runtime"), XDG_STATE_HOME=folder("state"))
    os.chmod(env["XDG_RUNTIME_DIR"], 0o700)
    t = Terminal([FERRYMAN, *w.args(), "console"], env=dict(env))
    t.wait("ferryman")
    t.keys("2")
    screen = t.wait(lambda x: "STORAGE" in x and "data-vault-0" in x and "HOSTILE" in x, 30)
    check(
        "NFS 10.0.0.5" in screen and "nfs-proxmox" in screen,
        "the storage screen shows hostile claims, class and storage",
    )
    t.keys("/")
    t.type("media")
    t.keys("Enter")
    t.wait(lambda x: "media/config" in x and "vault/data-vault-0" not in x)
    ok("its filter leaves the namespace's claims")
    w.kube.api.must(
        "POST", "/api/v1/namespaces/media/persistentvolumeclaims", objects.claim("on-screen", "nfs-proxmox")
    )
    t.wait("media/on-screen", 10)
    w.kube.api.must("DELETE", "/api/v1/namespaces/media/persistentvolumeclaims/on-screen")
    t.wait(lambda x: "media/on-screen" not in x, 10)
    ok("a claim comes and goes on the screen")
    t.keys("3")
    leader = w.raft.active().name
    screen = t.wait(
        lambda x: "RAFT" in x
        and all(n in x for n in ("vault-0", "vault-1", "vault-2"))
        and "LEADER" in x
        and "leader " + leader in x,
        30,
    )
    ok("the raft screen shows three peers and the leader")
    old = w.raft.active()
    old.call("PUT", "sys/step-down", token=w.raft.root)
    leader = w.raft.wait_active(but=old).name
    t.wait(lambda x: "leader " + leader in x, 30)
    ok(f"and follows a step-down to {leader}")
    t.keys("4")
    t.wait(lambda x: "POSTGRES" in x.upper() and "pg_trgm" in x, 30)
    ok("the PostgreSQL screen shows extensions")
    t.keys("1")
    t.wait(lambda x: "HOSTILE" in x and leader in x, 30)
    ok("the overview shows both")
    w.kube.apiserver.kill()
    t.keys("2")
    screen = t.wait(lambda x: KUBE_DOWN.search(x) and "data-vault-0" in x, 30)
    ok("the API server killed: the claims stay on the screen, under " + KUBE_DOWN.search(screen)[0])
    t.keys("3")
    t.wait(lambda x: "RAFT" in x and KUBE_DOWN.search(x))
    ok("other screens go on")
    w.kube.start_apiserver()
    t.keys("2")
    t.wait(lambda x: "kube ✓ live" in x and "data-vault-0" in x, 60)
    ok("started: live on the screen")
    a = Terminal([FERRYMAN, *w.args(), "attach"], env=dict(env))
    a.keys("2")
    a.wait("data-vault-0", 30)
    ok("a second terminal attaches to the same engine")
    a.keys("q")
    until(a.dead, "the second ends")
    t.keys("q")
    until(t.dead, "the console ends")
    check(t.status() == "0", f"with status 0 (was {t.status()})")
    until(lambda: not engines(s, d), "its engine ends with it", 20)
    ok("and its engine ends when the last reader has gone")


def engines(s, d):
    own = {s.process.pid, d.process.pid}
    return [
        p
        for p in processes(FERRYMAN)
        if p not in own and not subprocess.run(["grep", "-qz", "tmux", f"/proc/{p}/cmdline"]).returncode == 0
    ]
