"""All real servers together, started side by side."""

import atexit
import concurrent.futures
import os
import shutil
import subprocess
import time

import objects
from control_plane import PORT, ControlPlane
from database import Database
from ferry import Proxy
from program import path, write
from raft import Raft

PODS = ("10.99.0.1", "10.99.0.2", "10.99.0.3")
DATABASE = "10.99.0.11"


class World:
    def __init__(self):
        began = time.monotonic()
        if os.environ.get("FERRYMAN_REAL_LOGS"):
            atexit.register(lambda: shutil.copytree(path("log"), os.environ["FERRYMAN_REAL_LOGS"], dirs_exist_ok=True))
        # Not loopback addresses, because the API server's pod proxy refuses those; they lie on the loopback device
        # all the same.
        for ip in (*PODS, DATABASE):
            subprocess.run(["ip", "addr", "add", ip + "/32", "dev", "lo"], check=True)
        addresses = {f"vault/vault-{i}": ip for i, ip in enumerate(PODS)}
        addresses["immich/immich-postgresql"] = DATABASE
        self.kube = ControlPlane(
            os.environ["FERRYMAN_REAL_KUBE"], os.environ.get("FERRYMAN_REAL_ETCD", "etcd"), addresses
        )
        self.raft = Raft(os.environ["FERRYMAN_REAL_BAO"], PODS)
        self.database = Database(DATABASE)
        with concurrent.futures.ThreadPoolExecutor() as pool:
            for done in [pool.submit(f) for f in (self._start_kube, self.raft.start, self._start_database)]:
                done.result()
        self.forwarder = Proxy("127.0.0.1", PORT)
        self.kubeconfig = objects.kubeconfig(self.forwarder.port)
        self.plan, self.plan_direct = objects.plans(self.kube.api, self.raft, self.database)
        write(path("late-token"), "not-a-token")
        self.seconds = time.monotonic() - began

    def _start_kube(self):
        self.kube.start()
        objects.create(self.kube.api)
        objects.settled(self.kube.api)

    def _start_database(self):
        self.database.start()
        self.database.seed()

    def args(self, context="token", plan=None):
        return ["--plan", plan or self.plan, "--kubeconfig", self.kubeconfig, "--context", context]
