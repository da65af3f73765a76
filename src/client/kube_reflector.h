/* List + watch of one kind (in one namespace or cluster-wide), for ever: paging (500), bookmarks, re-watch from the last
 * resourceVersion, 410 in both forms, 429 with Retry-After, 500s, backoff with jitter and no end, streams that fall silent.
 * Facts: facts/kube.md §1, facts/kube-observed.md §1.
 *
 * Memory is bounded by one object: bodies are cut by json_splitter and each object's bytes are handed over at once. */
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
    KUBE_DENIED,    /* 403; tried again every 60 s */
};

struct kube_reflector_status {
    enum kube_reflector_state state;
    int64_t last_ok_ms;        /* mono: last event, bookmark, page or proof by the canary on the same connection; 0: never */
    int64_t next_try_ms;       /* mono; 0 if none */
    const struct err *error;   /* borrowed; NULL when well */
    uint64_t lists, watches, events; /* counted since the start */
};

struct kube_reflector_events {
    void (*on_list_begin)(void *arg);                 /* a whole list follows */
    /* One object of a list, or of an ADDED/MODIFIED (deleted false) or DELETED event. Bytes are valid during the call. An
     * error (taken over) marks this object as unreadable: it is logged, counted, and the rest goes on. */
    struct err *(*on_object)(void *arg, struct slice json, bool deleted);
    void (*on_list_end)(void *arg);                   /* the list was whole: what it did not name is gone */
    void (*on_status)(void *arg, const struct kube_reflector_status *s);
};

struct kube_reflector_options {
    const char *group_path;    /* "/api/v1", "/apis/apps/v1" */
    const char *resource;      /* "persistentvolumeclaims" */
    const char *ns;            /* NULL: all namespaces */
    const char *selector;      /* appended to the query, e.g. "fieldSelector=involvedObject.name%3Dx"; NULL: none */
};

struct kube_reflector *kube_reflector_new(struct kube_client *c, const struct kube_reflector_options *o,
                                          const struct kube_reflector_events *ev, void *arg);
/* Forgets the backoff and tries now (the operator asked). */
void kube_reflector_poke(struct kube_reflector *r);
void kube_reflector_free(struct kube_reflector *r);

#endif
