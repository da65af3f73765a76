"""A kubelet for pods of the namespace vault: each is a cell of its own (cells.py) in which the program that the pod's
spec asks for really runs, as the user that it asks for, on folders that stand for its volumes. A volume of the block
class begins as a fresh ext4 does: root's, with lost+found; one of NFS is anybody's.

The server's image is OpenBao; its readiness is what its health says. Pods that are to run once end as their program
did. The headless service vault-internal names every pod, ready or not."""

import base64
import http.client
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time

from cells import Network, cell
from pods import Container, RealKubelet
from program import TICK, folder, path, write
from standins import NFS, stamp

SERVICE = "vault-internal"
PORT = 8200
HERE = os.path.dirname(os.path.abspath(__file__))


def owned(where, uid, gid, mode):
    os.chown(where, uid, gid)
    os.chmod(where, mode)


class Cell(Container):
    """One container in one cell."""

    def __init__(self, kubelet, pod, ip):
        self.kubelet, self.ended, self.exit, self.stopping = kubelet, None, None, None
        self.net = "p" + pod["metadata"]["uid"][:8]
        self.down = False
        kubelet.network.plug(self.net, ip)
        super().__init__(kubelet, pod, ip)

    def spec(self):
        return self.pod["spec"]["containers"][0]

    def _user(self):
        both = {**(self.pod["spec"].get("securityContext") or {}), **(self.spec().get("securityContext") or {})}
        group = (self.pod["spec"].get("securityContext") or {}).get("fsGroup")
        user = both.get("runAsUser", 0)
        own = both.get("runAsGroup", 0)
        return user, own, [g for g in (group, own) if g is not None]

    def _env(self):
        env = {}
        for e in self.spec().get("env") or []:
            value = e.get("value")
            if value is None:
                value = self.kubelet.value_of(self.pod, e, self.ip)
            env[e["name"]] = self._expanded(value, env)
        return env

    @staticmethod
    def _expanded(text, env):
        return re.sub(r"\$\(([A-Za-z_0-9]+)\)", lambda m: env.get(m.group(1), m.group(0)), text)

    def _mounts(self):
        pairs = []
        for m in self.spec().get("volumeMounts") or []:
            source = self.kubelet.folder_of(self.pod, m["name"])
            if source:
                pairs.append((os.path.join(source, m.get("subPath", "")).rstrip("/"), m["mountPath"]))
        return pairs

    def make(self, kubelet):
        spec, env = self.spec(), self._env()
        argv = [self._expanded(w, env) for w in (spec.get("command") or []) + (spec.get("args") or [])]
        if not spec.get("command") and "bao" in spec["image"]:
            argv = ["/usr/local/bin/bao", *argv]
        user, group, groups = self._user()
        mounts = [(kubelet.bao, "/usr/local/bin/bao"), *self._mounts()]
        self.hold_file = path("cells", self.net + ".hold")
        program = cell(
            kubelet.network, self.net, argv, env, mounts, user, group, groups, "pod-" + self.pod["metadata"]["uid"]
        )
        at = program.argv.index("unshare")
        program.argv[at:at] = [kubelet.hold_fsync, self.hold_file]
        return program

    # ---- Faults of the pod

    def hang_disk(self, hangs):
        """fsync does not return any more."""
        if hangs:
            write(self.hold_file, "")
        elif os.path.exists(self.hold_file):
            os.unlink(self.hold_file)

    # ---- Its life

    def once(self):
        return self.pod["spec"].get("restartPolicy", "Always") != "Always"

    def look(self):
        if self.once():
            if not self.program.runs() and self.ended is None:
                self.exit, self.ended = self.program.process.returncode, stamp()
            return
        if not self.down:
            super().look()

    def restart(self, meanwhile=lambda: None):
        """Kills the server as a failing node does, and starts it again."""
        self.down = True
        self.program.kill()
        meanwhile()
        self.program.start()
        self.restarts += 1
        self.down = False

    def wipe(self):
        """It comes back with nothing on its data volume."""

        def empty():
            for name in os.listdir(self.volume("data")):
                if name != "lost+found":
                    where = os.path.join(self.volume("data"), name)
                    shutil.rmtree(where) if os.path.isdir(where) else os.unlink(where)

        self.restart(empty)

    def volume(self, name):
        """The folder that stands for that volume of its spec."""
        return self.kubelet.folder_of(self.pod, name)

    def ready(self):
        if self.once() or "bao" not in self.spec()["image"]:
            return self.program.runs()
        try:
            return self.call("GET", "sys/health", timeout=1)[0] in (200, 429)
        except OSError:
            return False

    def call(self, method, what, body=None, token=None, timeout=5):
        """Asks the server in it: (status, document); an OSError when nothing answers."""
        c = http.client.HTTPConnection(self.ip, PORT, timeout=timeout)
        try:
            c.request(
                method,
                "/v1/" + what,
                None if body is None else json.dumps(body),
                {"X-Vault-Token": token} if token else {},
            )
            r = c.getresponse()
            text = r.read()
            return r.status, json.loads(text) if text.strip() else {}
        except (http.client.HTTPException, ValueError) as e:
            raise OSError(repr(e)) from e
        finally:
            c.close()

    def _stop(self, grace):
        self.program.stop(grace)
        self.hang_disk(False)
        self.kubelet.network.unplug(self.net)

    def gone(self, grace):
        """Ends it in its own time; returns whether it has ended."""
        if not self.stopping:
            self.stopping = threading.Thread(target=self._stop, args=(grace,), daemon=True)
            self.stopping.start()
        self.stopping.join(TICK)
        return not self.stopping.is_alive()


