/* The Kubernetes part of the sandbox: its state, and how objects are written by the API and by the controllers. */
#ifndef FERRYMAN_SANDBOX_KUBE_H
#define FERRYMAN_SANDBOX_KUBE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "sandbox/kube_kind.h"
#include "sandbox/sandbox.h"
#include "sandbox/status.h"
#include "sandbox/store.h"

struct json_t;
struct http_server;
struct http_request;
struct watch;
struct controllers;
struct kubelet;
struct bulk;
struct kube_plan;
struct kube_foreign;
struct kube_when;

/* What scenarios change in the way the API answers. */
struct kube_faults {
    bool slow, error_500, truncated, garbage, long_line, quiet, denied, token_expired, claims_pending;
};

struct kube {
    struct sandbox *sb;
    struct store *store;
    struct http_server *server;
    char *token, *viewer_token;
    char *ca_pem, *key_pem, *cert_pem;
    struct kube_faults faults;
    struct watch *watches; /* all that are open */
    struct controllers *controllers;
    struct kubelet *kubelet;
    struct bulk *bulk;
    struct kube_plan *plan;       /* faults, denials, audit (kube_faults.h) */
    struct kube_foreign *foreign; /* what other managers do (kube_foreign.h) */
    struct kube_when *when;       /* what happens together with what (kube_when.h) */
    uint64_t slow_seq;
    int64_t pretend_ms;    /* while the seed is written: the time that new objects show; 0: now */
};

extern const struct sandbox_part kube_part;

/* ---- Reading and writing objects ----
 * kube_get gives a parsed copy (a new reference) or NULL. The write functions take `doc` by reference (not over) and
 * leave in it what was stored. `manager` is who is noted in managedFields. */
struct json_t *kube_get(struct kube *k, enum kube_id kind, const char *ns, const char *name);
/* Creates: generateName, uid, creationTimestamp (kept if given), generation, defaults, managedFields. */
struct refusal *kube_create(struct kube *k, enum kube_id kind, struct json_t *doc, const char *manager, bool dry_run);
/* Replaces what is there: keeps uid and creation, raises generation when spec changed, notes the manager, does nothing
 * when nothing changed; an object that is terminating and has lost its last finalizer is removed. */
struct refusal *kube_update(struct kube *k, enum kube_id kind, struct json_t *doc, const char *manager, bool dry_run);
/* The same for controllers, who have just read the object: a refusal cannot happen and is dropped. */
void kube_write(struct kube *k, enum kube_id kind, struct json_t *doc, const char *manager);
void kube_add(struct kube *k, enum kube_id kind, struct json_t *doc, const char *manager);
/* As DELETE does it: sets deletionTimestamp, or removes at once where nothing holds the object. `policy` is
 * "Background", "Orphan", "Foreground" or NULL; grace_s < 0: the kind's own. ret_doc (may be NULL): the object as
 * answered (a new reference), ret_gone: whether it is removed. */
void kube_delete(struct kube *k, enum kube_id kind, const char *ns, const char *name, const char *policy,
                 int64_t grace_s, bool dry_run, struct json_t **ret_doc, bool *ret_gone);
/* An event about an object, as controllers (type "Normal" or "Warning") write them. */
void kube_event(struct kube *k, enum kube_id kind, const struct json_t *about, const char *component, const char *type,
                const char *reason, const char *fmt, ...) PRINTF_LIKE(7, 8);
int64_t kube_now(const struct kube *k);

/* ---- The API (kube_api.c and its verbs) -------------------------------------------------------------------------- */
struct api_call {
    struct kube *k;
    struct http_request *r;
    const struct kube_kind *kind;
    char *ns, *name, *sub, *rest; /* NULL where the path has none; rest: after the subresource, "/…" */
    const char *user;
    bool pretty;
    bool drop_answer; /* carried out, but the connection is closed before the answer */
    enum { AS_OBJECT, AS_TABLE, AS_PARTIAL } as;
};

/* The server's handler (arg: struct kube): who calls, what is asked, and on to the verb. */
void api_handle(void *arg, struct http_request *r);
/* Answers with a JSON text (compact); pretty-printed where the client is a human's. */
void api_reply_json(const struct api_call *c, unsigned code, const char *p, size_t n);
void api_reply_doc(const struct api_call *c, unsigned code, const struct json_t *doc);
void api_refuse(const struct api_call *c, struct refusal *f); /* takes f over */
/* The object with its kind and apiVersion, in the representation that was asked for. */
void api_reply_object(const struct api_call *c, unsigned code, const struct json_t *doc);
bool api_dry_run(const struct api_call *c, const struct json_t *options, struct refusal **ret);
/* Name of the field manager: ?fieldManager, else the user agent's first word. malloc'd. */
char *api_manager(const struct api_call *c);

/* One verb each: answer the call, or refuse it. */
void api_list(struct api_call *c);
void api_get(struct api_call *c);
void api_watch(struct api_call *c);
void api_create(struct api_call *c);
void api_update(struct api_call *c);
void api_patch(struct api_call *c);
void api_delete(struct api_call *c);
void api_delete_collection(struct api_call *c);
/* Subresources that are no view of the object: scale, log, proxy, eviction, binding; true if it answered. */
bool api_subresource(struct api_call *c);
/* Discovery, versions, health, openapi; true if it answered. */
bool api_static(struct api_call *c, const char *path);
/* SelfSubject*Review; true if it answered. */
bool api_review(struct api_call *c, const char *path);
/* Whether the user may; where not, the refusal. ns NULL: cluster-wide. */
struct refusal *api_allowed(const struct api_call *c, const char *verb);
/* That refusal, in the words of the API server. */
struct refusal *api_forbidden(const struct api_call *c, const char *verb);

/* ---- Representations --------------------------------------------------------------------------------------------- */
/* Appends the object as single answers show it: kind and apiVersion first. */
void represent_object(struct buf *out, const struct kube_kind *kind, struct slice json);
/* As it stands in a typed list (KIND_EVENT_NEW is converted). */
void represent_item(struct buf *out, const struct kube_kind *kind, struct slice json);
void represent_pretty(struct buf *out, struct slice json, unsigned indent);
/* Table: the columns, and one row for a version; now_ms for ages. include: "Metadata", "None" or "Object". */
void table_columns(struct buf *out, const struct kube_kind *kind);
void table_row(struct buf *out, const struct kube_kind *kind, const struct version *v, const char *include,
               int64_t now_ms);

/* ---- Watches ----------------------------------------------------------------------------------------------------- */
/* Ends every watch: with the ERROR event of a compacted history, or cleanly. */
void watch_end_all(struct kube *k, bool expired);
void watch_wake_all(struct kube *k);

/* ---- The rest of the part ---------------------------------------------------------------------------------------- */
/* Saved sandboxes (save.h). */
struct err *kube_save(struct sandbox *s, const char *folder, struct json_t *state) MUST_CHECK;
struct err *kube_load(struct kube *k) MUST_CHECK;
struct err *pki_create(struct kube *k) MUST_CHECK;
struct err *kubeconfig_write(struct kube *k) MUST_CHECK;
struct err *plan_file_write(struct sandbox *s) MUST_CHECK;
void seed_cluster(struct kube *k);
/* Adds bound claims with their volumes, as bytes, until there are `total`. */
void bulk_claims(struct kube *k, int64_t total);
/* From now on `per_second` modifications of claims; 0 ends it. */
void bulk_rate(struct kube *k, int64_t per_second);
void bulk_free(struct kube *k);

#endif
