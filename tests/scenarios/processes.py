#!/usr/bin/env python3
"""The sandbox's processes: two side by side, and everything that one starts ends with it, also when it is killed."""
import os
import signal
import stat
import sys

sys.path.insert(0, os.path.join(os.environ.get("top_srcdir", "."), "tests", "lib"))
from ferry import *

a, b = Sandbox("--small-db"), Sandbox("--small-db")
check(len(a.kubectl("get", "pvc", "-A", "--no-headers").splitlines()) > 100, "kubectl get works on the first")
check(len([l for l in b.kubectl("get", "pods", "-n", "vault", "--no-headers").splitlines() if l.startswith("vault-") and "Running" in l]) == 3, "and on the second, beside it")
check(stat.S_IMODE(os.stat(a.kubeconfig).st_mode) == 0o600, "the kubeconfig is readable by its owner alone")
check(a.kubectl("get", "--raw", "/readyz") == "ok", "readyz")
a.kubectl("scale", "-n", "immich", "deployment/immich-server", "--replicas=0")
until(lambda: not a.kubectl("get", "pods", "-n", "immich", "-l", "app=immich-server", "--no-headers", may_fail=True), "kubectl scale to 0 ends the pods", 20)
ok("kubectl scale works")
owned = processes(a.dir)
check(len(owned) >= 2, f"it runs processes of its own ({len(owned)})")
postgres = [p for p in owned if any("postgres" in a for a in command_line(p)[:1])]
check(postgres and all(os.stat(f"/proc/{p}").st_uid != 0 for p in postgres), "PostgreSQL does not run as root")
os.kill(a.process.pid, signal.SIGKILL)
until(lambda: not processes(a.dir), "everything ends when the sandbox is killed with -9", 20)
ok("killed with -9: nothing stays behind")
b.process.stdin.close()
b.process.wait(20)
until(lambda: not processes(b.dir), "everything ends when its pipe ends", 20)
ok("end of its pipe: nothing stays behind")
done()
