/* What lock.c and lock_secret.c share, and what tests set. */
#ifndef FERRYMAN_MIGRATE_LOCK_PRIVATE_H
#define FERRYMAN_MIGRATE_LOCK_PRIVATE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "migrate/lock.h"

struct kube_ask;
struct timer;

/* For so long somebody who asks waits for a server that is away. */
#define LOCK_PATIENCE_MS 20000

/* How often it looks and writes (by timers), and the clock by which it judges. */
struct lock_pace {
    int64_t renew_ms, retry_ms, watch_ms, tick_ms;
    int64_t (*now)(void); /* mono ms */
};

/* One lock_save. */
struct lock_write {
    struct json_t *data; /* base64 by key, as the Secret has it */
    struct err *bad;     /* it cannot be written at all */
    void (*fn)(void *arg, const struct err *e);
    void *arg;
    struct lock_write *next;
};

struct lock_secret {
    struct json_t *doc;   /* as the server last said; NULL: absent or not read */
    bool read, fresh;     /* doc is what the server said; and it said so for the write under way */
    struct json_t *data;  /* what we last wrote or read */
    struct kube_ask *ask; /* of the write under way */
    struct kube_ask *load;
    void (*load_fn)(void *arg, const struct json_t *state, const struct err *e);
    void *load_arg;
    struct lock_write *first, *last;
    struct timer *retry, *load_retry;
    int64_t load_began_ms;
};

struct lock {
    struct lock_options o; /* its strings are our copies */
    struct lock_pace pace;
    char *name, *path, *collection;
    char *identity, *tail;  /* "ana@bastion/1f2e…"; what makes it ours: "@bastion/1f2e…" */
    enum lock_state state;
    struct json_t *doc;     /* the Lease as the server last said; NULL: absent */
    struct buf record;      /* its spec as text */
    int64_t record_ms;      /* when it was first seen so; 0: never seen */
    bool changed;           /* it was seen to change: record_ms is the time of a renewal, not of our first look */
    char *uid;              /* of the Lease that we acquired */
    int64_t sent_ms, confirmed_ms, asked_ms;
    struct kube_ask *ask, *confirm;
    struct timer *timer, *tick;
    struct err *why;        /* the last renewal that failed */
    struct buf holder;
    bool releasing;
    int conflicts;          /* answers 409 in a row */
    void (*release_fn)(void *arg);
    void *release_arg;
    void (*confirm_fn)(void *arg, const struct err *e);
    void *confirm_arg;
    struct lock_secret secret;
};

void lock_set_pace(struct lock *l, const struct lock_pace *pace);

/* lock_secret.c */
void lock_secret_init(struct lock *l);
void lock_secret_clear(struct lock *l);
void lock_secret_forget(struct lock *l, const void *arg);

#endif
