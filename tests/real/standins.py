"""Stand-ins for what a machine without containers lacks: the kubelet of three nodes and a CSI driver's provisioner
and attacher. Both are level-triggered: they look at an object and do the next thing, so that any restart of the API
server is survived.

The kubelet obeys two rules of the real one: a pod starts only on claims that are bound, and an object goes only
after its containers. A pod's address comes from `addresses` ("namespace/name": ip), so that a server that runs there
is the pod."""

import datetime
import queue
import threading

from api import MERGE, STRATEGIC

NODES = ("pve-a", "pve-b", "pve-c")
NFS, BLOCK = "nfs.csi.k8s.io", "csi.proxmox.sinextra.dev"
HEARTBEAT_S = 10
RETRY_S = 0.3
CLAIMS, VOLUMES = "/api/v1/persistentvolumeclaims", "/api/v1/persistentvolumes"
ATTACHMENTS = "/apis/storage.k8s.io/v1/volumeattachments"
FINALIZER = "external-provisioner.volume.kubernetes.io/finalizer"


def stamp(micro=False):
    t = datetime.datetime.now(datetime.timezone.utc)
    return t.strftime("%Y-%m-%dT%H:%M:%S.%fZ" if micro else "%Y-%m-%dT%H:%M:%SZ")


class Worker:
    """One thread that does work for keys, one after the other, and again after a while for those that are not
    finished."""

    def __init__(self, work):
        self.work, self.queue, self.objects, self.lock = work, queue.Queue(), {}, threading.Lock()
        threading.Thread(target=self._run, daemon=True).start()

    def on_event(self, event, obj):
        with self.lock:
            if event == "DELETED":
                self.objects.pop(obj["metadata"]["uid"], None)
                return
            self.objects[obj["metadata"]["uid"]] = obj
        self.queue.put(obj["metadata"]["uid"])

    def _run(self):
        again = set()
        while True:
            try:
                uids = {self.queue.get(timeout=RETRY_S if again else None)}
            except queue.Empty:
                uids, again = again, set()
            for uid in uids:
                with self.lock:
                    obj = self.objects.get(uid)
                try:
                    if obj and not self.work(obj):
                        again.add(uid)
                except (OSError, RuntimeError):
                    again.add(uid)


