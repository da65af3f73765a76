/* The plan file (doc/plan.md): what an operator writes down before anything moves. Reading it checks it whole: every fault is
 * reported at once as FILE:LINE:COLUMN with the nearest known word. doc/plan.md documents the keys.
 *
 * A kind of workload is one file (plan_postgres.c, plan_raft.c) with one `struct plan_kind`; a third is added by adding a file
 * and its line in plan_kinds.c. */
#ifndef FERRYMAN_MIGRATE_PLAN_H
#define FERRYMAN_MIGRATE_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "migrate/plan_fields.h"

struct plan_claim {
    char *name;
    int64_t size; /* bytes */
    struct plan_pairs annotations;
    char *apply;  /* console or external */
};

struct plan_http {
    char *url;
    int64_t expect; /* HTTP status */
    char *body;     /* text that must occur in the body; NULL: not asked for */
};

struct plan_login {
    char *user, *secret, *key;
};

struct plan_encrypt {
    bool none;
    char *passphrase_file, *reason;
};

/* kind: postgres-dump-restore */
struct plan_postgres {
    char *deployment, *volume;
    struct plan_claim claim;
    struct plan_strings quiesce; /* kind/name */
    struct {
        char *via; /* direct or port-forward */
        char *conninfo, *database, *password_file;
        int64_t port;
        char *identifier; /* pinned system identifier of the source; NULL: not pinned */
    } postgres;
    struct {
        char *strategy, *directory;
        struct plan_encrypt encrypt;
    } dump;
    struct plan_strings restart_for_preload, reindex;
    struct {
        char *drift;               /* none, patch, minor, any */
        struct plan_strings rows;  /* "all" alone, or tables */
        struct plan_strings hash;  /* contents compared too: "all" alone, or tables as schema.table */
        struct plan_login login;
    } verify;
    struct plan_items http; /* struct plan_http */
    int64_t retain_ms;
};

/* kind: raft-rolling */
struct plan_raft {
    char *statefulset;
    struct {
        char *via; /* kube-proxy or direct */
        int64_t port;
        char *scheme, *token /* env, file or none */, *token_file, *write_probe, *ca_file, *tls_server_name;
        bool insecure;
        char *cluster_id;       /* pinned; NULL: not pinned */
        struct plan_pairs urls; /* direct: pod name → URL */
    } vault;
    char *template_apply;
    struct {
        int64_t duration_ms, sample_ms, max_gap_ms, fail_after_ms;
    } window;
    struct {
        char *directory;              /* NULL: snapshots/ in the state folder */
        struct plan_encrypt encrypt;
    } snapshot;
    struct plan_items http;
    int64_t retain_ms;
};

/* Who is told of phases and windows (notify.h): a command that gets JSON on its standard input, or a URL that it is POSTed to. */
struct plan_notify {
    struct plan_strings command;
    char *url;
};

/* Shared by the kinds (plan_encrypt.c). holds: what such a copy holds, for the fault that asks for a reason. */
void plan_encrypt_read(struct plan_reader *r, const struct yaml_node *node, struct plan_encrypt *e, const char *holds);
void plan_encrypt_drop(void *encrypt);

/* Whether the plan's window can be kept on a plan clock that runs `scale` times as fast as the real one (a sandbox's): a sample takes at
 * least 1 s of real time (design 2). ERR_USAGE says what to write. plan check cannot know the clock: the window asks before it begins. */
struct err *plan_raft_window_fits(const struct plan_raft *p, double scale) MUST_CHECK;

struct plan_kind;

struct plan_workload {
    char *name, *ns;
    const struct plan_kind *kind;
    void *spec; /* struct plan_postgres, struct plan_raft */
};

struct plan_kind {
    const char *name;
    size_t spec_size;
    const struct plan_field *fields;
    void (*defaults)(void *spec);
    /* What the field table cannot say; adds faults. */
    void (*check)(struct plan_reader *r, const struct yaml_node *node, const struct plan_workload *w);
    const char *(*object)(const struct plan_workload *w, char *buf, size_t size); /* "Deployment/immich-postgresql" */
};

extern const struct plan_kind plan_kind_postgres, plan_kind_raft;
extern const struct plan_kind *const plan_kinds[]; /* NULL-terminated */

struct plan {
    char *file;
    char *name, *context, *cluster;
    struct plan_strings source_classes;
    char *target_class;
    bool target_encrypted;
    struct plan_strings remaining; /* namespace/name */
    char *hours;
    struct plan_workload *workloads;
    size_t nworkloads;
    struct plan_strings snapshot_command;
    char *snapshot_daily;
    struct plan_strings backup_cronjobs;
    int64_t backup_days;
    char *alertmanager, *watchdog;
    struct plan_strings alerts_ignore;
    struct plan_items notify; /* struct plan_notify */
};

/* ERR_DATA with all faults, one a line, if there is any. */
struct err *plan_load(const char *file, struct plan **ret) MUST_CHECK;
/* The same from bytes; `file` is for messages and for relative paths. */
struct err *plan_parse(const char *text, size_t n, const char *file, struct plan **ret) MUST_CHECK;
void plan_free(struct plan *p);
/* Namespaces that the plan's objects live in, each once (malloc'd array of borrowed strings, NULL-terminated). */
const char **plan_namespaces(const struct plan *p) MUST_CHECK;
/* "08:00-22:00 Europe/London": whether the text is well-formed. */
bool plan_hours_valid(const char *text);

#endif
