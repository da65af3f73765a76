"""A raft cluster moved by every phase, on a real control plane with pods that really run OpenBao."""

from ferry import *
from roll_world import RollWorld


def main(policy="Parallel", ids="stable"):
    w = RollWorld(policy, ids == "stable")
    ok(f"servers: Kubernetes {w.kube.version()}, up in {w.seconds:.0f} s; {w.active()} is active, {w.voters()} voters")
    done()
