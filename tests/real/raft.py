"""Three real OpenBao (or Vault) servers with raft storage, one key share, on the addresses of the pods vault-0,
vault-1, vault-2."""

import concurrent.futures
import http.client
import json

from program import Program, folder, path, reached, write

NAMES = ("vault-0", "vault-1", "vault-2")
PORT = 8200
POLICY = "".join(
    f'path "{p}" {{ capabilities = ["read"] }}\n'
    for p in (
        "sys/ha-status",
        "sys/storage/raft/configuration",
        "sys/storage/raft/autopilot/state",
        "sys/storage/raft/autopilot/configuration",
    )
)


class Node:
    def __init__(self, binary, name, ip, others):
        self.name, self.ip = name, ip
        self.url = f"http://{ip}:{PORT}"
        joins = "".join(f'  retry_join {{ leader_api_addr = "http://{other}:{PORT}" }}\n' for other in others)
        config = write(
            path("raft", name + ".hcl"),
            f"""
api_addr = "{self.url}"
cluster_addr = "https://{ip}:{PORT + 1}"
disable_mlock = true
listener "tcp" {{
  address = "{ip}:{PORT}"
  cluster_address = "{ip}:{PORT + 1}"
  tls_disable = true
}}
storage "raft" {{
  path = "{folder("raft", name)}"
  node_id = "{name}"
  performance_multiplier = 1
  autopilot_reconcile_interval = "2s"
{joins}}}
""",
        )
        self.server = Program(name, [binary, "server", "-config=" + config])

    def call(self, method, what, body=None, token=None, timeout=5):
        """Returns (status, document); an OSError when nothing answers."""
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
        except http.client.HTTPException as e:
            raise OSError(repr(e)) from e
        finally:
            c.close()

    def start(self):
        self.server.start().ready(lambda: self.call("GET", "sys/seal-status")[0] == 200, 30)

    def is_active(self):
        try:
            return self.server.runs() and self.call("GET", "sys/leader", timeout=1)[1].get("is_self") is True
        except OSError:
            return False


class Raft:
    def __init__(self, binary, addresses):
        self.nodes = [
            Node(binary, name, ip, [other for other in addresses if other != ip]) for name, ip in zip(NAMES, addresses)
        ]
        self.key = self.root = self.token = None

    def start(self):
        first = self.nodes[0]
        first.start()
        _, made = first.call("PUT", "sys/init", {"secret_shares": 1, "secret_threshold": 1}, timeout=30)
        self.key, self.root = made["keys_base64"][0], made["root_token"]
        self.unseal(first)
        self.wait_active()
        # By the first leader's word a new node votes after 10 s of calm: not while we wait.
        reached(lambda: self.configure("1s"), "autopilot takes its configuration", 20)
        with concurrent.futures.ThreadPoolExecutor() as pool:
            list(pool.map(self.join, self.nodes[1:]))
        reached(lambda: self.voters() == 3, "three voters", 40)
        reached(lambda: self.configure("10s"), "autopilot takes its configuration", 20)
        first.call("PUT", "sys/policies/acl/ferryman", {"policy": POLICY}, self.root)
        _, made = first.call(
            "POST", "auth/token/create", {"policies": ["ferryman"], "ttl": "12h", "no_default_policy": False}, self.root
        )
        self.token = write(path("vault-token"), made["auth"]["client_token"])

    def configure(self, calm):
        return (
            self.active()
            and self.active().call(
                "POST", "sys/storage/raft/autopilot/configuration", {"server_stabilization_time": calm}, self.root
            )[0]
            == 204
        )

    def join(self, node):
        node.start()
        self.unseal(node)

    def unseal(self, node):
        """The key is sent once: a joining node answers "sealed" until it has joined, and a second key in that time
        confuses it."""
        sent = False

        def unsealed():
            nonlocal sent
            status = node.call("GET", "sys/seal-status")[1]
            if status.get("initialized") and status.get("sealed") and not sent:
                sent = True
                node.call("PUT", "sys/unseal", {"key": self.key}, timeout=30)
            return status.get("initialized") and not status.get("sealed")

        reached(unsealed, f"{node.name} is unsealed", 40)

    def active(self):
        return next((n for n in self.nodes if n.is_active()), None)

    def wait_active(self, but=None, seconds=40):
        return reached(
            lambda: next((n for n in self.nodes if n is not but and n.is_active()), None), "a node is active", seconds
        )

    def servers(self):
        a = self.active()
        status, doc = a.call("GET", "sys/storage/raft/configuration", token=self.root) if a else (0, None)
        return doc["data"]["config"]["servers"] if status == 200 else []

    def voters(self):
        return sum(1 for s in self.servers() if s["voter"])

    def calm(self):
        """All three nodes are in step by autopilot's word."""
        a = self.active()
        status, doc = a.call("GET", "sys/storage/raft/autopilot/state", token=self.root) if a else (0, None)
        return status == 200 and doc["data"]["healthy"] and len(doc["data"]["servers"]) == 3

    def version(self):
        return self.nodes[0].call("GET", "sys/seal-status")[1]["version"]

    def stop(self):
        for n in self.nodes:
            if n.server.runs():
                n.server.kill()
