#include "ui/plan_help.h"

#include "ui/screen.h"

static const struct {
    const char *why, *yaml;
} pages[] = {
    [PLAN_HELP_WHOLE] = {
        "No plan: what is shown comes from the kubeconfig alone. A plan says which storage is to be left, which "
        "workloads go, and where "
        "their servers, alerts, applications and snapshots are listened to.",
        "plan: move-off-nfs\n"
        "context: home\n"
        "source: { storageClasses: [nfs-proxmox] }\n"
        "target: { storageClass: proxmox-lvm-encrypted }\n"
        "workloads:\n"
        "  - { name: vault, kind: raft-rolling, … }\n"
        "  - { name: immich-postgres, kind: postgres-dump-restore, … }\n"
        "alerts: { alertmanager: \"http://alertmanager:9093\" }",
    },
    [PLAN_HELP_RAFT] = {
        "The plan names no workload of kind raft-rolling, so no Vault or OpenBao is asked. With one, this screen "
        "shows leader, voters, "
        "lag, seals and claims of each node.",
        "workloads:\n"
        "  - name: vault\n"
        "    kind: raft-rolling\n"
        "    namespace: vault\n"
        "    statefulset: vault\n"
        "    vault: { via: kube-proxy, port: 8200, scheme: http, token: env }",
    },
    [PLAN_HELP_POSTGRES] = {
        "The plan names no workload of kind postgres-dump-restore, so no PostgreSQL is asked. With one, this screen "
        "shows databases, "
        "extensions, settings, activity and what runs for long.",
        "workloads:\n"
        "  - name: immich-postgres\n"
        "    kind: postgres-dump-restore\n"
        "    namespace: immich\n"
        "    deployment: immich-postgresql\n"
        "    volume: postgresql-persistent-storage\n"
        "    claim: { name: immich-pg-encrypted, size: 10Gi, apply: console }\n"
        "    dump: { directory: dumps, encrypt: { passphrase_file: ~/.ferryman-dump } }\n"
        "    postgres: { via: port-forward, database: immich }",
    },
};

static const char after[] =
        "ferryman plan check FILE says what is missing or misspelt; ferryman --plan FILE starts with it.";

const char *plan_help_yaml(enum plan_help which) {
    return pages[which].yaml;
}

const char *plan_help_why(enum plan_help which) {
    return pages[which].why;
}

void plan_help_draw(struct ui *ui, struct rect r, enum plan_help which) {
    int cols = r.cols > 100 ? 100 : r.cols - 2, y = r.y;
    y += section_text(ui, (struct rect){y, r.x + 2, r.rows, cols}, STYLE_NORMAL, slice_of(pages[which].why)) + 1;
    y += section_text(ui, (struct rect){y, r.x + 4, r.y + r.rows - y, cols - 2}, STYLE_ACCENT,
                      slice_of(pages[which].yaml)) + 1;
    section_text(ui, (struct rect){y, r.x + 2, r.y + r.rows - y, cols}, STYLE_NORMAL, slice_of(after));
}
