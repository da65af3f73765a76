"""The crash matrix of Vault: its windows are shortened, on a clock that runs fast; its end state is that of the set and of the cluster, as each
node tells it."""
from cluster import *
from roll import Api

NAME = "vault"
SCALE = 12
SANDBOX = ["--small-db", "--time-scale", str(SCALE)]
PHASES = ["preflight", "canary", "snapshot", "template", "pod-1", "window-1", "pod-2", "window-2", "step-down", "pod-last", "window-last", "verify",
          "cleanup"]
BACK = {"rollback": "window-1", "rollback-template": "pod-1"}  # a pod's way back, and the template's
ACTION = {"rollback-template": "rollback"}
HALFWAY = {"rollback-half": ("pod-1", "rollback", "swap")}  # killed in that phase from that step on, then taken back instead of ended
TYPED = {"template": "vault", "pod-1": "vault-0", "pod-2": "vault-1", "step-down": "vault-2", "pod-last": "vault-2", "cleanup": "home",
         "rollback": "vault-0", "rollback-template": "vault"}
PRELUDE, SKIPPED = {}, {}
# Steps that begin anew by design: a snapshot that was not proved is taken once more, the earlier one goes at the end (safety 17); a minute of
# writes is a minute without an interruption (safety 16).
ANEW = {"snapshot": {"snapshot"}, "pod-1": {"snapshot"}, "pod-2": {"snapshot"}, "pod-last": {"snapshot"}, "step-down": {"proof"}}
TOOLS = ("kubectl",)
NODES = ("vault-0", "vault-1", "vault-2")
WHY = "the crash matrix"
AT_THE_END = {"foreign-files": "nothing else", "audit-logs": "archived", "plaintext": "removed by hand"}


def asks(phase):
    """Gates that are passed over at the console, each with its reason."""
    return {"preflight": {"alerts": WHY, "backups": WHY}, "cleanup": AT_THE_END}.get(phase, {})


def overrides(phase):
    gates = {"alerts": WHY, "backups": WHY, **(AT_THE_END if phase == "cleanup" else {})}
    return [word for gate, why in gates.items() for word in ("--override", f"{gate}={why}")]


def plan_of(text, base):
    """The shortest window that a plan may have. Snapshots lie beside the journal, so that they are saved with it."""
    text = re.sub(r"window: \{[^}]*\}", f"window: {{ duration: 90s, sample: {SCALE}s, max_gap: 10m, fail_after: 36s }}", text)
    return re.sub(r"snapshot: \{ directory: \"[^\"]*\"", f'snapshot: {{ directory: "{base}/state/snapshots"', text)


def prepare(cluster, phase):
    if phase == "cleanup":  # its retention ends
        cluster.control("advance", "8d")


def forgive(case, states):
    """A snapshot that was not proved leaves a file; a pod that is taken back halfway may not have had new volumes."""
    for state in states:
        state["snapshots"] = min(state["snapshots"], 2)
        if "back" in case:
            state["phases"].pop(case["phase"])
            for name in [n for n in state["objects"] if n.startswith("PersistentVolume of ") and n.endswith(TYPED[case["phase"]])]:
                state["objects"][name] = [v for v in state["objects"][name] if v["phase"] == "Bound"]


# ---- The end state ----------------------------------------------------------------------------------------------------------

def raft_of(cluster):
    """The cluster as its nodes tell it, once autopilot finds it well and the followers have what the leader has."""
    api = Api(cluster.kubeconfig)
    with open(os.path.join(cluster.dir, "vault-token")) as f:
        token = f.read().strip()
    def told(node, path):
        code, body = api.vault(node, path, token=token)
        return json.loads(body) if code == 200 else None
    def level():
        state = next((s for s in (told(n, "sys/storage/raft/autopilot/state") for n in NODES) if s), None)
        servers = (state or {}).get("data", {}).get("servers", {})
        if not state or not state["data"]["healthy"] or len(servers) != len(NODES):
            return None
        indexes = [s["last_index"] for s in servers.values()]
        return state["data"] if max(indexes) - min(indexes) < 64 else None
    state = until(level, "the cluster is healthy and level", 60)
    leader = next(n for n in NODES if (told(n, "sys/leader") or {}).get("is_self"))
    peers = told(leader, "sys/storage/raft/configuration")["data"]["config"]["servers"]
    def health(node):
        body = json.loads(api.vault(node, "sys/health?standbyok=true", token=token)[1])
        return {k: body.get(k) for k in ("initialized", "sealed", "removed_from_cluster", "version")}
    return leader, {"peers": sorted([p["node_id"], p["address"].split(".")[0], p["voter"]] for p in peers), "voters": len(state["voters"]),
                    "nodes": {n: health(n) for n in NODES}}


def end_state(cluster):
    records = cluster.journal()
    facts = facts_of(records, cluster.workload)
    leader, raft = raft_of(cluster)
    def turn(t):
        claims = json.loads(facts.get(f"pod.{t}.claims.new") or "[]")
        return {"name": facts.get(f"pod.{t}.name", ""), "claims": sorted([c["name"], c["class"]] for c in claims),
                "done": bool(facts.get(f"pod.{t}.done")), "window": bool(facts.get(f"window.{t}.done")), "node_id": facts.get(f"pod.{t}.node_id", "")}
    turns = {t: turn(t) for t in ("1", "2", "last")}
    seen = {k: stripped(facts.get(k, "")) for k in ("vault.product", "vault.version", "replicas", "set.class.old", "set.templates", "set.policy",
                                                    "ids.stable", "canary.claims", "step-down.from")}
    seen.update({k: bool(facts.get(k)) for k in ("set.manifest", "set.new.uid", "verify.done", "cleanup.done", "canary.done", "retain.until",
                                                 "no_way_back")})
    seen["leader"] = leader == "vault-2"  # which of the others is elected is not for us to say
    seen["leader proved"] = leader in (facts.get("leader.proved") or "")
    seen["criteria"] = {k: (json.loads(v) if v else {}).get("state") for k, v in facts.items() if k.startswith("criterion.")}
    objects = objects_of(cluster, "vault", "statefulsets,pvc,pods,leases,configmaps,secrets,jobs")
    objects.pop("Lease vault-lock", None)
    files = files_of(cluster)
    snapshots = [f for f in files if "/snapshots/" in f]
    return {"phases": phases_of(records), "objects": objects, "raft": raft, "turns": turns, "facts": seen,
            "alarms": cluster.control("alarms"), "files": [f for f in files if f not in snapshots], "snapshots": len(snapshots)}
