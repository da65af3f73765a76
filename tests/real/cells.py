"""What a container runtime does for a pod, as far as a test needs it: a network namespace with an address on a bridge
of ours, a mount namespace whose root is a copy-on-write view of this machine's, the pod's volumes mounted where it
asks for them, its user and groups. And the names of a headless service, by a small resolver.

Everything lies in the namespaces that tests/real/run begins in, and ends with them."""

import os
import socket
import struct
import subprocess
import threading

from program import Program, folder, path, write

GATEWAY, WIDTH = "10.98.0.254", 16
NETNS = "/run/netns"

# Becomes the program: so its pid is the one that was started, and signals go to it.
ENTER = r"""#!/bin/sh
set -e
mount -t tmpfs cell "$CELL"
mkdir "$CELL/upper" "$CELL/work" "$CELL/root"
mount -t overlay cell -o "lowerdir=/,upperdir=$CELL/upper,workdir=$CELL/work" "$CELL/root"
mount --rbind /proc "$CELL/root/proc"
mount --rbind /dev "$CELL/root/dev"
rm -f "$CELL/root/etc/resolv.conf"
cp "$CELL_RESOLV" "$CELL/root/etc/resolv.conf"
echo "127.0.0.1 localhost" >"$CELL/root/etc/hosts"
while read -r from to; do
    if [ -d "$from" ]; then mkdir -p "$CELL/root$to"; else mkdir -p "$(dirname "$CELL/root$to")"; : >"$CELL/root$to"; fi
    mount --bind "$from" "$CELL/root$to"
done <"$CELL_MOUNTS"
user=$CELL_USER groups=$CELL_GROUPS root=$CELL/root
unset CELL CELL_MOUNTS CELL_RESOLV CELL_USER CELL_GROUPS
exec chroot --userspec="$user" --groups="$groups" "$root" "$@"
"""


def ip(*words):
    subprocess.run(["ip", *words], check=True, capture_output=True)


class Network:
    """A bridge that pods are plugged into, and the resolver on it. names: name → address, as the headless service has
    them now."""

    def __init__(self):
        self.names, self.lock = {}, threading.Lock()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=0755", "cells", "/run"], check=True)
        ip("link", "add", "pods0", "type", "bridge")
        ip("addr", "add", f"{GATEWAY}/{WIDTH}", "dev", "pods0")
        ip("link", "set", "pods0", "up")
        self.resolv = write(path("resolv.conf"), f"nameserver {GATEWAY}\noptions timeout:1 attempts:2\n", 0o644)
        self.enter = write(path("enter"), ENTER, 0o755)
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((GATEWAY, 53))
        threading.Thread(target=self._resolve, daemon=True).start()

    def plug(self, name, address):
        """A namespace of that name with that address."""
        with self.lock:
            ip("netns", "add", name)
            ip("link", "add", "v" + name, "type", "veth", "peer", "name", "eth0", "netns", name)
            ip("link", "set", "v" + name, "master", "pods0", "up")
            for words in (
                ("addr", "add", f"{address}/{WIDTH}", "dev", "eth0"),
                ("link", "set", "lo", "up"),
                ("link", "set", "eth0", "up"),
            ):
                ip("-n", name, *words)

    def unplug(self, name):
        """The device goes at once: the namespace itself may be kept by sockets that linger."""
        with self.lock:
            subprocess.run(["ip", "link", "del", "v" + name], capture_output=True)
            subprocess.run(["ip", "netns", "del", name], capture_output=True)

    def _resolve(self):
        """DNS: A records of names; every other type is empty, every other name does not exist."""
        while True:
            packet, sender = self.socket.recvfrom(1500)
            try:
                self.socket.sendto(self._answer(packet), sender)
            except (IndexError, struct.error, UnicodeDecodeError, OSError):
                pass

    def _answer(self, packet):
        labels, at = [], 12
        while packet[at]:
            labels.append(packet[at + 1 : at + 1 + packet[at]].decode().lower())
            at += 1 + packet[at]
        question = packet[12 : at + 5]
        (kind,) = struct.unpack("!H", packet[at + 1 : at + 3])
        address = self.names.get(".".join(labels))
        found = address if kind == 1 else None
        flags = 0x8580 if address else 0x8583
        head = packet[:2] + struct.pack("!HHHHH", flags, 1, 1 if found else 0, 0, 0)
        answer = b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, 0, 4) + socket.inet_aton(found) if found else b""
        return head + question + answer


def cell(network, name, argv, env, mounts, user, group, groups, log):
    """The program of a cell, not started. mounts: (from, to) pairs. name: of its network namespace."""
    where = folder("cells", name)
    listed = write(path("cells", name + ".mounts"), "".join(f"{a} {b}\n" for a, b in mounts))
    more = {
        "CELL": where,
        "CELL_MOUNTS": listed,
        "CELL_RESOLV": network.resolv,
        "CELL_USER": f"{user}:{group}",
        "CELL_GROUPS": ",".join(str(g) for g in groups) or str(group),
    }
    base = {"PATH": os.environ["PATH"], "HOME": "/", "LC_ALL": "C.UTF-8"}
    return Program(
        log,
        ["ip", "netns", "exec", name, "unshare", "--mount", network.enter, *argv],
        env={**base, **env, **more},
    )
