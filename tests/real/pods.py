"""A kubelet whose pods are real: a pod with a PostgreSQL image is a server with the data of its claim, begun as the
image's entry point does it (initdb and a temporary server on its socket first, if the claim is empty); a pod with the
application's image is a session that writes into it. Each has an address of its own, a log that the API server can
ask for, and ends as its container would: by SIGINT, with what the server says then.

And a Service: an address in front of whatever the endpoint slices call ready."""

import base64
import hashlib
import http.server
import os
import shlex
import signal
import socket
import ssl
import subprocess
import threading
import urllib.parse

from control_plane import certificate
from database import bindir
from program import Program, folder, path, write
from standins import Kubelet, stamp

KUBELET_PORT = 10250
POSTGRES_PORT = 5432
OUTSIDE = "10.99.2.1"  # where connections through a Service come from
PODS_PATH = "/api/v1/pods"
SLICES = "/apis/discovery.k8s.io/v1/namespaces/{}/endpointslices?labelSelector=kubernetes.io/service-name%3D{}"

INSERT = shlex.quote("INSERT INTO asset (name) VALUES ('live') \\watch 0.5")

ENTRY = r"""set -e
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    echo "$POSTGRES_PASSWORD" >"$RUN/pw"
    "$BIN/initdb" -D "$PGDATA" -U "$POSTGRES_USER" -E UTF8 --locale=C.UTF-8 -k --no-sync --pwfile="$RUN/pw" $POSTGRES_INITDB_ARGS
    rm -f "$RUN/pw"
    echo "host all all all scram-sha-256" >>"$PGDATA/pg_hba.conf"
    "$BIN/pg_ctl" -D "$PGDATA" -w -o "-c listen_addresses='' -c unix_socket_directories=$RUN" start
    [ "$POSTGRES_DB" = postgres ] || "$BIN/psql" -X -h "$RUN" -U "$POSTGRES_USER" -d postgres -c "CREATE DATABASE \"$POSTGRES_DB\""
    "$BIN/pg_ctl" -D "$PGDATA" -m fast -w stop
    echo "PostgreSQL init process complete; ready for start up."
fi
exec "$BIN/postgres" -D "$PGDATA" -c listen_addresses="$POD_IP" -c unix_socket_directories="$RUN" -c fsync=off "$@"
"""


def own_address(ip):
    subprocess.run(["ip", "addr", "replace", ip + "/32", "dev", "lo"], check=True)


class Container:
    """The one container of a pod, restarted when it ends by itself."""

    def __init__(self, kubelet, pod, ip):
        self.pod, self.ip, self.restarts, self.previous = pod, ip, 0, None
        self.name = pod["spec"]["containers"][0]["name"]
        self.started, self.held = stamp(), False
        self.program = self.make(kubelet)
        self.program.start()

    def key(self):
        return f"{self.pod['metadata']['namespace']}/{self.pod['metadata']['name']}"

    def look(self):
        """Restarts it as the kubelet would."""
        if not self.program.runs():
            self.restarts += 1
            self.started = stamp()
            self.program.start()

    def hold(self, held):
        """A server that hangs, before its probe has noticed: connections are made and not answered."""
        self.held = held
        self.program.pause() if held else self.program.resume()

    def stop(self):
        self.program.stop(30)


class Postgres(Container):
    def make(self, kubelet):
        spec = self.pod["spec"]["containers"][0]
        env = {e["name"]: kubelet.value_of(self.pod, e) for e in spec.get("env", [])}
        user = env.get("POSTGRES_USER", "postgres")
        run = folder("run", self.pod["metadata"]["uid"][:8], owner="postgres")
        os.chmod(run, 0o700)
        self.user, self.data = user, self._data(kubelet, spec, env)
        script = write(os.path.join(run, "entry"), ENTRY, 0o644)
        env.update(
            POSTGRES_USER=user,
            POSTGRES_DB=env.get("POSTGRES_DB", user),
            POSTGRES_INITDB_ARGS=env.get("POSTGRES_INITDB_ARGS", ""),
            PGDATA=self.data,
            BIN=bindir(),
            RUN=run,
            POD_IP=self.ip,
            PATH=os.environ["PATH"],
            LC_ALL="C.UTF-8",
        )
        args = list(spec.get("args", []))
        if args and args[0] == "postgres":
            args = args[1:]
        return Program(
            "pod-" + self.pod["metadata"]["uid"],
            ["/bin/bash", script, *args],
            user="postgres",
            env=env,
            stop_signal=signal.SIGINT,
        )

    def _data(self, kubelet, spec, env):
        """PGDATA, as a folder of the volume that is mounted there."""
        inside = env.get("PGDATA", "/var/lib/postgresql/data")
        for mount in spec["volumeMounts"]:
            where = mount["mountPath"].rstrip("/")
            if inside == where or inside.startswith(where + "/"):
                volume = kubelet.volume_of(self.pod, mount["name"])
                if volume:
                    return os.path.join(
                        folder("volumes", volume, owner="postgres"), mount.get("subPath", ""), inside[len(where) :].strip("/")
                    )
        raise RuntimeError("PGDATA lies on no claim")

    def ready(self):
        return (
            subprocess.run(
                [os.path.join(bindir(), "pg_isready"), "-q", "-h", self.ip, "-p", str(POSTGRES_PORT)], timeout=10
            ).returncode
            == 0
        )


