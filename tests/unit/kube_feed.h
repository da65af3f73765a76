/* Feeds recorded or made-up answers of an API server to the listeners of a Kubernetes source that has no client: the
 * way of the bytes through json_splitter, parsers and judgement into the world is the engine's own. */
#ifndef FERRYMAN_TESTS_KUBE_FEED_H
#define FERRYMAN_TESTS_KUBE_FEED_H

#include "base/buf.h"
#include "base/str.h"
#include "source/kube_source_private.h"

struct kube_feed {
    struct world *world;
    struct kube_source *source;
    unsigned bookmarks, errors, unreadable;
    struct buf last_error; /* of an ERROR event: "410 Expired" */
};

/* o may lack loop, world and config; its lists may be NULL. */
struct kube_feed *kube_feed_new(const struct kube_source_options *o);
void kube_feed_free(struct kube_feed *f);
/* The listener of a kind ("PersistentVolumeClaim"), made when it is first asked for; NULL if the kind is none of ours.
 */
struct kube_listener *kube_feed_listener(struct kube_feed *f, struct slice kind);
/* Value of the first "kind" in a body, without "List". */
struct slice kube_feed_kind(struct slice body);
bool kube_feed_is_list(struct slice body);
/* A whole list body, in pieces of `step` bytes. */
void kube_feed_list(struct kube_feed *f, struct slice body, size_t step);
/* One line of a watch. Returns its type: ADDED, MODIFIED, DELETED, BOOKMARK, ERROR. */
const char *kube_feed_event(struct kube_feed *f, struct slice line);
/* One object by itself, as if it stood in a watch. */
void kube_feed_object(struct kube_feed *f, const char *kind, const char *json, bool deleted);
/* "table ns/name key=UID column=value …", the columns that tests/wire/README.md names; absent cells are left out. */
void kube_feed_row(const struct row *r, struct buf *out);

#endif
