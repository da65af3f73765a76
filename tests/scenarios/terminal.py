#!/usr/bin/env python3
"""The console on real terminals: sizes, signals, ^Z, a killed terminal, a terminal that is not read."""
import os
import pty
import signal
import struct
import subprocess
import sys
import fcntl
import termios

sys.path.insert(0, os.path.join(os.environ.get("top_srcdir", "."), "tests", "lib"))
from ferry import *

sandbox = Sandbox("--small-db")
command = [FERRYMAN, *sandbox.args]
engines_here = lambda: engines(sandbox.dir)

for cols, rows in ((80, 24), (120, 40), (200, 50)):
    t = Terminal(command, cols, rows)
    t.wait("vault", 30)
    t.keys("2")
    t.wait("data-vault-0")
    t.keys("3")
    t.wait("vault-2")
    t.keys("4")
    t.wait("vchord")
    t.keys("?")
    t.wait("help")
    t.keys("Escape")
    t.wait("vchord")
    until(lambda: t.dead() or t.keys("q") or t.dead(), "q goes back, and ends the console in the end", 10)
    check(t.status() == "0", f"{cols}x{rows}: every screen, and q ends it well")
    t.stop()
until(lambda: not engines_here(), "the engine ends when its last reader has gone", 15)
ok("the engine ends with its last reader")

t = Terminal(command, 100, 30)
t.wait("vault", 30)
t.resize(60, 20)
t.wait("80")
ok("a terminal that is too small says both sizes")
t.resize(140, 45)
t.wait("vault")
t.stop()
until(lambda: not engines_here(), "its engine ends", 15)

# Under a shell with job control, as an operator has it.
t = Terminal(["bash", "--norc", "--noprofile", "-i"], 110, 32)
t.type(" ".join(command) + "\n")
t.wait("DONE WHEN", 30)
t.keys("C-z")
t.wait("Stopped")
check(engines_here(), "^Z stops the console; the engine goes on meanwhile")
t.type("echo $((6*7)) && stty -a | grep -o ' echo '\n")
t.wait("42")
t.wait(" echo ")
ok("and the shell has its terminal back as it was")
t.type("fg\n")
t.wait("DONE WHEN")
t.keys("2")
t.wait("data-vault-0")
ok("fg: the screen comes back whole")
t.stop()
until(lambda: not engines_here(), "its engine ends too", 15)

t = Terminal(command, 100, 30)
t.wait("vault", 30)
for signum, name in ((signal.SIGTERM, "SIGTERM"), (signal.SIGHUP, "SIGHUP")):
    if t.dead():
        t.stop()
        t = Terminal(command, 100, 30)
        t.wait("vault", 30)
    os.kill(t.pid(), signum)
    until(t.dead, f"{name} ends the console")
    check(t.status() == "0", f"{name} ends the console well")
t.stop()
until(lambda: not engines_here(), "no engine stays behind", 15)
ok("no process stays behind after signals")

t = Terminal(command, 100, 30)
t.wait("vault", 30)
t.stop()  # kills the terminal under it
until(lambda: not [p for p in processes(sandbox.dir) if not any("ferryman-sandbox" in a or "postgres" in a for a in command_line(p))],
      "no console and no engine stay behind when the terminal is killed", 20)
ok("a killed terminal leaves no process behind")


def stalled_console():
    """A console on a pseudo-terminal that nobody reads: its output blocks for good."""
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 200, 0, 0))
    p = subprocess.Popen(command, stdin=follower, stdout=follower, stderr=follower, start_new_session=True, env=clean_env(TERM="xterm-256color", LC_ALL="C.UTF-8"),
                         preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
    os.close(follower)
    return p, leader


t = Terminal(command, 120, 40)
t.wait("vault", 30)
p, leader = stalled_console()
t.keys("2")
t.wait("data-vault-0")
sandbox.control("rate", "50")
until(lambda: os.path.exists(f"/proc/{p.pid}"), "the stalled console runs")
sandbox.kubectl("label", "--overwrite", "pvc", "-n", "vault", "data-vault-0", "seen=1")
t.keys("/")
t.type("data-vault-1")
t.keys("Enter")
t.wait("hidden by filter")
sandbox.control("rate", "0")
ok("a stalled terminal holds up nobody else")
os.close(leader)
p.wait(20)
t.keys("q")
t.stop()
r = subprocess.run([FERRYMAN, *sandbox.args], stdin=subprocess.DEVNULL, capture_output=True, text=True, env=clean_env(), timeout=30)
check(r.returncode == 64 and "terminal" in r.stderr, "without a terminal the console says so and exits 64")
r = subprocess.run([FERRYMAN, *sandbox.args, "attach"], stdin=subprocess.DEVNULL, capture_output=True, text=True, env=clean_env(), timeout=30)
check(r.returncode == 64, "attach too")
done()
