"""What the crash matrix of both workloads shares: one cluster in a folder, and an end state without what differs from run to run."""
import glob
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from ferry import *

LIMIT = 240  # of one run of ferryman


class Cluster(Sandbox):
    """A sandbox in BASE/sb, with ferryman's own folders beside it."""

    def __init__(self, workload, base, saved=None):
        self.workload, self.dir, self.base = workload, os.path.join(base, "sb"), base
        for name in ("sb", "state", "run"):
            os.makedirs(os.path.join(base, name), 0o700, exist_ok=True)
        if saved:
            shutil.rmtree(os.path.join(base, "state"))
            shutil.copytree(os.path.join(saved, "state"), os.path.join(base, "state"))
        self.log = open(os.path.join(base, "sandbox.stderr"), "w+")
        options = ["--from", os.path.join(saved, "sandbox")] if saved else workload.SANDBOX
        self.process = subprocess.Popen([SANDBOX, "--dir", self.dir, *options], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log,
                                        text=True, start_new_session=True)
        atexit.register(self.stop)
        self.lines = []
        threading.Thread(target=self._read, daemon=True).start()
        until(lambda: "ready" in self.lines or self.process.poll() is not None, "the sandbox is ready", 120)
        if self.process.poll() is not None:
            self.log.seek(0)
            raise RuntimeError("the sandbox ended: " + self.log.read()[-2000:])
        self.kubeconfig, self.plan = os.path.join(self.dir, "kubeconfig"), os.path.join(self.dir, "plan.yaml")
        self.args = ["--plan", self.plan, "--kubeconfig", self.kubeconfig]
        self._write_plan()
        self.env = clean_env(XDG_STATE_HOME=os.path.join(base, "state"), XDG_RUNTIME_DIR=os.path.join(base, "run"))

    def _write_plan(self):
        """Deriving a key takes seconds each time, and is not what is tested here."""
        with open(self.plan) as f:
            text = f.read()
        text = re.sub(r"encrypt: *\{[^}]*\}", 'encrypt: { none: true, reason: "the crash matrix" }', text)
        with open(self.plan, "w") as f:
            f.write(self.workload.plan_of(text, self.base))

    def stop(self):
        if self.process.poll() is None:
            self.process.stdin.close()
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()

    def ferryman(self, *words, failpoint=None):
        env = dict(self.env)
        if failpoint:
            env["FERRYMAN_FAILPOINT"] = failpoint
        return subprocess.run([FERRYMAN, *self.args, *words], capture_output=True, text=True, errors="replace", timeout=LIMIT, env=env)

    def phase(self, phase, failpoint=None):
        w = self.workload
        action = w.ACTION.get(phase, phase)
        words = ["rollback", w.NAME] if action == "rollback" else ["run", f"{w.NAME}/{action}"]
        return self.ferryman(*words, "--arm", "home", "--confirm", f"{action}={w.TYPED.get(phase, 'y')}", *w.overrides(phase), failpoint=failpoint)

    def journal(self):
        path = os.path.join(self.base, "state", "ferryman", "nfs-hostile", "journal.jsonl")
        if not os.path.exists(path):
            return []
        with open(path) as f:
            return [json.loads(line) for line in f if line.endswith("\n")]

    def changes(self):
        """What the API server changed for ferryman since it was asked to forget: {"patch deployments immich/x": how often}."""
        found = {}
        for line in self.control("audit").splitlines():
            what, manager, count = line.rsplit(" ", 2)
            if manager.startswith("ferryman") and " leases " not in what and " secrets " not in what:
                found[stripped(what)] = found.get(stripped(what), 0) + int(count)
        return found

    def save(self, folder):
        os.makedirs(folder)
        self.control("save", os.path.join(folder, "sandbox"))
        shutil.copytree(os.path.join(self.base, "state"), os.path.join(folder, "state"))


# ---- The end state, without what differs from run to run --------------------------------------------------------------------

