"""Pods of a set that are moved to new claims and back, again and again, on a real control plane."""

from ferry import *
from roll_world import RollWorld


def main():
    w = RollWorld()
    ok(f"servers: Kubernetes {w.kube.version()}, up in {w.seconds:.0f} s; {w.active()} is active, {w.voters()} voters")
    done()
