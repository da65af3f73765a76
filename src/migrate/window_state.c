/* The window as a document of a few kB, so that it outlives the process, and its strips. */
#include <string.h>

#include "base/json_doc.h"
#include "base/mem.h"
#include "base/str.h"
#include "migrate/window_private.h"

void window_copy(char *dst, size_t size, const char *src) {
    size_t n = strlen(src);
    if (n >= size)
        for (n = size - 1; n > 0 && ((unsigned char)src[n] & 0xC0) == 0x80; n--) continue;
    memmove(dst, src, n);
    dst[n] = '\0';
}

/* ---- Strips: a character per bucket; when they would be too many, two become one ---- */

static int rank(char c) {
    static const char order[] = " pl-sx";
    const char *at = c ? strchr(order, c) : NULL;
    return at ? (int)(at - order) : -1;
}

static char worse(char a, char b) {
    return rank(a) >= rank(b) ? a : b;
}

static void fold(struct window *w) {
    for (size_t g = 0; g < WINDOW_GATES; g++) {
        char *strip = w->gates[g].strip;
        for (size_t i = 0; i < WINDOW_STRIP_MAX; i += 2) strip[i / 2] = worse(strip[i], strip[i + 1]);
        memset(strip + WINDOW_STRIP_MAX / 2, 0, WINDOW_STRIP_MAX / 2 + 1);
    }
    w->bucket *= 2;
    w->buckets = (w->buckets + 1) / 2;
}

void window_mark(struct window *w, enum window_gate g, int64_t from, int64_t to, char c) {
    while (to / w->bucket >= WINDOW_STRIP_MAX) fold(w);
    size_t first = (size_t)(from / w->bucket), last = (size_t)(to / w->bucket);
    if (last > first && to % w->bucket == 0) last--; /* what ends where a bucket begins is not in it */
    for (size_t i = first; i <= last; i++) w->gates[g].strip[i] = worse(c, w->gates[g].strip[i]);
    if (last + 1 > w->buckets) w->buckets = last + 1;
}

int64_t window_strip(const struct window *w, enum window_gate g, struct buf *out) {
    for (size_t i = 0; i < w->buckets; i++) buf_addc(out, w->gates[g].strip[i] ? w->gates[g].strip[i] : ' ');
    return w->bucket;
}

/* ---- The document: one list of numbers, one object per gate ---- */

#define VERSION 1
#define DURATION_MAX (INT64_C(30) * 24 * 60 * 60 * 1000) /* what a plan may say */

/* Every number of it, in the order of the document. */
#define NUMBERS(X) \
    X(begun) X(started) X(last_plan) X(last_mono) X(credited) X(pending) X(aside) X(gaps) X(longest) X(lost) X(elapsed) X(blind) X(stood) \
    X(probe_age) X(end_ms) X(recorded) X(bucket)
#define COUNTS(X) X(restarts) X(failures) X(leader_changes) X(samples) X(end_checks)
#define FLAGS(X) X(sampled) X(covers) X(suspect) X(known) X(running) X(judged) X(inconclusive) X(probed) X(ending) X(end_probed) X(untold)

static struct json_t *write_gate(const struct window *w, enum window_gate g) {
    const struct window_gate_now *n = &w->gates[g];
    struct json_t *d = jd_array();
    char strip[WINDOW_STRIP_MAX + 1];
    for (size_t i = 0; i < w->buckets; i++) strip[i] = n->strip[i] ? n->strip[i] : '_';
    strip[w->buckets] = '\0';
    jd_append(d, jd_int((int64_t)n->answer));
    jd_append(d, jd_int(n->bad + 2 * n->confirmed));
    jd_append(d, jd_int(n->bad_ms));
    jd_append(d, jd_int(n->since));
    jd_append(d, jd_int(n->lasted));
    jd_append(d, jd_string(strip));
    jd_append(d, jd_string(n->reason));
    jd_append(d, jd_string(n->last));
    return d;
}

struct json_t *window_write(const struct window *w) {
    struct json_t *d = jd_object(), *numbers = jd_array(), *gates = jd_array();
    jd_set(d, "v", jd_int(VERSION));
    jd_set(d, "duration", jd_int(w->rules.duration_ms));
    jd_set(d, "max_gap", jd_int(w->rules.max_gap_ms));
    jd_set(d, "fail_after", jd_int(w->rules.fail_after_ms));
    jd_set(d, "pod", jd_string(w->pod));
    jd_set(d, "state", jd_string(window_state_words[w->state]));
    jd_set(d, "leader", jd_string(w->leader));
    jd_set(d, "typed", jd_string(w->typed));
    jd_set(d, "scale", jd_int((int64_t)(w->last_scale * 1000 + 0.5)));
    jd_set(d, "buckets", jd_int((int64_t)w->buckets));
#define PUT(name) jd_append(numbers, jd_int((int64_t)w->name));
    NUMBERS(PUT)
    COUNTS(PUT)
    FLAGS(PUT)
#undef PUT
    for (size_t g = 0; g < WINDOW_GATES; g++) jd_append(gates, write_gate(w, (enum window_gate)g));
    jd_set(d, "numbers", numbers);
    jd_set(d, "gates", gates);
    return d;
}

