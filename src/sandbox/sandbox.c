/* The life of the sandbox: its parts come up one after the other, things are held until they are ready, and everything
 * goes down in the reverse order. */
#include "sandbox/sandbox_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/json_doc.h"
#include "base/mem.h"
#include "loop/loop.h"
#include "loop/timer.h"
#include "sandbox/kube.h"

#define STOP_MS 10000

struct sandbox_state {
    char **holds;
    size_t hold_count, started;
    bool starting, ready, stopping;
    int exit_status;
    int64_t advanced_ms;
    struct hook {
        void (*fn)(void *arg);
        void *arg;
    } *hooks;
    size_t hook_count;
    struct {
        const struct scenario *which;
        bool on;
    } *scenarios;
    size_t scenario_count;
    struct timer *deadline;
    struct control *control;
};

int64_t sandbox_now_ms(const struct sandbox *s)
{
    return clock_plan_ms() + (s->state ? s->state->advanced_ms : 0);
}

void sandbox_on_advance(struct sandbox *s, void (*fn)(void *arg), void *arg)
{
    struct sandbox_state *st = s->state;

    st->hooks = mem_reallocarray(st->hooks, st->hook_count + 1, sizeof st->hooks[0]);
    st->hooks[st->hook_count++] = (struct hook){fn, arg};
}

/* DIR/clock: what an engine with this sandbox's kubeconfig makes its plan clock of: time scale in thousandths, its origin, advance. */
static struct err *write_clock(const struct sandbox *s)
{
    char *path = str_printf("%s/clock", s->dir);
    char *text = str_printf("%lld %lld %lld\n", (long long)(s->time_scale * 1000), (long long)s->clock_origin_ms,
                            (long long)s->state->advanced_ms);
    struct err *e = file_write_durable(path, text, strlen(text), 0600);

    free(path);
    free(text);
    return e;
}

void sandbox_advance(struct sandbox *s, int64_t ms)
{
    s->state->advanced_ms += ms;
    struct err *e = write_clock(s);
    if (e)
        fprintf(stderr, "ferryman-sandbox: %s\n", err_text(e));
    err_free(e);
    for (size_t i = 0; i < s->state->hook_count; i++)
        s->state->hooks[i].fn(s->state->hooks[i].arg);
}

/* ---- Holding ----------------------------------------------------------------------------------------------------- */

static void say_ready(struct sandbox *s)
{
    struct err *e = plan_file_write(s);

    if (!e)
        e = write_clock(s);
    if (e) {
        sandbox_fail(s, e);
        return;
    }
    s->state->ready = true;
    puts("ready");
    fflush(stdout);
}

/* Nothing is held: the program is ready, or at its end. */
static void settle(void *arg)
{
    struct sandbox *s = arg;
    struct sandbox_state *st = s->state;

    if (st->hold_count > 0 || st->starting)
        return;
    if (st->stopping)
        loop_stop(s->loop);
    else if (!st->ready)
        say_ready(s);
}

void sandbox_hold(struct sandbox *s, const char *what)
{
    struct sandbox_state *st = s->state;

    st->holds = mem_reallocarray(st->holds, st->hold_count + 1, sizeof(st->holds[0]));
    st->holds[st->hold_count++] = mem_strdup(what);
}

void sandbox_release(struct sandbox *s, const char *what)
{
    struct sandbox_state *st = s->state;

    for (size_t i = 0; i < st->hold_count; i++) {
        if (str_eq(st->holds[i], what)) {
            free(st->holds[i]);
            st->holds[i] = st->holds[--st->hold_count];
            break;
        }
    }
    loop_defer(s->loop, settle, s);
}

bool sandbox_stopping(const struct sandbox *s)
{
    return s->state->stopping;
}

void sandbox_fail(struct sandbox *s, struct err *e)
{
    fprintf(stderr, "ferryman-sandbox: %s\n", err_text(e));
    s->state->exit_status = err_exit_status(e);
    err_free(e);
    sandbox_stop(s);
}

int sandbox_exit_status(const struct sandbox *s)
{
    return s->state->exit_status;
}

/* ---- Scenarios --------------------------------------------------------------------------------------------------- */

static void scenarios_collect(struct sandbox_state *st)
{
    for (size_t p = 0; sandbox_parts[p]; p++) {
        for (size_t i = 0; i < sandbox_parts[p]->scenario_count; i++) {
            st->scenarios = mem_reallocarray(st->scenarios, st->scenario_count + 1, sizeof st->scenarios[0]);
            st->scenarios[st->scenario_count].which = &sandbox_parts[p]->scenarios[i];
            st->scenarios[st->scenario_count++].on = false;
        }
    }
}