class Kubelet:
    def __init__(self, api, addresses):
        self.api, self.addresses, self.next_ip = api, addresses, 10
        self.worker = Worker(self.sync)
        threading.Thread(target=self._beat, daemon=True).start()
        threading.Thread(target=api.watch, args=("/api/v1/pods", self.worker.on_event), daemon=True).start()

    def _beat(self):
        gate = threading.Event()
        while True:
            for i, name in enumerate(NODES):
                try:
                    self._node(name, i)
                except (OSError, RuntimeError):
                    gate.wait(RETRY_S)
            gate.wait(HEARTBEAT_S)

    def _node(self, name, i):
        if not self.api.get("/api/v1/nodes/" + name):
            labels = {
                "kubernetes.io/hostname": name,
                "topology.kubernetes.io/region": "home",
                "topology.kubernetes.io/zone": name,
            }
            attaches = {"volumes.kubernetes.io/controller-managed-attach-detach": "true"}
            self.api.must(
                "POST", "/api/v1/nodes", {"metadata": {"name": name, "labels": labels, "annotations": attaches}}
            )
            self.api.must(
                "POST",
                "/apis/storage.k8s.io/v1/csinodes",
                {
                    "metadata": {"name": name},
                    "spec": {
                        "drivers": [
                            {"name": NFS, "nodeID": name, "topologyKeys": None},
                            {
                                "name": BLOCK,
                                "nodeID": name,
                                "topologyKeys": ["topology.kubernetes.io/zone"],
                                "allocatable": {"count": 24},
                            },
                        ]
                    },
                },
            )
            self.api.must(
                "POST",
                "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases",
                {
                    "metadata": {"name": name},
                    "spec": {"holderIdentity": name, "leaseDurationSeconds": 40, "renewTime": stamp(True)},
                },
            )
        self.api.must(
            "PATCH",
            "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/" + name,
            {"spec": {"renewTime": stamp(True)}},
            MERGE,
        )
        room = {"cpu": "16", "memory": "64Gi", "pods": "500"}
        conditions = [
            {"type": t, "status": s, "reason": r, "lastHeartbeatTime": stamp()}
            for t, s, r in (
                ("MemoryPressure", "False", "KubeletHasSufficientMemory"),
                ("DiskPressure", "False", "KubeletHasNoDiskPressure"),
                ("PIDPressure", "False", "KubeletHasSufficientPID"),
                ("Ready", "True", "KubeletReady"),
            )
        ]
        self.api.must(
            "PATCH",
            f"/api/v1/nodes/{name}/status",
            {
                "status": {
                    "capacity": room,
                    "allocatable": room,
                    "conditions": conditions,
                    "addresses": [{"type": "InternalIP", "address": f"127.0.1.{i + 1}"}],
                    "nodeInfo": {
                        "kubeletVersion": "v1.30.0",
                        "osImage": "stand-in",
                        "architecture": "amd64",
                        "operatingSystem": "linux",
                        "bootID": "",
                        "containerRuntimeVersion": "none://0",
                        "kernelVersion": "",
                        "kubeProxyVersion": "",
                        "machineID": "",
                        "systemUUID": "",
                    },
                }
            },
            STRATEGIC,
        )

    def _mountable(self, pod):
        ns = pod["metadata"]["namespace"]
        for v in pod["spec"].get("volumes", []):
            if "persistentVolumeClaim" in v:
                claim = self.api.get(
                    f"/api/v1/namespaces/{ns}/persistentvolumeclaims/{v['persistentVolumeClaim']['claimName']}"
                )
                if not claim or claim["status"].get("phase") != "Bound":
                    return False
        return True

    def _address(self, pod):
        key = f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
        for prefix, ip in self.addresses.items():
            if key == prefix or key.startswith(prefix + "-"):
                return ip
        self.next_ip += 1
        return f"10.99.1.{self.next_ip % 250}"

    def _status(self, pod, phase, state, ready, ip=None):
        flag = "True" if ready else "False"
        statuses = [
            {
                "name": c["name"],
                "image": c["image"],
                "imageID": "",
                "ready": ready,
                "started": ready,
                "restartCount": 0,
                "state": state,
            }
            for c in pod["spec"]["containers"]
        ]
        status = {
            "phase": phase,
            "startTime": pod["status"].get("startTime") or stamp(),
            "containerStatuses": statuses,
            "conditions": [
                {"type": t, "status": s}
                for t, s in (("Initialized", "True"), ("Ready", flag), ("ContainersReady", flag))
            ],
        }
        if ip:
            status.update(podIP=ip, podIPs=[{"ip": ip}], hostIP="127.0.1.1")
        meta = pod["metadata"]
        self.api.call(
            "PATCH",
            f"/api/v1/namespaces/{meta['namespace']}/pods/{meta['name']}/status",
            {"metadata": {"uid": meta["uid"]}, "status": status},
            STRATEGIC,
        )

    def sync(self, pod):
        """Returns whether nothing is left to do until the object changes."""
        meta, phase = pod["metadata"], pod["status"].get("phase")
        if not pod["spec"].get("nodeName"):
            return True
        if meta.get("deletionTimestamp"):
            self._status(
                pod, "Succeeded", {"terminated": {"exitCode": 0, "reason": "Completed", "finishedAt": stamp()}}, False
            )
            self.api.call(
                "DELETE",
                f"/api/v1/namespaces/{meta['namespace']}/pods/{meta['name']}",
                {"gracePeriodSeconds": 0, "preconditions": {"uid": meta["uid"]}},
            )
            return True
        if phase in ("Succeeded", "Failed"):
            return True
        if phase != "Running":
            if not self._mountable(pod):
                return False
            self._status(pod, "Running", {"running": {"startedAt": stamp()}}, True, self._address(pod))
        elif pod["spec"].get("restartPolicy") != "Always":
            self._status(
                pod, "Succeeded", {"terminated": {"exitCode": 0, "reason": "Completed", "finishedAt": stamp()}}, False
            )
        return True