static bool read_gate(const struct json_t *d, size_t buckets, struct window_gate_now *n) {
    const char *strip = jd_string_value(jd_at(d, 5)), *reason = jd_string_value(jd_at(d, 6)), *last = jd_string_value(jd_at(d, 7));
    int64_t answer = jd_int_value(jd_at(d, 0), -1), flags = jd_int_value(jd_at(d, 1), -1);
    if (answer < 0 || answer > WINDOW_NOT_ASKED || flags < 0 || flags > 3 || !strip || !reason || !last || strlen(strip) != buckets) return false;
    n->answer = (enum window_answer)answer;
    n->bad = flags & 1;
    n->confirmed = (flags & 2) != 0;
    n->bad_ms = jd_int_value(jd_at(d, 2), 0);
    n->since = jd_int_value(jd_at(d, 3), 0);
    n->lasted = jd_int_value(jd_at(d, 4), 0);
    for (size_t i = 0; i < buckets; i++) n->strip[i] = (char)(rank(strip[i]) >= 0 ? strip[i] : '\0');
    window_copy(n->reason, sizeof n->reason, reason);
    window_copy(n->last, sizeof n->last, last);
    return true;
}

static bool read_state(const char *word, enum window_state *ret) {
    for (int i = WINDOW_WAITING; i <= WINDOW_ENDED_EARLY; i++) {
        *ret = (enum window_state)i;
        if (str_eq(word, window_state_words[i])) return true;
    }
    return false;
}

/* What a document of ours cannot say: times before 1970, lengths below 0, buckets without length. */
static bool is_sane(const struct window *w) {
#define LISTED(name) w->name,
    const int64_t numbers[] = {NUMBERS(LISTED)};
#undef LISTED
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
        if (numbers[i] < 0 || numbers[i] > INT64_MAX / 1024) return false;
    return w->bucket > 0 && w->elapsed / w->bucket <= WINDOW_STRIP_MAX;
}

static bool read_all(const struct json_t *d, struct window *w) {
    const struct json_t *numbers = jd_get(d, "numbers"), *gates = jd_get(d, "gates");
    const char *pod = jd_str(d, "pod"), *leader = jd_str(d, "leader"), *typed = jd_str(d, "typed");
    int64_t buckets = jd_num(d, "buckets", -1);
    size_t i = 0;
    if (jd_num(d, "v", 0) != VERSION || !pod || !leader || !typed || jd_len(gates) != WINDOW_GATES || buckets < 0 || buckets > WINDOW_STRIP_MAX) return false;
    if (!read_state(jd_str(d, "state"), &w->state)) return false;
#define GET(name) w->name = jd_int_value(jd_at(numbers, i++), 0);
#define GET_COUNT(name) w->name = (unsigned)jd_int_value(jd_at(numbers, i++), 0);
#define GET_FLAG(name) w->name = jd_int_value(jd_at(numbers, i++), 0) != 0;
    NUMBERS(GET)
    COUNTS(GET_COUNT)
    FLAGS(GET_FLAG)
    if (jd_len(numbers) != i || !is_sane(w)) return false;
    w->buckets = (size_t)buckets;
    w->last_scale = (double)jd_num(d, "scale", 1000) / 1000;
    window_copy(w->pod, sizeof w->pod, pod);
    window_copy(w->leader, sizeof w->leader, leader);
    window_copy(w->typed, sizeof w->typed, typed);
    for (size_t g = 0; g < WINDOW_GATES; g++)
        if (!read_gate(jd_at(gates, g), w->buckets, &w->gates[g])) return false;
    return true;
}

/* What was confirmed when it began is not made easier by a plan that was edited since: each bound is the stricter of both. */
static void keep_rules(const struct json_t *d, struct window_rules *rules) {
    int64_t duration = jd_num(d, "duration", 0), gap = jd_num(d, "max_gap", 0), fail = jd_num(d, "fail_after", 0);
    if (duration > rules->duration_ms && duration <= DURATION_MAX) rules->duration_ms = duration;
    if (gap > 0 && gap < rules->max_gap_ms) rules->max_gap_ms = gap;
    if (fail > 0 && fail < rules->fail_after_ms) rules->fail_after_ms = fail;
}

struct window *window_read(const struct json_t *d, const struct window_rules *rules) {
    struct window *w = MEM_NEW(struct window);
    w->rules = *rules;
    keep_rules(d, &w->rules);
    if (d && read_all(d, w)) return w;
    mem_free(w);
    return NULL;
}
