/* Where the objects of the sandbox's API lie: as bytes, one immutable version after the other.
 *
 * A version is the object's JSON without kind and apiVersion ("{"metadata":…}"), so that lists are made by joining
 * bytes and single objects by putting two members in front. Per kind the current versions lie in an array sorted by key
 * ("namespace/name", or "name"), and the last changes in a ring, from which watches read and with which a list of the
 * recent past (a `continue` token's) is put together. There is one counter of resource versions for everything. */
#ifndef FERRYMAN_SANDBOX_STORE_H
#define FERRYMAN_SANDBOX_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"
#include "sandbox/kube_kind.h"

struct json_t;
struct store;

struct version {
    uint64_t rv;
    size_t n;             /* bytes of JSON */
    unsigned refs;
    unsigned ns_len;      /* of the key; 0: cluster-wide */
    unsigned key_len;
    char data[];          /* key, NUL, JSON, NUL */
};

enum change { CHANGE_ADDED, CHANGE_MODIFIED, CHANGE_DELETED };

struct change_event {
    uint64_t rv;
    enum change type;
    struct version *now, *before; /* now: for DELETED the last object with the new rv; before: NULL for ADDED */
};

struct store *store_new(void);
void store_free(struct store *st);
uint64_t store_rv(const struct store *st);

/* A version never changes and lives while it is referred to: the store holds one reference, a watcher takes its own. */
const char *version_key(const struct version *v);
struct slice version_namespace(const struct version *v); /* empty if cluster-wide */
const char *version_name(const struct version *v);
struct slice version_json(const struct version *v);
struct version *version_ref(struct version *v);
void version_unref(struct version *v);
struct json_t *version_doc(const struct version *v); /* a new reference */

/* Current objects. The array of a kind is valid until the next change of that kind. */
struct version *store_get(const struct store *st, enum kube_id kind, const char *ns, const char *name); /* borrowed */
struct version *const *store_all(const struct store *st, enum kube_id kind, size_t *ret_count);
/* Index of the first key >= key; store_range gives what belongs to a namespace (NULL or "": all). */
size_t store_seek(const struct store *st, enum kube_id kind, const char *key);
void store_range(const struct store *st, enum kube_id kind, const char *ns, size_t *ret_from, size_t *ret_to);

/* Writes an object (metadata.name and .namespace say which): gives it the next resource version, which is also set in
 * doc, puts metadata into the API's order, and records ADDED or MODIFIED. Borrowed result. */
struct version *store_put(struct store *st, enum kube_id kind, struct json_t *doc);
/* The same for bytes that are ready, with rv = store_next_rv(st) written in them: to add very many objects. */
struct version *store_put_bytes(struct store *st, enum kube_id kind, const char *ns, const char *name, uint64_t rv,
                                const char *json, size_t n);
uint64_t store_next_rv(struct store *st);
/* After objects have been put in any order: where the counter goes on. */
void store_set_rv(struct store *st, uint64_t rv);
/* Removes it; the DELETED event carries `doc` (or the current object if NULL) with a new resource version. */
void store_del(struct store *st, enum kube_id kind, const char *ns, const char *name, struct json_t *doc);

/* The ring. Sequence numbers count changes of a kind from 0; what is below store_ring_first has been dropped. */
uint64_t store_ring_first(const struct store *st, enum kube_id kind);
uint64_t store_ring_end(const struct store *st, enum kube_id kind);
const struct change_event *store_ring_at(const struct store *st, enum kube_id kind, uint64_t seq);
/* Sequence of the first change after rv. */
uint64_t store_ring_after(const struct store *st, enum kube_id kind, uint64_t rv);
/* The oldest resource version from which history is complete. */
uint64_t store_oldest_rv(const struct store *st, enum kube_id kind);
/* Forgets all history: everything older than now is "too old". */
void store_compact(struct store *st);

/* Called after each change of any kind. Observers must not change the store in it (enqueue, defer). */
void store_observe(struct store *st, void (*fn)(void *arg, enum kube_id kind, const struct change_event *ev),
                   void *arg);

#endif
