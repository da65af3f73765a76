/* Two passes: the first finds for each act and each begun step the record that ends it, so that the second can tell both in
 * one line. What has no end is told as such: that is where a crash was. */
#include "journal_story.h"

#include <stdio.h>
#include <stdint.h>
#include <string.h>

#include "base/clock.h"
#include "base/json_doc.h"
#include "base/json_writer.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/utf8.h"

#define VALUE_SHOWN 72

struct event {
    struct json_t *record;
    int64_t at;
    char *by;     /* who, as far as it is known by then */
    size_t end;   /* number + 1 of the record that ends this one; 0: none */
    bool told;    /* it is the end of another one */
};

struct story {
    struct event *events;
    size_t n, size;
    struct map *open; /* key of an act or step → number + 1 of the one that has no end yet */
    struct map *by;   /* workload → name */
};

struct story *story_new(void) {
    struct story *s = MEM_NEW(struct story);
    s->open = map_new();
    s->by = map_new();
    return s;
}

void story_free(struct story *s) {
    for (size_t i = 0; i < s->n; i++) {
        jd_free(s->events[i].record);
        mem_free(s->events[i].by);
    }
    mem_free(s->events);
    map_free(s->open, NULL);
    map_free(s->by, mem_free);
    mem_free(s);
}

static const char *text_of(const struct json_t *d, const char *name) {
    const char *text = jd_str(d, name);
    return text ? text : "";
}

static bool is(const struct json_t *d, const char *name, const char *value) {
    return str_eq(jd_str(d, name), value);
}

/* What an act and its outcome, or a step's beginning and end, have in common. malloc'd. */
static char *pair_key(const struct json_t *d, const char *kind) {
    return str_printf("%s/%s/%s/%s/%s", kind, text_of(d, "workload"), text_of(d, "phase"), text_of(d, "step"), text_of(d, "op"));
}

static void open_pair(struct story *s, const struct json_t *d, const char *kind) {
    char *key = pair_key(d, kind);
    map_puts(s->open, key, (void *)(uintptr_t)(s->n + 1));
    mem_free(key);
}

static bool close_pair(struct story *s, const struct json_t *d, const char *kind) {
    char *key = pair_key(d, kind);
    size_t begun = (size_t)(uintptr_t)map_del(s->open, slice_of(key));
    mem_free(key);
    if (begun) s->events[begun - 1].end = s->n + 1;
    return begun != 0;
}

/* Who does what follows: each record that names somebody says so for its workload. */
static void note_by(struct story *s, struct event *x) {
    const char *workload = text_of(x->record, "workload"), *by = jd_str(x->record, "by");
    if (by) mem_free(map_puts(s->by, workload, mem_strdup(by)));
    const char *known = map_gets(s->by, workload);
    x->by = mem_strdup(known ? known : "");
}

void story_add(void *story, const struct json_t *record) {
    struct story *s = story;
    if (s->n == s->size) {
        s->size = s->size ? 2 * s->size : 256;
        s->events = mem_reallocarray(s->events, s->size, sizeof *s->events);
    }
    struct event *x = &s->events[s->n];
    *x = (struct event){.record = jd_copy(record)};
    if (!clock_parse_rfc3339(slice_of(text_of(record, "at")), &x->at)) x->at = 0;
    note_by(s, x);
    if (is(record, "t", "act")) open_pair(s, record, "act");
    else if (is(record, "t", "outcome")) x->told = close_pair(s, record, "act");
    else if (is(record, "t", "step") && is(record, "state", "begun")) open_pair(s, record, "step");
    else if (is(record, "t", "step")) x->told = close_pair(s, record, "step");
    s->n++;
}

/* ---- Words ---- */

static void add_took(struct buf *out, int64_t ms) {
    char age[32];
    if (ms < 1000) buf_printf(out, " (%lld ms)", (long long)ms);
    else buf_printf(out, " (%s)", clock_format_age(ms, age, sizeof age));
}