class Application(Container):
    """Writes a row twice a second, over a connection that comes from the pod's own address."""

    def make(self, kubelet):
        self.forward = Forward("127.0.0.1", 0, lambda: kubelet.endpoint("immich", "immich-postgresql"), self.ip)
        session = f"exec psql -Xq -h 127.0.0.1 -p {self.forward.port} -U immich -d immich -v ON_ERROR_STOP=1 >/dev/null <<<{INSERT}"
        return Program(
            "pod-" + self.pod["metadata"]["uid"],
            ["/bin/bash", "-c", session],
            env=dict(os.environ, PGPASSWORD=kubelet.app_password, PGAPPNAME="immich-server", PGCONNECT_TIMEOUT="3"),
        )

    def ready(self):
        return True

    def stop(self):
        os.killpg(self.program.process.pid, signal.SIGKILL)
        self.program.process.wait()
        self.forward.close()


class RealKubelet(Kubelet):
    app_password = "not-so-secret"

    def __init__(self, api, addresses):
        self.containers, self.known = {}, {}
        self.lock = threading.Lock()
        certificate("kubelet", "/CN=kubelet", "extendedKeyUsage=serverAuth\n")
        own_address(OUTSIDE)
        server = http.server.ThreadingHTTPServer(("0.0.0.0", KUBELET_PORT), type("Logs", (Logs,), {"kubelet": self}))
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(path("pki", "kubelet.crt"), path("pki", "kubelet.key"))
        server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        super().__init__(api, addresses)

    def _node(self, name, i):
        super()._node(name, i)
        self.api.must(
            "PATCH",
            f"/api/v1/nodes/{name}/status",
            {"status": {"daemonEndpoints": {"kubeletEndpoint": {"Port": KUBELET_PORT}}}},
            "application/merge-patch+json",
        )

    def value_of(self, pod, entry):
        if "value" in entry:
            return entry["value"]
        ref = (entry.get("valueFrom") or {}).get("secretKeyRef")
        if ref:
            secret = self.api.get(f"/api/v1/namespaces/{pod['metadata']['namespace']}/secrets/{ref['name']}")
            return base64.b64decode(secret["data"][ref["key"]]).decode()
        return ""

    def volume_of(self, pod, name):
        for v in pod["spec"].get("volumes", []):
            if v["name"] == name and "persistentVolumeClaim" in v:
                claim = self.api.get(
                    f"/api/v1/namespaces/{pod['metadata']['namespace']}/persistentvolumeclaims/{v['persistentVolumeClaim']['claimName']}"
                )
                return claim["spec"]["volumeName"]
        return None

    def endpoint(self, ns, service):
        """The last that was known while the API server is away, as kube-proxy's rules stay."""
        try:
            slices = self.api.get(SLICES.format(ns, service))["items"]
        except (OSError, TypeError):
            return self.known.get(service)
        ready = [e["addresses"][0] for s in slices for e in s.get("endpoints") or [] if e["conditions"].get("ready")]
        self.known[service] = ready[0] if ready else None
        return self.known[service]

    def serving(self, label="immich-postgresql"):
        """The server that runs for the deployment now."""
        with self.lock:
            found = [c for c in self.containers.values() if isinstance(c, Postgres) and c.key().startswith("immich/" + label)]
        return found[-1] if found else None

    def _kind(self, pod):
        image = pod["spec"]["containers"][0]["image"]
        return Postgres if "postgres" in image or "pgvecto" in image else Application if image == "immich-app" else None

    def _statuses(self, pod, c, ready):
        image = pod["spec"]["containers"][0]["image"]
        return {
            "name": c.name,
            "image": image,
            "imageID": f"{image.split(':')[0]}@sha256:{hashlib.sha256(image.encode()).hexdigest()}",
            "ready": ready,
            "started": True,
            "restartCount": c.restarts,
            "state": {"running": {"startedAt": c.started}},
        }

    def _report(self, pod, c, ready):
        flag = "True" if ready else "False"
        meta = pod["metadata"]
        self.api.call(
            "PATCH",
            f"/api/v1/namespaces/{meta['namespace']}/pods/{meta['name']}/status",
            {
                "metadata": {"uid": meta["uid"]},
                "status": {
                    "phase": "Running",
                    "startTime": c.started,
                    "podIP": c.ip,
                    "podIPs": [{"ip": c.ip}],
                    "hostIP": "127.0.1.1",
                    "containerStatuses": [self._statuses(pod, c, ready)],
                    "conditions": [
                        {"type": t, "status": s}
                        for t, s in (("Initialized", "True"), ("Ready", flag), ("ContainersReady", flag))
                    ],
                },
            },
            "application/strategic-merge-patch+json",
        )

    def sync(self, pod):
        kind, meta = self._kind(pod), pod["metadata"]
        if not kind or not pod["spec"].get("nodeName"):
            return super().sync(pod)
        c = self.containers.get(meta["uid"])
        if meta.get("deletionTimestamp"):
            if c:
                c.stop()
                with self.lock:
                    self.containers.pop(meta["uid"])
            return super().sync(pod)
        if not c:
            if not self._mountable(pod):
                return False
            ip = self._address(pod)
            own_address(ip)
            c = kind(self, pod, ip)
            with self.lock:
                self.containers[meta["uid"]] = c
        c.look()
        ready = c.held or c.ready()
        if (ready, c.restarts) != getattr(c, "reported", None):
            self._report(pod, c, ready)
            c.reported = (ready, c.restarts)
        return False  # looked at again and again: probes


