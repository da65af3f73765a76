/* What the files of the Kubernetes source share. Each family of kinds is one file with its `struct kube_kind`s; the
 * table of all is kube_kinds.c; kube_listener.c joins one kind, its reflector and its row of T_SOURCES. Tests feed the
 * listeners without a client. */
#ifndef FERRYMAN_SOURCE_KUBE_SOURCE_PRIVATE_H
#define FERRYMAN_SOURCE_KUBE_SOURCE_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/map.h"
#include "client/kube_parse.h"
#include "client/kube_reflector.h"
#include "source/claim_users.h"
#include "source/kube_source.h"
#include "source/source.h"

struct kube_account;
struct kube_listener;
struct kube_log;
struct kube_request;
struct timer;

enum kube_scope {
    KUBE_CLUSTER, /* has no namespace */
    KUBE_ALL,     /* of all namespaces; where that is denied, of the plan's */
    KUBE_PLAN,    /* of the plan's namespaces only */
};

struct kube_kind {
    const char *group_path, *resource;
    enum kube_scope scope;
    enum world_table table; /* T_COUNT: has no rows of its own */
    bool awaited;           /* claims are listed after it, so that each is judged once */
    bool waits;             /* the claims themselves */
    struct err *(*apply)(struct kube_listener *l, struct slice json, bool deleted);
    void (*begin)(struct kube_listener *l), (*end)(struct kube_listener *l); /* around a whole list; may be NULL */
};

extern const struct kube_kind *const kube_kinds[]; /* NULL-terminated, in the order in which they are started */
extern const struct kube_kind kube_kind_claims, kube_kind_volumes, kube_kind_classes, kube_kind_attachments,
    kube_kind_pods, kube_kind_deployments, kube_kind_statefulsets, kube_kind_cronjobs, kube_kind_jobs, kube_kind_nodes,
    kube_kind_csinodes, kube_kind_events, kube_kind_leases, kube_kind_endpoints, kube_kind_pdbs, kube_kind_quotas,
    kube_kind_hpas;

struct kube_listener {
    struct kube_source *source;
    const struct kube_kind *kind;
    char *ns;                    /* NULL: all */
    struct kube_reflector *reflector;
    struct source_row *row;
    uint32_t sweep;
    bool listed;                 /* a whole list has been seen: from now on changes are news */
    bool answered;               /* listed, or failed at least once */
    bool single;                 /* denied as a whole: the namespaces of the plan are listened to one by one */
    bool takes_over;             /* the whole is being listed after all: what single ones say no longer counts */
    struct kube_listener *whole; /* of a single one: the listener that was denied */
    int64_t objects;
    int64_t last_ok_ms;
    int64_t failed_ms;           /* mono, since when it fails; 0: it does not */
    bool told;                   /* the timeline says so */
};

struct kube_source {
    struct kube_source_options o; /* lists replaced by our own copies */
    struct kube_client *client;   /* NULL in tests */
    struct kube_arena arena;      /* of the object at hand */
    struct claim_users *users;
    struct map *mounted;          /* uids of claims that a workload of the plan was seen to use */
    struct map *drivers;          /* node name → text of its CSINode (nodes.c) */
    struct kube_listener **listeners;
    size_t nlisteners;
    struct map *by_key;           /* key in T_SOURCES → listener */
    struct source_row **off;
    size_t noff;
    struct world_reader *pass;    /* the claims that are still to be judged anew */
    struct timer *tick;
    int64_t started_ms;           /* mono */
    int64_t outage_ms;            /* mono, when most of the listeners were last seen to fail */
    bool outage;
    bool claims_started, cleaning;
    struct kube_account *account;
    struct kube_log *log;
    struct buf scratch[4];        /* texts of the row that is being made */
};

/* ---- kube_source.c ----------------------------------------------------------------------------------------------- */
/* Without client, reflectors and timers: rows come from kube_listener_* alone. */
struct kube_source *kube_source_bare(const struct kube_source_options *o);
bool kube_source_has_plan(const struct kube_source *s);
/* Whether "Kind/name" in ns is a workload of the plan; likewise a namespace of it. */
bool kube_source_plan_object(const struct kube_source *s, struct slice ns, struct slice object);
bool kube_source_plan_namespace(const struct kube_source *s, struct slice ns);
/* Every claim is judged anew, some in each turn of the loop. */
void kube_source_judge_all(struct kube_source *s);
/* Does at once what is left of that: for tests, which have no loop. */
void kube_source_settle(struct kube_source *s);
/* A listener of this kind has had its first answer, good or bad. */
void kube_source_answered(struct kube_source *s, const struct kube_kind *k);
struct cell kube_cell(int64_t v); /* KUBE_NONE: null */

/* ---- kube_listener.c --------------------------------------------------------------------------------------------- */
/* With its row, STARTING; kube_listener_start then lets its reflector run. */
struct kube_listener *kube_listener_new(struct kube_source *s, const struct kube_kind *kind, const char *ns);
void kube_listener_start(struct kube_listener *l);
void kube_listener_free(struct kube_listener *l, bool remove);
/* Its reflector's callbacks; arg is the listener. */
void kube_listener_begin(void *arg);
struct err *kube_listener_object(void *arg, struct slice json, bool deleted);
void kube_listener_end(void *arg);
void kube_listener_status(void *arg, const struct kube_reflector_status *st);
/* Lets the timeline know of a failure that lasts. */
void kube_listener_tell(struct kube_listener *l);
/* Puts the row there, or takes it away. */
void kube_listener_row(struct kube_listener *l, const struct kube_meta *m, const struct cell *cells, bool deleted);
struct kube_listener *kube_listener_of(const struct kube_source *s, const struct row *r);

/* ---- kube_claims.c ----------------------------------------------------------------------------------------------- */
void kube_claims_judge(struct kube_source *s, const struct row *claim); /* again, from what its row says */
void kube_claims_volume(struct kube_source *s, const struct row *old, const struct row *now);
void kube_claims_users_changed(void *arg, struct slice key);
/* Notes which claims of ns the object uses. */
void kube_claims_use(struct kube_source *s, const struct kube_meta *m, const struct claim_user *user,
                     const struct kube_texts *claims, const struct kube_texts *templates);

/* ---- kube_timeline.c --------------------------------------------------------------------------------------------- */
void kube_timeline_change(struct kube_source *s, enum world_table t, const struct row *old, const struct row *now);

/* ---- kube_account.c: the row "kube" of T_CREDENTIALS, "kube/api" of T_SOURCES, the cluster's uid ----------------- */
struct kube_account *kube_account_new(struct kube_source *s);
void kube_account_free(struct kube_account *a);
void kube_account_health(void *arg, const struct err *error);
void kube_account_identity(void *arg, const char *user, const char *groups, const char *method, int64_t expires_ms);
void kube_account_version(void *arg, const char *git_version);
void kube_account_alive(struct kube_account *a); /* some watch has proof that the server lives */
/* How long the server has been answering; -1 if it does not. */
int64_t kube_account_well_for_ms(const struct kube_account *a);
void kube_account_tick(struct kube_account *a);

/* ---- kube_log.c -------------------------------------------------------------------------------------------------- */
struct kube_log *kube_log_new(struct kube_source *s);
void kube_log_free(struct kube_log *l);
void kube_log_fetch(struct kube_log *l, const char *ns, const char *pod, const char *container);

#endif
