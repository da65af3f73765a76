/* A reflector on a stage: a server that answers lists and watches from a script, and a reader that keeps the names it
 * was told of, as a source does. */
#ifndef FERRYMAN_TESTS_KUBE_STAGE_H
#define FERRYMAN_TESTS_KUBE_STAGE_H

#include <stdbool.h>
#include <stddef.h>

#include "client/kube_config.h"
#include "client/kube_reflector.h"
#include "tests/unit/tiny_http.h"

struct kube_client;
struct loop;
struct map;
struct timer;

#define CLAIMS "/api/v1/persistentvolumeclaims"
#define CLAIM(name, rv) "{\"metadata\":{\"name\":\"" name "\",\"resourceVersion\":\"" rv "\"}}"
#define LIST(rv, cont, items) \
    "{\"kind\":\"PersistentVolumeClaimList\",\"apiVersion\":\"v1\",\"metadata\":{\"resourceVersion\":\"" rv \
    "\"" cont "},\"items\":[" items "]}"
#define NEXT(token) ",\"continue\":\"" token "\",\"remainingItemCount\":3"
#define EVENT(type, object) "{\"type\":\"" type "\",\"object\":" object "}\n"
#define BOOKMARK(rv) \
    EVENT("BOOKMARK", "{\"kind\":\"PersistentVolumeClaim\",\"apiVersion\":\"v1\",\"metadata\":{\"resourceVersion\":\"" \
                      rv "\",\"creationTimestamp\":null},\"spec\":{\"resources\":{}},\"status\":{}}")
#define STATUS(code, reason, message) \
    "{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"metadata\":{},\"status\":\"Failure\",\"message\":\"" message \
    "\",\"reason\":\"" reason "\",\"code\":" #code "}"
#define EXPIRED EVENT("ERROR", STATUS(410, "Expired", "too old resource version: 473 (483)"))

enum { WAIT_MS = 10000, SCRIPT_MAX = 8 };

/* Answers in the order in which they are asked for; the last stays. */
struct script {
    struct tiny_answer answers[SCRIPT_MAX];
    int count, used;
};

struct stage {
    struct loop *loop;
    struct tiny_http *server;
    struct kube_config config;
    struct kube_client *client;
    struct kube_reflector *reflector;
    struct script lists, watches;
    struct map *names;   /* name -> mark of the list that named it */
    size_t mark;
    int begins, ends, objects, deletes, statuses, refuse;
    char last_watch[512], last_list[512];
    char error[512];     /* of the last BACKOFF or DENIED */
    enum kube_reflector_state worst; /* BACKOFF or DENIED if ever seen */
    bool (*want)(struct stage *w);
    bool mute;           /* whatever is asked: the connection is reset */
    bool done;
    struct timer *poll;
};

extern const struct kube_reflector_events stage_events;

void stage_say(struct script *s, const struct tiny_answer *a);
void stage_say_list(struct stage *w, const char *json);
void stage_say_watch(struct stage *w, const char *lines);
bool stage_answer(void *arg, const struct tiny_request *rq, struct tiny_answer *ret);

int stage_setup(void **state);
int stage_teardown(void **state);
void stage_start_paced(struct stage *w, struct kube_reflector_pace pace);
void stage_start(struct stage *w);
void stage_await(struct stage *w, bool (*want)(struct stage *w), const char *what);
bool is_live(struct stage *w);
bool is_live_twice(struct stage *w);
bool has_failed(struct stage *w);
bool is_denied(struct stage *w);
bool has_recovered(struct stage *w);
bool has_relisted(struct stage *w);
bool has_rewatched(struct stage *w);
bool stage_knows(struct stage *w, const char *name);
bool knows_c(struct stage *w);
bool lost_a(struct stage *w);
void assert_in(const char *text, const char *part);
#define AWAIT(w, want) stage_await(w, want, #want)

#endif
