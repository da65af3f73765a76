#include "tests/unit/kube_stage.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/json_reader.h"
#include "base/map.h"
#include "base/mem.h"
#include "client/kube_client.h"
#include "client/kube_client_private.h"
#include "client/kube_config.h"
#include "client/kube_reflector.h"
#include "loop/loop.h"
#include "loop/timer.h"
#include "tests/unit/tiny_http.h"

/* ---- The server -------------------------------------------------------------------------------------------------- */

void stage_say(struct script *s, const struct tiny_answer *a)
{
    assert_true(s->count < SCRIPT_MAX);
    s->answers[s->count++] = *a;
}

void stage_say_list(struct stage *w, const char *json)
{
    stage_say(&w->lists, &(struct tiny_answer){.body = json});
}

/* A watch that says this and stays open. */
void stage_say_watch(struct stage *w, const char *lines)
{
    stage_say(&w->watches, &(struct tiny_answer){.body = lines, .fate = TINY_OPEN});
}

bool stage_answer(void *arg, const struct tiny_request *rq, struct tiny_answer *ret)
{
    struct stage *w = arg;
    if (w->mute) {
        *ret = (struct tiny_answer){.fate = TINY_RESET};
        return true;
    }
    if (strcmp(rq->path, "/version") == 0) {
        *ret = (struct tiny_answer){.body = "{\"gitVersion\":\"v1.32.13\"}"};
        return true;
    }
    if (strcmp(rq->path, CLAIMS) != 0)
        return false;
    bool watch = strstr(rq->target, "watch=true") != NULL;
    struct script *s = watch ? &w->watches : &w->lists;
    snprintf(watch ? w->last_watch : w->last_list, sizeof w->last_list, "%s", rq->target);
    if (s->count == 0)
        *ret = watch ? (struct tiny_answer){.fate = TINY_OPEN} : (struct tiny_answer){.body = LIST("1", "", "")};
    else
        *ret = s->answers[s->used < s->count ? s->used : s->count - 1];
    s->used++;
    return true;
}

/* ---- The reader -------------------------------------------------------------------------------------------------- */

static void stage_on_begin(void *arg)
{
    struct stage *w = arg;
    w->begins++;
    w->mark++;
}

static char *name_of(struct slice json)
{
    struct json_reader j;
    struct slice key;
    char *name = NULL;
    json_reader_init(&j, json.p, json.n);
    json_enter_object(&j);
    while (json_next_key(&j, &key)) {
        if (!slice_is(key, "metadata")) {
            json_skip(&j);
            continue;
        }
        json_enter_object(&j);
        while (json_next_key(&j, &key)) {
            if (slice_is(key, "name"))
                name = slice_dup(json_string(&j));
            else
                json_skip(&j);
        }
    }
    json_reader_free(&j);
    return name;
}

static struct err *stage_on_object(void *arg, struct slice json, bool deleted)
{
    struct stage *w = arg;
    char *name = name_of(json);
    w->objects++;
    if (!name || (w->refuse && w->refuse-- > 0)) {
        mem_free(name);
        return err_new(ERR_PROTOCOL, "no name");
    }
    w->deletes += deleted;
    if (deleted)
        map_del(w->names, slice_of(name));
    else
        map_puts(w->names, name, (void *)w->mark);
    mem_free(name);
    return NULL;
}

static void stage_on_end(void *arg)
{
    struct stage *w = arg;
    size_t it = 0;
    struct slice key;
    void *mark;
    w->ends++;
    while (map_each(w->names, &it, &key, &mark))
        if ((size_t)mark != w->mark)
            map_del(w->names, key);
}

static void stage_on_status(void *arg, const struct kube_reflector_status *s)
{
    struct stage *w = arg;
    w->statuses++;
    if (s->state != KUBE_BACKOFF && s->state != KUBE_DENIED)
        return;
    w->worst = s->state;
    assert_non_null(s->error);
    snprintf(w->error, sizeof w->error, "%s", err_text(s->error));
}

const struct kube_reflector_events stage_events = {stage_on_begin, stage_on_object, stage_on_end, stage_on_status};

/* ---- The stage --------------------------------------------------------------------------------------------------- */

static void poll_want(void *arg)
{
    struct stage *w = arg;
    if (w->want && w->want(w))
        w->done = true;
}

int stage_setup(void **state)
{
    struct stage *w = MEM_NEW(struct stage);
    w->loop = loop_new();
    w->server = tiny_http_new(w->loop);
    tiny_http_handler(w->server, stage_answer, w);
    w->config.context = mem_strdup("home");
    w->config.server = mem_strdup(tiny_http_url(w->server));
    w->client = kube_client_new(w->loop, &w->config, NULL, NULL);
    w->names = map_new();
    w->poll = timer_new(w->loop, poll_want, w);
    timer_start(w->poll, 1, 1);
    *state = w;
    return 0;
}

int stage_teardown(void **state)
{
    struct stage *w = *state;
    kube_reflector_free(w->reflector);
    kube_client_free(w->client);
    tiny_http_free(w->server);
    timer_free(w->poll);
    loop_free(w->loop);
    map_free(w->names, NULL);
    mem_free(w->config.context);
    mem_free(w->config.server);
    mem_free(w);
    return 0;
}

void stage_start_paced(struct stage *w, struct kube_reflector_pace pace)
{
    struct kube_reflector_options o = {.group_path = "/api/v1", .resource = "persistentvolumeclaims", .pace = pace};
    o.pace.first_backoff_ms = pace.first_backoff_ms ? pace.first_backoff_ms : 10;
    o.pace.cap_backoff_ms = pace.cap_backoff_ms ? pace.cap_backoff_ms : 20;
    w->reflector = kube_reflector_new(w->client, &o, &stage_events, w);
}

void stage_start(struct stage *w)
{
    stage_start_paced(w, (struct kube_reflector_pace){0});
}

void stage_await(struct stage *w, bool (*want)(struct stage *w), const char *what)
{
    w->want = want;
    w->done = want(w);
    if (!loop_run_until(w->loop, &w->done, WAIT_MS))
        fail_msg("not reached: %s (state %d, error \"%s\", list %s, watch %s)", what,
                 (int)kube_reflector_status(w->reflector)->state, w->error, w->last_list, w->last_watch);
    w->want = NULL;
}
static enum kube_reflector_state state_of(struct stage *w)
{
    return kube_reflector_status(w->reflector)->state;
}

bool is_live(struct stage *w)
{
    return state_of(w) == KUBE_LIVE;
}

bool is_live_twice(struct stage *w)
{
    return is_live(w) && kube_reflector_status(w->reflector)->watches >= 2;
}

bool has_failed(struct stage *w)
{
    return w->worst == KUBE_BACKOFF;
}

bool is_denied(struct stage *w)
{
    return state_of(w) == KUBE_DENIED;
}

bool has_recovered(struct stage *w)
{
    return has_failed(w) && is_live(w);
}

bool has_relisted(struct stage *w)
{
    return w->ends >= 2 && is_live(w);
}

bool has_rewatched(struct stage *w)
{
    return w->watches.used >= 2 && is_live(w);
}

bool stage_knows(struct stage *w, const char *name)
{
    return map_gets(w->names, name) != NULL;
}

bool knows_c(struct stage *w)
{
    return stage_knows(w, "c");
}

bool lost_a(struct stage *w)
{
    return !stage_knows(w, "a");
}

void assert_in(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("\"%s\" is not in \"%s\"", part, text);
}
