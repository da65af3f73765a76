"""A real control plane on loopback: keys and users, etcd, kube-apiserver, kube-controller-manager, kube-scheduler,
and the stand-ins."""

import json
import os
import shutil
import subprocess
import urllib.request

from api import Api
from program import Program, folder, listens, path, write
from standins import Csi, Kubelet

PORT, ETCD_PORT, ETCD_PEER_PORT = 6443, 2379, 2380
TOKENS = {
    "viewer": "real-viewer-token",
    "narrow": "real-narrow-token",
    "plugin": "real-plugin-token",
    "late": "real-late-token",
    "mover": "real-mover-token",
}
VIEWERS = "ferryman-viewers"


def openssl(*words):
    subprocess.run(["openssl", *words], check=True, capture_output=True, cwd=folder("pki"))


def certificate(name, subject, extensions):
    """An EC key and a certificate of the test's CA: pki/NAME.key, pki/NAME.crt."""
    write(path("pki", name + ".ext"), extensions)
    openssl(
        "req",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-keyout",
        name + ".key",
        "-out",
        name + ".csr",
        "-subj",
        subject,
    )
    openssl(
        "x509",
        "-req",
        "-in",
        name + ".csr",
        "-CA",
        "ca.crt",
        "-CAkey",
        "ca.key",
        "-CAcreateserial",
        "-days",
        "2",
        "-extfile",
        name + ".ext",
        "-out",
        name + ".crt",
    )


def make_keys():
    openssl(
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-days",
        "2",
        "-keyout",
        "ca.key",
        "-out",
        "ca.crt",
        "-subj",
        "/CN=real-test-ca",
    )
    certificate(
        "apiserver",
        "/CN=kube-apiserver",
        "subjectAltName=DNS:localhost,DNS:kubernetes,DNS:kubernetes.default.svc,IP:127.0.0.1,IP:10.96.0.1\nextendedKeyUsage=serverAuth\n",
    )
    for name, subject in (
        ("admin", "/O=system:masters/CN=admin"),
        ("controller-manager", "/CN=system:kube-controller-manager"),
        ("scheduler", "/CN=system:kube-scheduler"),
        ("certified", f"/O={VIEWERS}/CN=certified"),
    ):
        certificate(name, subject, "extendedKeyUsage=clientAuth\n")
    openssl("genrsa", "-out", "sa.key", "2048")
    openssl("rsa", "-in", "sa.key", "-pubout", "-out", "sa.pub")
    rows = [
        f'{token},{name},{i},"{"narrow" if name == "narrow" else VIEWERS}"'
        for i, (name, token) in enumerate(TOKENS.items())
    ]
    write(path("pki", "tokens.csv"), "\n".join(rows) + "\n")


def own_kubeconfig(name):
    """For the controller manager and the scheduler, by client certificate."""
    pki = path("pki")
    return write(
        path("pki", name + ".kubeconfig"),
        json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "current-context": "c",
                "clusters": [
                    {
                        "name": "c",
                        "cluster": {"server": f"https://127.0.0.1:{PORT}", "certificate-authority": pki + "/ca.crt"},
                    }
                ],
                "users": [
                    {
                        "name": "u",
                        "user": {"client-certificate": f"{pki}/{name}.crt", "client-key": f"{pki}/{name}.key"},
                    }
                ],
                "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
            }
        ),
    )


class ControlPlane:
    def __init__(self, binaries, etcd, addresses, kubelet=Kubelet):
        make_keys()
        pki, api_url = path("pki"), f"http://127.0.0.1:{ETCD_PORT}"
        peer = f"http://127.0.0.1:{ETCD_PEER_PORT}"
        self.addresses, self.make_kubelet = addresses, kubelet
        self.etcd = Program(
            "etcd",
            [
                shutil.which(etcd) or etcd,
                "--data-dir",
                path("etcd"),
                "--name",
                "real",
                "--listen-client-urls",
                api_url,
                "--advertise-client-urls",
                api_url,
                "--listen-peer-urls",
                peer,
                "--initial-advertise-peer-urls",
                peer,
                "--initial-cluster",
                "real=" + peer,
            ],
        )
        self.apiserver = Program(
            "kube-apiserver",
            [
                os.path.join(binaries, "kube-apiserver"),
                "--etcd-servers=" + api_url,
                "--bind-address=127.0.0.1",
                "--advertise-address=127.0.0.1",
                f"--secure-port={PORT}",
                f"--tls-cert-file={pki}/apiserver.crt",
                f"--tls-private-key-file={pki}/apiserver.key",
                f"--client-ca-file={pki}/ca.crt",
                f"--token-auth-file={pki}/tokens.csv",
                "--authorization-mode=Node,RBAC",
                "--service-account-issuer=https://kubernetes.default.svc",
                f"--service-account-key-file={pki}/sa.pub",
                f"--service-account-signing-key-file={pki}/sa.key",
                "--service-cluster-ip-range=10.96.0.0/16",
                "--endpoint-reconciler-type=none",
                "--etcd-compaction-interval=0",
                "--kubelet-preferred-address-types=InternalIP",
                "--audit-policy-file=" + self._audit(),
                "--audit-log-path=" + path("log", "audit.log"),
            ],
        )
        common = ["--bind-address=127.0.0.1", "--leader-elect=false"]
        self.manager = Program(
            "kube-controller-manager",
            [
                os.path.join(binaries, "kube-controller-manager"),
                *common,
                *self._as("controller-manager"),
                "--use-service-account-credentials",
                f"--service-account-private-key-file={pki}/sa.key",
                f"--root-ca-file={pki}/ca.crt",
                "--kube-api-qps=300",
                "--kube-api-burst=600",
            ],
        )
        self.scheduler = Program(
            "kube-scheduler", [os.path.join(binaries, "kube-scheduler"), *common, *self._as("scheduler")]
        )
        self.api = Api(PORT, pki + "/ca.crt", pki + "/admin.crt", pki + "/admin.key")

    @staticmethod
    def _audit():
        """What ferryman asked, for who wants to know (FERRYMAN_REAL_LOGS)."""
        folder("log")
        return write(
            path("pki", "audit.json"),
            json.dumps(
                {
                    "apiVersion": "audit.k8s.io/v1",
                    "kind": "Policy",
                    "rules": [{"level": "Metadata", "users": sorted(TOKENS) + ["certified"]}, {"level": "None"}],
                }
            ),
        )

    @staticmethod
    def _as(name):
        file = own_kubeconfig(name)
        return [f"--kubeconfig={file}", f"--authentication-kubeconfig={file}", f"--authorization-kubeconfig={file}"]

    def start(self):
        self.etcd.start().ready(lambda: listens("127.0.0.1", ETCD_PORT))
        self.start_apiserver()
        self.manager.start()
        self.scheduler.start()
        self.kubelet, self.csi = self.make_kubelet(self.api, self.addresses), Csi(self.api)

    def start_apiserver(self):
        self.apiserver.start().ready(lambda: self.api.call("GET", "/readyz")[1] == "ok", 90)

    def compact(self):
        """Drops every old revision of etcd: a watch from before is too old once the API server has lost its memory,
        too."""

        def ask(what, body):
            r = urllib.request.Request(f"http://127.0.0.1:{ETCD_PORT}/v3/kv/{what}", json.dumps(body).encode())
            with urllib.request.urlopen(r, timeout=10) as answer:
                return json.load(answer)

        revision = ask("range", {"key": "AA=="})["header"]["revision"]
        ask("compaction", {"revision": revision, "physical": True})

    def version(self):
        return self.api.get("/version")["gitVersion"]