VOLATILE = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|\d{8}T\d{6}Z|\d{4}-\d\d-\d\dT[\d:.]+Z|vm-\d+")


def stripped(value):
    """Uids, times and names that are made of them become one sign each."""
    if isinstance(value, dict):
        return {stripped(k): stripped(v) for k, v in value.items()}
    if isinstance(value, list):
        return [stripped(v) for v in value]
    return VOLATILE.sub("*", value) if isinstance(value, str) else value


def facts_of(records, workload):
    return {r["name"]: r["value"] for r in records if r["t"] == "fact" and r.get("workload") == workload.NAME}


def objects_of(cluster, namespace, kinds):
    """What counts of each object in a namespace, and of the volumes of its claims."""
    out = {}
    items = json.loads(cluster.kubectl("get", kinds, "-n", namespace, "-o", "json"))["items"]
    items += json.loads(cluster.kubectl("get", "pv", "-o", "json"))["items"]
    for o in items:
        kind, meta, name = o["kind"], o["metadata"], o["metadata"]["name"]
        annotations = {k: v for k, v in meta.get("annotations", {}).items() if k not in ("ferryman.io/run", "volume.kubernetes.io/selected-node")}
        seen = {"labels": meta.get("labels"), "annotations": annotations, "finalizers": meta.get("finalizers")}
        if kind in ("Deployment", "CronJob", "StatefulSet"):
            seen.update(generation=meta["generation"], spec=o["spec"])
        elif kind == "PersistentVolumeClaim":
            seen.update(spec=o["spec"], phase=o["status"]["phase"])
        elif kind == "PersistentVolume":
            ref = o["spec"].get("claimRef", {})
            if ref.get("namespace") != namespace:
                continue
            name = "of " + ref["name"]
            seen.update(reclaim=o["spec"]["persistentVolumeReclaimPolicy"], storage=o["spec"].get("storageClassName"), phase=o["status"]["phase"])
        elif kind == "Pod":
            if "job-name" in (meta.get("labels") or {}):
                continue
            ready = any(c["type"] == "Ready" and c["status"] == "True" for c in o["status"].get("conditions", []))
            claims = sorted(v["persistentVolumeClaim"]["claimName"] for v in o["spec"].get("volumes", []) if "persistentVolumeClaim" in v)
            name = re.sub(r"-[a-z0-9]{8,10}-[a-z0-9]{5}$", "", name)
            seen = {"ready": ready, "claims": claims, "phase": o["status"]["phase"]}
        elif kind == "Lease":
            seen = {"held": bool(o["spec"].get("holderIdentity"))}
        elif kind == "Secret":
            seen = {"keys": sorted(o.get("data", {}))}
        out.setdefault(f"{kind} {name}", []).append(json.loads(json.dumps(stripped(seen), sort_keys=True)))
    return {k: sorted(v, key=json.dumps) for k, v in out.items()}


def files_of(cluster):
    """Everything that ferryman may leave lying about."""
    found = []
    for top in (os.path.join(cluster.base, "state"), os.path.join(cluster.dir, "dumps")):
        for folder, _, names in os.walk(top):
            found += [os.path.relpath(os.path.join(folder, n), cluster.base) for n in names]
    return sorted(stripped(found))


def phases_of(records):
    state = {}
    for r in records:
        if r["t"] == "phase" and r["state"] in ("begun", "done", "failed", "skipped", "aborted"):
            state[r["phase"]] = r["state"]
    return state


def differences(a, b, at=""):
    if type(a) is not type(b):
        return [f"{at}: {a!r} became {b!r}"]
    if isinstance(a, dict):
        return [d for k in sorted(set(a) | set(b)) for d in differences(a.get(k), b.get(k), f"{at}/{k}")]
    if isinstance(a, list) and len(a) == len(b):
        return [d for i, (x, y) in enumerate(zip(a, b)) for d in differences(x, y, f"{at}/{i}")]
    return [] if a == b else [f"{at}: {a!r} became {b!r}"]