struct err *scenario_set(struct sandbox *s, const char *name, bool on)
{
    struct sandbox_state *st = s->state;

    for (size_t i = 0; i < st->scenario_count; i++) {
        if (!str_eq(st->scenarios[i].which->name, name))
            continue;
        if (st->scenarios[i].on == on)
            return NULL;
        struct err *e = st->scenarios[i].which->set(s, on);
        if (!e)
            st->scenarios[i].on = on;
        return e;
    }
    return err_new(ERR_USAGE, "no scenario \"%s\": `scenarios` lists them", name);
}

void scenario_each_on(const struct sandbox *s, void (*add)(struct json_t *list, struct json_t *name), struct json_t *list)
{
    for (size_t i = 0; i < s->state->scenario_count; i++)
        if (s->state->scenarios[i].on)
            add(list, jd_string(s->state->scenarios[i].which->name));
}

/* The hazards that were planted in a saved sandbox are planted again. */
static struct err *scenarios_load(struct sandbox *s)
{
    const struct json_t *on = s->saved ? jd_member(s->saved, "scenarios") : NULL;
    struct err *e = NULL;

    for (size_t i = 0; i < jd_len(on) && !e; i++)
        e = scenario_set(s, jd_string_value(jd_at(on, i)), true);
    return e;
}

void scenario_list(const struct sandbox *s, struct buf *out)
{
    for (size_t i = 0; i < s->state->scenario_count; i++) {
        const struct scenario *c = s->state->scenarios[i].which;
        buf_printf(out, "%-36s %-3s  %s\n", c->name, s->state->scenarios[i].on ? "on" : "off", c->doc);
    }
}

void sandbox_status(const struct sandbox *s, struct buf *out)
{
    const struct sandbox_state *st = s->state;
    char now[40];

    buf_printf(out, "%s\n", st->stopping ? "stopping" : st->ready ? "ready" : "starting");
    for (size_t i = 0; i < st->hold_count; i++)
        buf_printf(out, "waits for %s\n", st->holds[i]);
    buf_printf(out, "now %s\n", clock_format_utc(sandbox_now_ms(s), now, sizeof now));
    buf_printf(out, "time scale %g\n", s->time_scale);
    for (size_t i = 0; i < st->scenario_count; i++)
        if (st->scenarios[i].on)
            buf_printf(out, "scenario %s on\n", st->scenarios[i].which->name);
}

/* ---- Start and end ----------------------------------------------------------------------------------------------- */

struct err *sandbox_start(struct sandbox *s)
{
    struct sandbox_state *st = s->state = MEM_NEW(struct sandbox_state);
    struct err *e = NULL;

    st->starting = true;
    st->advanced_ms = s->saved ? jd_num(s->saved, "advanced_ms", 0) : 0;
    scenarios_collect(st);
    for (; sandbox_parts[st->started] && !e; st->started++)
        e = sandbox_parts[st->started]->start(s);
    if (!e)
        e = scenarios_load(s);
    if (!e)
        e = control_new(s, &st->control);
    st->starting = false;
    loop_defer(s->loop, settle, s);
    return e;
}

static void give_up(void *arg)
{
    struct sandbox *s = arg;

    for (size_t i = 0; i < s->state->hold_count; i++)
        fprintf(stderr, "ferryman-sandbox: %s did not end in time\n", s->state->holds[i]);
    loop_stop(s->loop);
}

void sandbox_stop(struct sandbox *s)
{
    struct sandbox_state *st = s->state;

    if (st->stopping)
        return;
    st->stopping = true;
    while (st->hold_count > 0)
        free(st->holds[--st->hold_count]);
    control_free(st->control);
    st->control = NULL;
    while (st->started > 0) {
        const struct sandbox_part *p = sandbox_parts[--st->started];
        if (p->stop)
            p->stop(s);
    }
    st->deadline = timer_new(s->loop, give_up, s);
    timer_start(st->deadline, STOP_MS, 0);
    loop_defer(s->loop, settle, s);
}

void sandbox_clear(struct sandbox *s)
{
    struct sandbox_state *st = s->state;

    loop_undefer(s->loop, s);
    while (st->hold_count > 0)
        free(st->holds[--st->hold_count]);
    timer_free(st->deadline);
    free(st->holds);
    free(st->hooks);
    free(st->scenarios);
    free(st);
    s->state = NULL;
}