static void add_if(struct buf *out, const char *before, const char *text) {
    if (text && *text) buf_printf(out, "%s%s", before, text);
}

/* An act with what came of it. Ends that stand alone come from an act that this file does not have. */
static void tell_act(const struct story *s, const struct event *x, struct buf *out) {
    const struct event *end = x->end ? &s->events[x->end - 1] : is(x->record, "t", "outcome") ? x : NULL;
    static const char *const words[][2] = {
        {"done", "done"},     {"already", "was so already"}, {"failed", "FAILED"}, {"lost-answer-done", "done; its answer was lost, it was looked at again"},
        {"aborted", "given up before it was sent"}, {"unknown", "NOT KNOWN: it was sent, and what became of it was not seen"},
    };
    const char *result = end ? text_of(end->record, "result") : "no outcome: ferryman ended before it was known";
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (str_eq(result, words[i][0])) result = words[i][1];
    const char *what = jd_str(x->record, "what");
    buf_printf(out, "%s: %s", what ? what : text_of(x->record, "op"), result);
    if (end && end != x) add_took(out, end->at - x->at);
    if (end) add_if(out, ": ", jd_str(end->record, "detail"));
}

static void tell_step(const struct story *s, const struct event *x, struct buf *out) {
    const struct event *end = x->end ? &s->events[x->end - 1] : x;
    buf_printf(out, "step %s: %s", text_of(x->record, "step"),
               is(end->record, "state", "begun") ? "begun, and not ended" : is(end->record, "state", "failed") ? "FAILED" : text_of(end->record, "state"));
    if (end != x) add_took(out, end->at - x->at);
    add_if(out, ": ", jd_str(end->record, "detail"));
}

static void tell_phase(const struct json_t *d, struct buf *out) {
    buf_printf(out, "PHASE %s %s", text_of(d, "phase"), text_of(d, "state"));
    add_if(out, " from step ", jd_str(d, "from"));
    add_if(out, ": ", jd_str(d, "reason"));
}

static void tell_fact(const struct json_t *d, struct buf *out) {
    const char *value = text_of(d, "value");
    size_t n = strlen(value), cut = n;
    if (!n) {
        buf_printf(out, "%s is taken back", text_of(d, "name"));
        return;
    }
    if (n > VALUE_SHOWN)
        for (cut = VALUE_SHOWN; cut > 0 && ((unsigned char)value[cut] & 0xc0) == 0x80;) cut--;
    buf_printf(out, "noted %s = %.*s", text_of(d, "name"), (int)cut, value);
    if (cut < n) buf_printf(out, "… (%zu bytes)", n);
}

/* Every member, of records that this version does not know. */
static void tell_other(const struct json_t *d, struct buf *out) {
    static const char *const common[] = {"seq", "at", "t", "workload", "phase", "step", "by", "prev", "hash"};
    struct json_t *rest = jd_copy(d);
    for (size_t i = 0; i < ARRAY_LEN(common); i++) jd_del(rest, common[i]);
    buf_printf(out, "%s", text_of(d, "t"));
    if (jd_len(rest)) {
        buf_addc(out, ' ');
        jd_dump(rest, out);
    }
    jd_free(rest);
}

