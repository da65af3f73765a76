/* List + watch of one kind (in one namespace or cluster-wide), for ever: paging (500), bookmarks, re-watch from the
 * last resourceVersion, 410 in both forms, 429 with Retry-After, 500s, backoff with jitter and no end, streams that
 * fall silent. The rules are those of client-go's tools/cache/reflector.go; tests/wire has what real servers said.
 *
 * Memory is bounded by one object: bodies are cut by json_splitter and each object's bytes are handed over at once; an
 * object or event of more than 8 MiB is an error.
 *
 * No reflector may be freed inside a reflector's callback: loop_defer it. */
#ifndef FERRYMAN_CLIENT_KUBE_REFLECTOR_H
#define FERRYMAN_CLIENT_KUBE_REFLECTOR_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

struct kube_client;
struct kube_reflector;

enum kube_reflector_state {
    KUBE_STARTING,  /* nothing answered yet */
    KUBE_LIVE,      /* listed, and the watch runs */
    KUBE_LISTING,   /* (again) listing; what was known before stays until the list is whole */
    KUBE_BACKOFF,   /* failed; error and next_try_ms say why and when */
    KUBE_DENIED,    /* 403, or 404: the server has no such resource; tried again every 60 s */
};

struct kube_reflector_status {
    enum kube_reflector_state state;
    /* mono: last event, bookmark, page or proof by the canary while the watch is open; 0: never. Bookmarks come once a
     * minute, so without the canary a fact of 50 s could not be told from a connection that died 50 s ago. Over HTTP/2
     * the canary goes on the watch's own connection; over HTTP/1.1 it does not, and counts only as long as the watch
     * itself was heard in the last 75 s. In both cases a watch that had bookmarks and then was silent for 150 s is
     * given up, and one that never said a word is checked when it ends (kube_reflector_check.c). */
    int64_t last_ok_ms;
    int64_t next_try_ms;       /* mono; 0 if none */
    const struct err *error;   /* borrowed; NULL when well */
    uint64_t lists, watches, events, unreadable; /* counted since the start; unreadable: on_object gave an error */
};

struct kube_reflector_events {
    /* A whole list follows. A list that fails in the middle has no end: the next one begins anew. */
    void (*on_list_begin)(void *arg);
    /* One object of a list, or of an ADDED/MODIFIED (deleted false) or DELETED event. Bytes are valid during the call.
     * An error (taken over) marks this object as unreadable: it is logged, counted, and the rest goes on. */
    struct err *(*on_object)(void *arg, struct slice json, bool deleted);
    void (*on_list_end)(void *arg);                   /* the list was whole: what it did not name is gone */
    /* On every change of state or error, and about once a second while last_ok moves. */
    void (*on_status)(void *arg, const struct kube_reflector_status *s);
};

/* Tests shorten these; 0 is what stands behind. */
struct kube_reflector_pace {
    unsigned page;             /* objects: 500 */
    unsigned watch_s;          /* timeoutSeconds: random in 180..230, below what load balancers cut (Azure: 240 s) */
    int64_t silence_ms;        /* no event and no bookmark since the last bookmark: 150 s */
    int64_t open_ms;           /* no answer to a watch: 30 s */
    int64_t short_ms;          /* a watch that ends sooner without an event is a failure: 1 s */
    int64_t denied_ms;         /* 60 s */
    int64_t first_backoff_ms, cap_backoff_ms; /* net/backoff.h */
};

struct kube_reflector_options {
    const char *group_path;    /* "/api/v1", "/apis/apps/v1" */
    const char *resource;      /* "persistentvolumeclaims" */
    const char *ns;            /* NULL: all namespaces */
    const char *selector;      /* appended to the query, e.g. "fieldSelector=involvedObject.name%3Dx"; NULL: none */
    struct kube_reflector_pace pace;
};

/* Starts at the end of this turn. Copies o and ev. */
struct kube_reflector *kube_reflector_new(struct kube_client *c, const struct kube_reflector_options *o,
                                          const struct kube_reflector_events *ev, void *arg);
/* Forgets the backoff and tries now (the operator asked). */
void kube_reflector_poke(struct kube_reflector *r);
const struct kube_reflector_status *kube_reflector_status(const struct kube_reflector *r);
void kube_reflector_free(struct kube_reflector *r);

#endif