class Csi:
    def __init__(self, api):
        self.api, self.claims = api, Worker(self.provision)
        for path, handler in (
            (CLAIMS, self.claims.on_event),
            (VOLUMES, Worker(self.reclaim).on_event),
            (ATTACHMENTS, Worker(self.attach).on_event),
        ):
            threading.Thread(target=api.watch, args=(path, handler), daemon=True).start()

    def provision(self, claim):
        meta, spec = claim["metadata"], claim["spec"]
        notes = meta.get("annotations") or {}
        driver = notes.get("volume.kubernetes.io/storage-provisioner")
        if spec.get("volumeName") or meta.get("deletionTimestamp") or driver not in (NFS, BLOCK):
            return True
        cls = self.api.get("/apis/storage.k8s.io/v1/storageclasses/" + spec["storageClassName"])
        node = notes.get("volume.kubernetes.io/selected-node")
        if not cls or (cls["volumeBindingMode"] == "WaitForFirstConsumer" and not node):
            return True
        status, doc = self.api.call("POST", VOLUMES, self._volume(claim, cls, driver, node))
        if status not in (201, 409):
            raise RuntimeError(doc)
        return True

    @staticmethod
    def _volume(claim, cls, driver, node):
        meta, spec, given = claim["metadata"], claim["spec"], cls.get("parameters") or {}
        name = "pvc-" + meta["uid"]
        if driver == NFS:
            csi = {
                "driver": driver,
                "volumeHandle": f"{given['server']}#{given['share'].strip('/')}#{name}##",
                "volumeAttributes": {
                    "server": given["server"],
                    "share": given["share"],
                    "subDir": name,
                    "storage.kubernetes.io/csiProvisionerIdentity": "1-1-" + driver,
                },
            }
        else:
            csi = {
                "driver": driver,
                "volumeHandle": f"home/{node}/{given['storage']}/vm-9999-{name}",
                "fsType": "ext4",
                "volumeAttributes": {
                    "storage": given["storage"],
                    "storage.kubernetes.io/csiProvisionerIdentity": "1-1-" + driver,
                },
            }
            secret = given.get("csi.storage.k8s.io/node-stage-secret-name")
            if secret:
                csi["nodeStageSecretRef"] = {
                    "name": secret,
                    "namespace": given["csi.storage.k8s.io/node-stage-secret-namespace"],
                }
        volume = {
            "metadata": {
                "name": name,
                "finalizers": [FINALIZER],
                "annotations": {"pv.kubernetes.io/provisioned-by": driver},
            },
            "spec": {
                "capacity": {"storage": spec["resources"]["requests"]["storage"]},
                "accessModes": spec["accessModes"],
                "storageClassName": cls["metadata"]["name"],
                "persistentVolumeReclaimPolicy": cls["reclaimPolicy"],
                "mountOptions": cls.get("mountOptions") or [],
                "csi": csi,
                "claimRef": {
                    "apiVersion": "v1",
                    "kind": "PersistentVolumeClaim",
                    "namespace": meta["namespace"],
                    "name": meta["name"],
                    "uid": meta["uid"],
                    "resourceVersion": meta["resourceVersion"],
                },
            },
        }
        if node:
            term = {"matchExpressions": [{"key": "topology.kubernetes.io/zone", "operator": "In", "values": [node]}]}
            volume["spec"]["nodeAffinity"] = {"required": {"nodeSelectorTerms": [term]}}
        return volume

    def reclaim(self, volume):
        meta = volume["metadata"]
        if (meta.get("annotations") or {}).get("pv.kubernetes.io/provisioned-by") not in (NFS, BLOCK):
            return True
        if meta.get("deletionTimestamp"):
            if FINALIZER in (meta.get("finalizers") or []):
                rest = [f for f in meta["finalizers"] if f != FINALIZER]
                self.api.call("PATCH", f"{VOLUMES}/{meta['name']}", {"metadata": {"finalizers": rest}}, MERGE)
        elif (
            volume["status"].get("phase") == "Released" and volume["spec"]["persistentVolumeReclaimPolicy"] == "Delete"
        ):
            self.api.call("DELETE", f"{VOLUMES}/{meta['name']}")
        return True

    def attach(self, attachment):
        if not (attachment.get("status") or {}).get("attached"):
            self.api.must(
                "PATCH", f"{ATTACHMENTS}/{attachment['metadata']['name']}/status", {"status": {"attached": True}}, MERGE
            )
        return True
