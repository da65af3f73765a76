/* The parts of a reflector: kube_reflector.c decides what happens next; kube_reflector_list.c, kube_reflector_watch.c
 * and kube_reflector_check.c run one list, watch or check and say how it ended. */
#ifndef FERRYMAN_CLIENT_KUBE_REFLECTOR_PRIVATE_H
#define FERRYMAN_CLIENT_KUBE_REFLECTOR_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"
#include "client/kube_client_private.h"
#include "client/kube_reflector.h"
#include "net/backoff.h"

struct http_result;
struct json_splitter;
struct kube_request;
struct timer;

enum {
    REFLECTOR_SLACK_S = 10, /* after timeoutSeconds the server should have ended a watch */
    REFLECTOR_PIECE_MAX = 5 * 1024 * 1024, /* etcd stores 1.5 MiB an object; in JSON that is two or three times more */
    REFLECTOR_RV_SIZE = 64,
    REFLECTOR_LOGGED_MAX = 5, /* unreadable objects named in the log for each list or watch */
};

/* What the last line of a watch says about going on. */
enum watch_end { WATCH_ENDED, WATCH_EXPIRED, WATCH_THROTTLED, WATCH_BROKEN };

struct kube_reflector {
    struct kube_client *client;
    struct loop *loop;
    struct kube_reflector_events ev;
    void *arg;
    char *path;                /* of the collection */
    char *selector;
    struct kube_reflector_pace pace;
    struct kube_reflector_status status;
    struct err *error;         /* status.error */
    int64_t notified_ms;
    struct backoff backoff;
    struct timer *retry;
    bool retry_watch;          /* what the retry does: watch again, else list */
    bool retry_asked;          /* the server said how long to wait */
    unsigned denials;          /* since it was live */
    struct kube_watcher watcher;
    struct kube_request *request;
    struct json_splitter *splitter;
    unsigned logged;
    char rv[REFLECTOR_RV_SIZE]; /* to watch from; "" if a list is needed */

    struct {
        char *next;            /* continue token of the next page, NULL for the first */
        char rv[REFLECTOR_RV_SIZE]; /* of the first page */
        bool rest_seen;        /* of this page */
        char *token;           /* continue of this page */
        bool begun;            /* on_list_begin was called */
        unsigned expired;      /* times in a row that a continue token had expired */
    } list;

    struct {
        bool open;             /* the head has come */
        int64_t since_ms, heard_ms; /* mono */
        uint64_t events;       /* of this watch, with bookmarks */
        bool bookmarked;       /* it has had a bookmark: more are due */
        enum watch_end end;
        unsigned expired;      /* watches in a row that said at once that our resourceVersion is too old */
        int64_t retry_after_ms;
        struct timer *silence;
    } watch;
};

/* kube_reflector.c */
void reflector_touch(struct kube_reflector *r);   /* something was heard: last_ok */
/* An answer has begun: heard, well, in this state. */
void reflector_answered(struct kube_reflector *r, enum kube_reflector_state state);
void reflector_set(struct kube_reflector *r, enum kube_reflector_state state, const struct err *e, int64_t next_try_ms);
void reflector_object(struct kube_reflector *r, struct slice json, bool deleted);
void reflector_list_now(struct kube_reflector *r);
void reflector_watch_now(struct kube_reflector *r);
/* Later, after a delay of at least asked_ms; e says why. */
void reflector_back_off(struct kube_reflector *r, bool watch, const struct err *e, int64_t asked_ms);
/* 403 and 404: a list in 60 s. True if it was one of them. */
bool reflector_denied(struct kube_reflector *r, int status, const struct err *e);
bool reflector_watch_was_good(const struct kube_reflector *r);
/* Ends what runs: request, splitter, timers of the watch. */
void reflector_stop(struct kube_reflector *r);
int64_t reflector_asked_ms(const struct http_result *result);

/* kube_reflector_list.c */
void reflector_list_start(struct kube_reflector *r);
void reflector_list_clear(struct kube_reflector *r);

/* kube_reflector_check.c: after a watch without a word: watches on, or lists again if the server went back in time. */
void reflector_check_start(struct kube_reflector *r);

/* kube_reflector_watch.c */
void reflector_watch_start(struct kube_reflector *r);
/* metadata.resourceVersion of an object or list; the rest is not looked at. False if there is none that fits. */
bool reflector_rv(struct slice json, char ret[REFLECTOR_RV_SIZE]);

#endif