static void tell(const struct story *s, const struct event *x, struct buf *out) {
    const struct json_t *d = x->record;
    if (is(d, "t", "act") || is(d, "t", "outcome")) tell_act(s, x, out);
    else if (is(d, "t", "step")) tell_step(s, x, out);
    else if (is(d, "t", "phase")) tell_phase(d, out);
    else if (is(d, "t", "fact")) tell_fact(d, out);
    else if (is(d, "t", "journal")) buf_printf(out, "this journal begins: %s of plan %s, ferryman %s", text_of(d, "id"), text_of(d, "plan"), text_of(d, "version"));
    else if (is(d, "t", "note")) {
        bool plain = is(d, "level", "INFO") || !jd_str(d, "level");
        buf_printf(out, "%s%s%s", plain ? "" : text_of(d, "level"), plain ? "" : ": ", text_of(d, "text"));
    } else if (is(d, "t", "armed")) buf_printf(out, "armed for context %s", text_of(d, "context"));
    else if (is(d, "t", "disarmed")) buf_adds(out, "disarmed");
    else if (is(d, "t", "dialog")) {
        buf_printf(out, "dialog of %s %s", text_of(d, "phase"), text_of(d, "state"));
        add_if(out, ": ", jd_str(d, "reason"));
    } else if (is(d, "t", "override")) buf_printf(out, "gate '%s' overridden: %s", text_of(d, "gate"), text_of(d, "reason"));
    else if (is(d, "t", "lock")) {
        buf_printf(out, "lock: %s", text_of(d, "state"));
        add_if(out, ", ", jd_str(d, "holder"));
    } else tell_other(d, out);
}

/* "immich-postgres/swap/claim" */
static void add_place(struct buf *out, const struct json_t *d) {
    add_if(out, "", jd_str(d, "workload"));
    add_if(out, "/", jd_str(d, "phase"));
    if (!is(d, "t", "step")) add_if(out, "/", jd_str(d, "step"));
}

static void add_line(const struct story *s, const struct event *x, int64_t now, struct buf *out) {
    char at[32], age[32];
    struct buf place = {0}, what = {0}, clean = {0};
    add_place(&place, x->record);
    tell(s, x, &what);
    clock_format_utc(x->at, at, sizeof at);
    buf_printf(&clean, "%.10s %.8s  %7s  %-10s %-36s ", at, at + 11, clock_format_age(now - x->at, age, sizeof age), x->by, buf_str(&place));
    utf8_clean(&clean, buf_slice(&what));
    while (clean.len && clean.p[clean.len - 1] == ' ') clean.p[--clean.len] = '\0';
    buf_add_slice(out, buf_slice(&clean));
    buf_addc(out, '\n');
    buf_free(&place);
    buf_free(&what);
    buf_free(&clean);
}

/* A window's state, noted once a minute so that it can be gone on with: no happening. What happened in it is in notes. */
static bool is_state(const struct json_t *d) {
    const char *name = text_of(d, "name");
    return is(d, "t", "fact") && str_starts(name, "window.") && !str_ends(name, ".done");
}

void story_text(const struct story *s, bool torn, struct buf *out) {
    int64_t now = clock_wall_ms();
    buf_printf(out, "%-19s  %7s  %-10s %-36s %s\n", "time (UTC)", "age", "who", "where", "what");
    for (size_t i = 0; i < s->n; i++)
        if (!s->events[i].told && !is_state(s->events[i].record)) add_line(s, &s->events[i], now, out);
    if (torn) buf_adds(out, "the last record is torn, as a crash leaves it; nothing was done on its ground\n");
}

void story_json(const struct story *s, const char *head, bool torn, struct buf *out) {
    struct json_writer w;
    jw_init(&w, out);
    jw_object(&w);
    jw_key(&w, "schema");
    jw_int(&w, 1);
    jw_key(&w, "journal");
    jw_str(&w, s->n ? jd_str(s->events[0].record, "id") : NULL);
    jw_key(&w, "plan");
    jw_str(&w, s->n ? jd_str(s->events[0].record, "plan") : NULL);
    jw_key(&w, "head");
    jw_str(&w, head);
    jw_key(&w, "torn");
    jw_bool(&w, torn);
    jw_key(&w, "records");
    jw_array(&w);
    for (size_t i = 0; i < s->n; i++) {
        struct buf one = {0};
        jd_dump(s->events[i].record, &one);
        jw_raw(&w, buf_slice(&one));
        buf_free(&one);
    }
    jw_end_array(&w);
    jw_end_object(&w);
    buf_addc(out, '\n');
}
