#!/usr/bin/env python3
"""How the console starts and ends when something is wrong: folders, terminals, engines that cannot run, signals."""
import os
import signal
import socket
import stat
import sys
import tempfile
import threading

sys.path.insert(0, os.path.join(os.environ.get("top_srcdir", "."), "tests", "lib"))
from ferry import *

sandbox = Sandbox("--small-db")
home = tempfile.mkdtemp(prefix="ferryman-starts-")
atexit.register(shutil.rmtree, home, True)
command = [FERRYMAN, *sandbox.args]


def folder(*parts, mode=0o700):
    path = os.path.join(home, *parts)
    os.makedirs(path, mode=mode, exist_ok=True)
    os.chmod(path, mode)
    return path


def env(**more):
    return clean_env(**{"XDG_RUNTIME_DIR": folder("run"), **more})


def engines():
    return [p for p in processes(sandbox.dir) if p in processes("\0engine\0")]


def socket_path(runtime):
    """The socket's name is the same for the same plan, kubeconfig and context."""
    names = [n for n in os.listdir(os.path.join(runtime, "ferryman")) if n.endswith(".sock")]
    return os.path.join(runtime, "ferryman", names[0]) if names else None


def in_shell(words):
    """A shell in a terminal that says afterwards how the command ended and how it left the terminal. It waits then: a dead
    pane shifts its lines."""
    says = '"$@"; echo "END $?" $(stty -a | grep -oE -- "-?(icanon|echo|opost|isig)\\b"); read -r _'
    return ["bash", "-c", says, "bash", *words]


def refused(words, status, text, what, **more):
    t = Terminal(in_shell(words), 200, 30, env(**more))
    t.wait(f"END {status} ")
    check(text in t.screen().replace("\n", ""), f"{what}: exits {status} and says: {text}")
    t.stop()


refused(command, 64, "set XDG_RUNTIME_DIR to a shorter folder", "a socket's path that is too long",
        XDG_RUNTIME_DIR=folder("r" * 100))
refused(command, 77, "chmod 700", "a runtime folder that is open to others",
        XDG_RUNTIME_DIR=os.path.dirname(folder("open", "ferryman", mode=0o777)))
for words in ("status", "--headless --json watch"):
    r = subprocess.run(["bash", "-c", f"{' '.join(command)} {words} > /dev/full"], capture_output=True, text=True, env=env(), timeout=60)
    check(r.returncode in (2, 69) and "standard output" in r.stderr, f"{words}: a full disk under its output is told")
r = subprocess.run(["bash", "-c", f"{' '.join(command)} status <&- >&- 2>&-"], env=env(), timeout=60)
check(r.returncode in (0, 1, 2), f"status ends well without any standard descriptor (was {r.returncode})")

for kind, text in (("frobozz", "does not know the terminal type 'frobozz'"), ("dumb", "cannot place its cursor"),
                   ("", "TERM is not set")):
    refused(["env", f"TERM={kind}", *command], 64, text, f"TERM={kind}")

for signum in (signal.SIGSEGV, signal.SIGABRT, signal.SIGQUIT, signal.SIGUSR1):
    t = Terminal(in_shell(command), 100, 30, env(ASAN_OPTIONS="handle_segv=0"))
    t.wait("PLAN")
    shell = t.pid()
    os.kill(int(open(f"/proc/{shell}/task/{shell}/children").read().split()[0]), signum)
    t.wait(f"END {128 + signum} ")
    line = next(x for x in t.screen().split("\n") if x.startswith("END"))
    check(not [w for w in line.split() if w.startswith("-")] and "icanon" in line,
          f"{signal.Signals(signum).name}: the terminal is given back")
    t.stop()
until(lambda: not engines(), "the engines end", 20)

t = Terminal(command, 120, 40, env())
t.wait("vault", 30)
for n in range(2):
    old = until(engines, "an engine runs")
    os.kill(old[0], signal.SIGKILL)
    until(lambda: [p for p in engines() if p not in old], "another engine is started", 10)
    t.wait(lambda s: "ENGINE GONE" not in s and "vault" in s)
ok("an engine that is killed is replaced while the console runs")
plan = open(sandbox.plan).read()
with open(sandbox.plan, "w") as f:
    f.write("plan: [")
os.kill(engines()[0], signal.SIGKILL)
t.wait("the engine cannot run: " + sandbox.plan[:20])
ok("a console whose engine cannot start says why")
with open(sandbox.plan, "w") as f:
    f.write(plan)
t.wait(lambda s: "ENGINE GONE" not in s and "vault" in s, 30)
ok("and finds its way back by itself")
path = socket_path(folder("run"))
check(stat.S_IMODE(os.stat(path).st_mode) == 0o600, "the engine's socket is our own")
t.keys("q")
t.stop()
until(lambda: not engines() and not os.path.exists(path), "the engine ends", 15)
check(not os.path.exists(path + ".err"), "an engine that ends well leaves no words behind")


r = subprocess.run([SANDBOX, "--dir", sandbox.dir], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
check(r.returncode == 75 and "another sandbox runs" in r.stderr, "two sandboxes do not share a folder")
sandbox.control("status")
ok("and the first one goes on")
for signum, when in ((signal.SIGINT, "PostgreSQL"), (signal.SIGKILL, '"t"')):
    made = folder("tmp")
    p = subprocess.Popen([FERRYMAN, "--sandbox", "--headless", "--json", "watch"], stdout=subprocess.PIPE,
                         stderr=subprocess.STDOUT, text=True, env=env(TMPDIR=made))
    while when not in p.stdout.readline():
        if p.poll() is not None:
            fail("ferryman --sandbox ended by itself")
    p.send_signal(signum)
    p.wait(30)
    until(lambda: not os.listdir(made), "the sandbox's folder is removed", 30)
    ok(f"{signum.name}: a sandbox that was started along ends and leaves nothing")


def stranger():
    """Listens where the engine would, and speaks another version."""
    s = socket.socket(socket.AF_UNIX)
    s.bind(path)
    os.chmod(path, 0o600)
    s.listen(8)
    held = []
    def serve():
        while True:
            c, _ = s.accept()
            held.append(c)
            try:
                c.sendall(b'{"t":"hello","schema":99,"version":"9.9","now":1}\n')
            except OSError:
                pass
    threading.Thread(target=serve, daemon=True).start()


stranger()
t = Terminal(command, 160, 40, env())
t.wait("schema 99")
ok("an engine of another version is named")
t.keys("q")
until(t.dead, "q ends the console")
t.stop()
done()
