/* Foreign changes of the fields that a run relies on. Fields, not objects: labels and annotations change all day.
 *
 * What is watched are the facts watch.* (run_watch_field). While it is on, each object is read every 3 s, one after another; a value
 * that is not as expected is read again half a second later, since an act of ours may just be on its way between the server and the fact.
 * Who wrote it is what managedFields say; a value that we ourselves wrote is no foreign change. */
#include "migrate/foreign.h"

#include <string.h>

#include "base/buf.h"
#include "base/json_doc.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/utf8.h"
#include "loop/timer.h"
#include "migrate/foreign_private.h"
#include "migrate/kube_ask.h"
#include "migrate/managers.h"
#include "migrate/run.h"

enum { FOREIGN_EVERY_MS = 3000, FOREIGN_AGAIN_MS = 500 };

/* What is known of one field between two looks. */
struct field_state {
    char *expected;      /* for which it was judged */
    bool suspect, told;
};

struct foreign {
    struct run *run;
    void (*on_change)(void *arg, const char *label, const char *expected, const char *found, const char *manager);
    void *arg;
    bool on;
    int64_t every_ms, again_ms;
    char **names;        /* facts of this round */
    size_t count, at;
    struct json_t *fact; /* the one that is asked for */
    struct map *states;  /* name of the fact → struct field_state */
    struct kube_ask *ask;
    struct timer *timer;
    bool again;          /* something is to be looked at again soon */
};

static void foreign_next(struct foreign *f);

static void state_drop(void *value)
{
    struct field_state *s = value;
    mem_free(s->expected);
    mem_free(s);
}

/* Expectations that have changed are judged from the beginning. */
static struct field_state *state_of(struct foreign *f, const char *name, const char *expected)
{
    struct field_state *s = map_gets(f->states, name);
    if (!s) {
        s = MEM_NEW(struct field_state);
        map_puts(f->states, name, s);
    }
    if (!str_eq(s->expected, expected)) {
        str_set(&s->expected, expected);
        s->suspect = s->told = false;
    }
    return s;
}

static void found_text(const struct json_t *value, struct buf *out)
{
    struct buf raw = {0};
    if (value)
        jd_dump(value, &raw);
    else
        buf_adds(&raw, "null");
    utf8_clean(out, (struct slice){raw.p, raw.len < 300 ? raw.len : 300});
    buf_free(&raw);
}

static bool is_expected(const struct json_t *value, const char *expected)
{
    struct json_t *want = NULL;
    err_ignore(jd_parse(expected, strlen(expected), "expected", &want), "then nothing equals it");
    bool same = value ? jd_equal(value, want) : jd_is_null(want);
    jd_free(want);
    return same;
}

/* With texts of its own: the callback may turn us off. */
static void foreign_tell(struct foreign *f, const struct json_t *value, const struct json_t *doc)
{
    struct buf found = {0}, manager = {0};
    char *label = mem_strdup(jd_str(f->fact, "label")), *expected = mem_strdup(jd_str(f->fact, "expected"));
    found_text(value, &found);
    if (doc)
        managers_owner(doc, jd_str(f->fact, "pointer"), &manager);
    f->on_change(f->arg, label, expected, buf_str(&found), buf_str(&manager));
    buf_free(&found);
    buf_free(&manager);
    mem_free(label);
    mem_free(expected);
}

/* doc NULL: the object is gone. */
static void foreign_judge(struct foreign *f, const char *name, const struct json_t *doc)
{
    const char *pointer = jd_str(f->fact, "pointer"), *expected = jd_str(f->fact, "expected");
    struct field_state *s = state_of(f, name, expected);
    const struct json_t *value = doc ? managers_field(doc, pointer) : NULL;
    if (is_expected(value, expected) || (doc && managers_owner_is(doc, pointer, "ferryman"))) {
        s->suspect = s->told = false;
    } else if (!s->suspect) {
        s->suspect = f->again = true;
    } else if (!s->told) {
        s->told = true;
        foreign_tell(f, value, doc);
    }
}

/* Nobody's answer says nothing: the next round asks again. */
static void foreign_on_answer(void *arg, int status, const struct json_t *doc, const struct err *e)
{
    struct foreign *f = arg;
    const char *name = f->names[f->at];
    kube_ask_free(f->ask);
    f->ask = NULL;
    if ((!e || status == 404) && run_has(f->run, name)) {
        struct json_t *now = run_fact_json(f->run, name);
        if (now && jd_equal(now, f->fact))
            foreign_judge(f, name, e ? NULL : doc);
        jd_free(now);
    }
    f->at++;
    foreign_next(f);
}

static void round_clear(struct foreign *f)
{
    for (size_t i = 0; i < f->count; i++)
        mem_free(f->names[i]);
    mem_free(f->names);
    f->names = NULL;
    f->count = f->at = 0;
    jd_free(f->fact);
    f->fact = NULL;
}

static void foreign_next(struct foreign *f)
{
    for (; f->on && f->at < f->count; f->at++) {
        jd_free(f->fact);
        f->fact = run_fact_json(f->run, f->names[f->at]);
        const char *path = jd_str(f->fact, "path");
        if (!path || !jd_str(f->fact, "pointer") || !jd_str(f->fact, "expected") || !jd_str(f->fact, "label"))
            continue;
        f->ask = kube_ask_new(f->run->kube, "GET", path, NULL, 0, foreign_on_answer, f);
        return;
    }
    round_clear(f);
    if (f->on)
        timer_start(f->timer, f->again ? f->again_ms : f->every_ms, 0);
}

static void foreign_round(void *arg)
{
    struct foreign *f = arg;
    struct slice name;
    const char *value;
    size_t it = 0;
    round_clear(f);
    f->again = false;
    while (run_each_fact(f->run, &it, &name, &value)) {
        if (!slice_starts(name, "watch.") || *value == '\0')
            continue;
        f->names = mem_reallocarray(f->names, f->count + 1, sizeof *f->names);
        f->names[f->count++] = slice_dup(name);
    }
    foreign_next(f);
}

void foreign_turn(struct foreign *f, bool on)
{
    if (f->on == on)
        return;
    f->on = on;
    kube_ask_free(f->ask);
    f->ask = NULL;
    round_clear(f);
    map_clear(f->states, state_drop);
    timer_stop(f->timer);
    if (on)
        timer_start(f->timer, 0, 0); /* what was changed between two phases is seen at once */
}

void foreign_pace(struct foreign *f, int64_t every_ms, int64_t again_ms)
{
    f->every_ms = every_ms;
    f->again_ms = again_ms;
}

struct foreign *foreign_new(struct run *r,
                            void (*on_change)(void *arg, const char *label, const char *expected, const char *found,
                                              const char *manager),
                            void *arg)
{
    struct foreign *f = MEM_NEW(struct foreign);
    f->run = r;
    f->on_change = on_change;
    f->arg = arg;
    f->every_ms = FOREIGN_EVERY_MS;
    f->again_ms = FOREIGN_AGAIN_MS;
    f->states = map_new();
    f->timer = timer_new(r->loop, foreign_round, f);
    return f;
}

void foreign_free(struct foreign *f)
{
    if (!f)
        return;
    foreign_turn(f, false);
    map_free(f->states, state_drop);
    timer_free(f->timer);
    mem_free(f);
}