class VaultKubelet(RealKubelet):
    stable_ids = True

    def __init__(self, api, addresses):
        self.network = Network()
        self.bao = os.environ["FERRYMAN_REAL_BAO"]
        self.hold_fsync = path("hold_fsync")
        subprocess.run(
            [os.environ.get("CC", "cc").split()[-1], "-O1", "-o", self.hold_fsync, os.path.join(HERE, "hold_fsync.c")],
            check=True,
        )
        self.last_ip = 0
        self.lag_s = 0.0  # how long a pod waits between being scheduled and being started
        self.spoilt = None  # prefix of claims whose volumes nobody but root can write
        self.seen = {}
        super().__init__(api, addresses)

    def value_of(self, pod, entry, ip=None):
        field = ((entry.get("valueFrom") or {}).get("fieldRef") or {}).get("fieldPath")
        known = {
            "metadata.name": pod["metadata"]["name"],
            "metadata.namespace": pod["metadata"]["namespace"],
            "metadata.uid": pod["metadata"]["uid"],
            "status.podIP": ip,
            "status.hostIP": "127.0.1.1",
            "spec.nodeName": pod["spec"].get("nodeName"),
        }
        return known[field] if field else super().value_of(pod, entry)

    # ---- Volumes

    def folder_of(self, pod, name):
        ns = pod["metadata"]["namespace"]
        for v in pod["spec"].get("volumes") or []:
            if v["name"] != name:
                continue
            if "persistentVolumeClaim" in v:
                return self._claim_folder(pod, ns, v["persistentVolumeClaim"]["claimName"])
            if "configMap" in v:
                doc = self.api.get(f"/api/v1/namespaces/{ns}/configmaps/{v['configMap']['name']}")
                return self._files(pod, name, {k: t.encode() for k, t in doc["data"].items()})
            if "secret" in v:
                doc = self.api.get(f"/api/v1/namespaces/{ns}/secrets/{v['secret']['secretName']}")
                return self._files(pod, name, {k: base64.b64decode(t) for k, t in doc["data"].items()})
            if "emptyDir" in v:
                where = folder("empty", pod["metadata"]["uid"], name)
                os.chmod(where, 0o777)
                return where
        return None

    @staticmethod
    def _files(pod, name, files):
        where = folder("files", pod["metadata"]["uid"], name)
        os.chmod(where, 0o755)
        for k, content in files.items():
            with open(os.path.join(where, k), "wb") as f:
                f.write(content)
        return where

    def _claim_folder(self, pod, ns, claim):
        volume = self.api.get(f"/api/v1/namespaces/{ns}/persistentvolumeclaims/{claim}")["spec"]["volumeName"]
        where, fresh = path("volumes", volume), not os.path.isdir(path("volumes", volume))
        folder("volumes", volume)
        pv = self.api.get("/api/v1/persistentvolumes/" + volume)
        nfs = pv["spec"]["csi"]["driver"] == NFS
        if fresh:
            owned(where, 0, 0, 0o777 if nfs else 0o755)
            if not nfs:
                owned(folder("volumes", volume, "lost+found"), 0, 0, 0o700)
        group = (pod["spec"].get("securityContext") or {}).get("fsGroup")
        if group is not None and not nfs and not (self.spoilt and claim.startswith(self.spoilt)):
            self._give(where, group)
        return where

    @staticmethod
    def _give(where, group):
        """What the kubelet does for fsGroup."""
        for top, folders, files in os.walk(where):
            for name in [top] + [os.path.join(top, f) for f in folders + files]:
                os.chown(name, -1, group)
                mode = os.stat(name).st_mode & 0o7777
                os.chmod(name, mode | (0o2770 if os.path.isdir(name) else 0o660))

    # ---- Pods

    def _kind(self, pod):
        return Cell if pod["metadata"]["namespace"] == "vault" else super()._kind(pod)

    def _address(self, pod):
        if pod["metadata"]["namespace"] != "vault":
            return super()._address(pod)
        self.last_ip += 1
        return f"10.98.{self.last_ip // 200}.{self.last_ip % 200 + 1}"

    def pod(self, name):
        """The cell of the pod of that name, that is not ending; None."""
        with self.lock:
            found = [c for c in self.containers.values() if c.key() == "vault/" + name and not c.stopping]
        return found[-1] if found else None

    def _ended(self, pod, c):
        if getattr(c, "reported", None) == "ended":
            return
        image = c.spec()["image"]
        state = {
            "terminated": {
                "exitCode": c.exit if c.exit >= 0 else 128 - c.exit,
                "reason": "Completed" if c.exit == 0 else "Error",
                "startedAt": c.started,
                "finishedAt": c.ended,
            }
        }
        meta = pod["metadata"]
        self.api.call(
            "PATCH",
            f"/api/v1/namespaces/{meta['namespace']}/pods/{meta['name']}/status",
            {
                "metadata": {"uid": meta["uid"]},
                "status": {
                    "phase": "Succeeded" if c.exit == 0 else "Failed",
                    "containerStatuses": [dict(self._statuses(pod, c, False), image=image, started=False, state=state)],
                },
            },
            "application/strategic-merge-patch+json",
        )
        c.reported = "ended"
        self.network.unplug(c.net)

    def _delete(self, meta):
        self.api.call(
            "DELETE",
            f"/api/v1/namespaces/{meta['namespace']}/pods/{meta['name']}",
            {"gracePeriodSeconds": 0, "preconditions": {"uid": meta["uid"]}},
        )

    def sync(self, pod):
        meta = pod["metadata"]
        if meta["namespace"] != "vault" or not pod["spec"].get("nodeName"):
            return super().sync(pod)
        c = self.containers.get(meta["uid"])
        if meta.get("deletionTimestamp"):
            if c and c.exit is None and not c.gone(meta.get("deletionGracePeriodSeconds") or 0):
                return False
            if c:
                with self.lock:
                    self.containers.pop(meta["uid"])
                if self.network.names.get(f"{meta['name']}.{SERVICE}") == c.ip:
                    self.network.names.pop(f"{meta['name']}.{SERVICE}")
            self._delete(meta)
            return True
        if not c:
            c = self._begin(pod)
            if not c:
                return False
        c.look()
        if c.ended:
            self._ended(pod, c)
            return True
        ready = c.held or c.ready()
        if (ready, c.restarts) != getattr(c, "reported", None):
            self._report(pod, c, ready)
            c.reported = (ready, c.restarts)
        return False

    def _begin(self, pod):
        meta = pod["metadata"]
        if pod["status"].get("phase") in ("Succeeded", "Failed"):
            return None
        first = self.seen.setdefault(meta["uid"], time.monotonic())
        if time.monotonic() - first < self.lag_s or not self._mountable(pod):
            return None
        ip = self._address(pod)
        try:
            c = Cell(self, pod, ip)
        except (OSError, subprocess.SubprocessError, TypeError, KeyError) as e:
            print(f"kubelet: {meta['name']}: {e!r}", file=sys.stderr)
            raise OSError(str(e)) from e
        with self.lock:
            self.containers[meta["uid"]] = c
        if pod["spec"].get("subdomain") == SERVICE:
            self.network.names[f"{meta['name']}.{SERVICE}"] = ip
        return c
