/* Where a Secret comes from (safety 22): Secret → whoever owns or writes it → ExternalSecret → its store → the server behind that. What is
 * found is told to the one who asks, who knows which server would close a circle. Only names, kinds and addresses are read: values of
 * Secrets are not looked at. Sources: external-secrets.io (ownerReferences, target.name, secretStoreRef), the Vault Secrets Operator
 * (secrets.hashicorp.com), bank-vaults' annotation vault.security.banzaicloud.io/vault-addr, Sealed Secrets, cert-manager. */
#ifndef FERRYMAN_MIGRATE_SECRET_TRACE_H
#define FERRYMAN_MIGRATE_SECRET_TRACE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "migrate/op.h"

struct json_t;
struct run;

enum trace_end {
    TRACE_OWN,     /* by hand, or by what keeps no store: it is in the cluster alone */
    TRACE_STORE,   /* from the store below */
    TRACE_UNKNOWN, /* it could not be followed to its end; `why` */
    TRACE_MISSING, /* there is no such Secret */
};

struct trace {
    char what[160];     /* "the node-stage secret of class x", given */
    char ns[256], name[256];
    enum trace_end end;
    char way[512];      /* "ExternalSecret a → ClusterSecretStore b", clean; "" */
    char provider[64];  /* vault, aws, gcpsm, …; "" */
    char server[512];   /* "http://vault.vault:8200"; "" if the store does not say */
    char why[512];
};

#define TRACES_MAX 32

struct trace_list {
    struct trace list[TRACES_MAX];
    size_t n;
};

/* One more Secret to be followed, unless it is there or there are too many. */
void trace_add(struct trace_list *l, const char *what, const char *ns, const char *name);
/* The Secrets that a storage class names (csi.storage.k8s.io/…-secret-name); ns, claim: what ${pvc.namespace} and ${pvc.name} stand for. */
void trace_add_class(struct trace_list *l, const struct json_t *class, const char *ns, const char *claim);
/* The Secrets that a pod spec mounts or takes its environment from; what: "vault-backup (cronjob)". */
void trace_add_pod(struct trace_list *l, const struct json_t *pod_spec, const char *ns, const char *what);
/* "ExternalSecret a → ClusterSecretStore b, vault at http://…", or why it is not known. */
void trace_say(const struct trace *t, struct buf *out);

/* Appends a job that follows them all, and then has them judged: the judge appends the result; OP_REFUSE stops the phase. The list (from
 * MEM_NEW) is taken over; operations before it in the same script may add to it. */
struct op *script_secret_trace(struct script *s, const char *id, const char *what, struct trace_list *list,
                               enum op_answer (*judge)(struct run *r, const struct trace_list *l, void *data, struct buf *reason), void *data,
                               void (*drop)(void *data));

/* ---- Pure parts ---- */

/* Who made it: kind and name of its owner ("ExternalSecret"); an ExternalSecret that is not the owner is told by its field manager or label,
 * without a name ("" then). False: nobody that is known. */
bool trace_maker(const struct json_t *secret, char *kind, size_t kind_size, char *name, size_t name_size);
/* The ExternalSecret of a list that is called `name`, or writes the Secret `secret` (name ""); NULL. */
const struct json_t *trace_external(const struct json_t *list, const char *name, const char *secret);
/* Its i-th store: kind (SecretStore or ClusterSecretStore) and name; false: no more. */
bool trace_store_ref(const struct json_t *external, size_t i, const char **ret_kind, const char **ret_name);
/* Provider and server of a store document. */
void trace_store(const struct json_t *store, struct trace *t);

/* Which service of which namespace a URL leads to, from inside the cluster: "http://vault-active.vault.svc:8200" → vault-active, vault;
 * "vault-0.vault-internal.vault.svc" → vault-internal, vault. A host of one word is in the namespace `from` (NULL: outside). */
enum trace_where {
    TRACE_OUTSIDE, /* a public name or an address */
    TRACE_PERHAPS, /* "vault.lan": a service of that namespace, or a name of two words */
    TRACE_INSIDE,
};
enum trace_where trace_service(const char *url, const char *from, char *service, size_t service_size, char *ns, size_t ns_size);

#endif