class Logs(http.server.BaseHTTPRequestHandler):
    """GET /containerLogs/NAMESPACE/POD/CONTAINER?follow=true&tailLines=N"""

    protocol_version = "HTTP/1.1"
    kubelet = None

    def log_message(self, *_):
        pass

    def do_GET(self):
        url = urllib.parse.urlsplit(self.path)
        parts, query = url.path.strip("/").split("/"), urllib.parse.parse_qs(url.query)
        with self.kubelet.lock:
            found = [c for c in self.kubelet.containers.values() if c.key() == "/".join(parts[1:3])]
        if parts[0] != "containerLogs" or not found:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        try:
            self._copy(found[0], query)
        except OSError:
            self.close_connection = True

    def _copy(self, c, query):
        gate, follow = threading.Event(), query.get("follow", [""])[0] in ("true", "1")
        with open(c.program.log, "rb") as f:
            text = f.read()
            if "tailLines" in query:
                lines = int(query["tailLines"][0])
                text = b"".join(text.splitlines(True)[-lines:]) if lines else b""
            self._chunk(text)
            while follow:
                ended = c.program.process.poll() is not None
                text = f.read()
                self._chunk(text)
                if ended and not text:
                    break
                gate.wait(0.05)
        self.wfile.write(b"0\r\n\r\n")

    def _chunk(self, text):
        if text:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(text), text))
            self.wfile.flush()


class Forward:
    """TCP to wherever target() says, from an address of our choosing."""

    def __init__(self, ip, port, target, source):
        self.target, self.source = target, source
        self.listener = socket.create_server((ip, port))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        self.listener.close()

    def _accept(self):
        while True:
            try:
                a, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._connect, args=(a,), daemon=True).start()

    def _connect(self, a):
        try:
            host = self.target()
            if not host:
                raise OSError("no endpoint")
            b = socket.create_connection((host, POSTGRES_PORT), 5, (self.source, 0))
            b.settimeout(None)
        except OSError:
            a.close()
            return
        for x, y in ((a, b), (b, a)):
            threading.Thread(target=self._copy, args=(x, y), daemon=True).start()

    @staticmethod
    def _copy(x, y):
        try:
            while data := x.recv(65536):
                y.sendall(data)
        except OSError:
            pass
        for s in (x, y):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
