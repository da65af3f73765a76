#include "migrate/restore_errors.h"

#include <string.h>

#include "base/json_doc.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/utf8.h"

enum { LINE_MAX_BYTES = 8192, WORDS_MAX = 240, STATE_LEN = 5 };

struct restore_errors {
    struct json_t *expected; /* pairs that have not come yet */
    struct buf line;
    int64_t notices, met;
    bool failed, whole;
    char state[STATE_LEN + 1]; /* of the error; "" for one of psql's own */
    char *words;             /* of the error, if they may be shown */
    int64_t at, row;
};

struct err *restore_errors_new(const char *expected_json, struct restore_errors **ret) {
    struct json_t *expected = NULL;
    struct err *e = NULL;
    if (expected_json && *expected_json) e = jd_parse(expected_json, strlen(expected_json), "expected errors", &expected);
    else expected = jd_array();
    for (size_t i = 0; !e && i < jd_len(expected); i++)
        if (!jd_str(jd_at(expected, i), "0") || !jd_str(jd_at(expected, i), "1"))
            e = err_new(ERR_DATA, "expected errors: element %zu is not [\"SQLSTATE\",\"object\"]", i);
    if (!e && !jd_is_array(expected)) e = err_new(ERR_DATA, "expected errors: not a list of [\"SQLSTATE\",\"object\"]");
    if (e) {
        if (expected) jd_free(expected);
        return e;
    }
    struct restore_errors *x = MEM_NEW(struct restore_errors);
    x->expected = expected;
    *ret = x;
    return NULL;
}

void restore_errors_free(struct restore_errors *x) {
    if (!x) return;
    jd_free(x->expected);
    buf_free(&x->line);
    mem_free(x->words);
    mem_free(x);
}

/* What the first quotes of a message hold: `role "immich" already exists`. */
static struct slice quoted(struct slice text) {
    const char *from = text.n ? memchr(text.p, '"', text.n) : NULL, *to = NULL;
    if (from) to = memchr(from + 1, '"', (size_t)(text.p + text.n - from - 1));
    return to ? (struct slice){from + 1, (size_t)(to - from - 1)} : (struct slice){NULL, 0};
}

static bool take_expected(struct restore_errors *x, struct slice state, struct slice object) {
    for (size_t i = 0; object.p && i < jd_len(x->expected); i++) {
        const struct json_t *pair = jd_at(x->expected, i);
        if (!slice_is(state, jd_str(pair, "0")) || !slice_is(object, jd_str(pair, "1"))) continue;
        jd_remove_at(x->expected, i);
        x->met++;
        return true;
    }
    return false;
}

/* Classes of SQLSTATE whose primary message names objects, settings and files, never values: PostgreSQL's errcodes.txt. A syntax error
 * quotes what it stumbled over, which is a row where a COPY was refused. */
static bool may_show(struct slice state) {
    static const char *const classes[] = {"08", "0A", "25", "26", "28", "3D", "3F", "42", "53", "55", "57", "58"};
    if (slice_is(state, "42601")) return false;
    for (size_t i = 0; i < ARRAY_LEN(classes); i++)
        if (slice_starts(state, classes[i])) return true;
    return false;
}

static const char *meaning(const char *state) {
    if (!*state) return "psql's own error";
    if (str_starts(state, "22")) return "a value was refused";
    if (str_starts(state, "23")) return "a row violates a constraint";
    if (str_eq(state, "42601")) return "a syntax error";
    if (str_starts(state, "54")) return "a limit of the server was exceeded";
    if (str_starts(state, "P0") || str_starts(state, "2F") || str_starts(state, "38") || str_starts(state, "39"))
        return "a function failed";
    if (str_starts(state, "XX")) return "an internal error of the server, or damaged data";
    return "see the server's log";
}

static void keep(struct restore_errors *x, struct slice state, struct slice text, int64_t at, bool show) {
    x->failed = true;
    x->at = at;
    memcpy(x->state, state.p ? state.p : "", state.n);
    x->state[state.n] = '\0';
    if (!show) return;
    struct buf clean = {0};
    utf8_clean(&clean, text);
    x->words = slice_dup(utf8_clip(buf_slice(&clean), WORDS_MAX, NULL));
    buf_free(&clean);
}

/* "psql:<stdin>:160: " at the front is taken off; the line's number, 0 if it is not there. */
static int64_t take_place(struct slice *text) {
    static const char place[] = "psql:<stdin>:";
    int64_t n = 0;
    if (!slice_starts(*text, place)) return 0;
    struct slice rest = {text->p + sizeof place - 1, text->n - (sizeof place - 1)}, digits;
    if (!slice_cut(&rest, ':', &digits) || !slice_to_i64(digits, &n) || !rest.p) return 0;
    *text = slice_trim(rest);
    return n;
}

/* After a severity: "  42710: role …". */
static bool take_state(struct slice text, struct slice *state, struct slice *words) {
    text = slice_trim(text);
    if (text.n < STATE_LEN + 1 || text.p[STATE_LEN] != ':') return false;
    for (int i = 0; i < STATE_LEN; i++)
        if (!(text.p[i] >= '0' && text.p[i] <= '9') && !(text.p[i] >= 'A' && text.p[i] <= 'Z')) return false;
    *state = (struct slice){text.p, STATE_LEN};
    *words = slice_trim((struct slice){text.p + STATE_LEN + 1, text.n - STATE_LEN - 1});
    return true;
}

static bool cut_severity(struct slice text, const char *const *names, struct slice *rest) {
    for (; *names; names++) {
        size_t n = strlen(*names);
        if (!slice_starts(text, *names) || text.n <= n || text.p[n] != ':') continue;
        *rest = (struct slice){text.p + n + 1, text.n - n - 1};
        return true;
    }
    return false;
}

/* "COPY asset, line 17, column id: …": the row's number. */
static void take_context(struct restore_errors *x, struct slice text) {
    static const char line[] = ", line ";
    const char *p = slice_contains(text, "CONTEXT:  COPY ") ? memmem(text.p, text.n, line, sizeof line - 1) : NULL, *end = text.p + text.n;
    if (!p) return;
    for (p += sizeof line - 1; p < end && *p >= '0' && *p <= '9' && x->row < INT64_C(1) << 50; p++) x->row = x->row * 10 + (*p - '0');
}

static void judge_error(struct restore_errors *x, struct slice rest, int64_t at) {
    struct slice state = {NULL, 0}, words = rest;
    bool has_state = take_state(rest, &state, &words);
    if (x->failed) x->whole = true; /* another one: the first has been told */
    else if (has_state && take_expected(x, state, quoted(words))) return;
    else keep(x, state, words, at, has_state && may_show(state));
}

static void judge_line(struct restore_errors *x, struct slice line) {
    static const char *const errors[] = {"ERROR", "FATAL", "PANIC", NULL},
                             *const notices[] = {"NOTICE", "WARNING", "INFO", "LOG", "DEBUG", NULL}, *const own[] = {"error", "fatal", NULL};
    struct slice text = line, rest;
    int64_t at = take_place(&text);
    if (cut_severity(text, errors, &rest)) {
        judge_error(x, rest, at);
    } else if (cut_severity(text, notices, &rest)) {
        x->notices++;
    } else if (at > 0 && cut_severity(text, own, &rest)) {
        if (!x->failed) keep(x, (struct slice){NULL, 0}, slice_trim(rest), at, slice_contains(rest, "connect") || slice_contains(rest, "restrict"));
        x->whole = true;
    } else if (x->failed && !x->whole) {
        take_context(x, line);
        x->whole = slice_starts(line, "LOCATION:");
    }
}

void restore_errors_add(struct restore_errors *x, const char *p, size_t n) {
    for (size_t i = 0; i < n; i++) {
        if (p[i] == '\n') {
            judge_line(x, buf_slice(&x->line));
            buf_clear(&x->line);
        } else if (x->line.len < LINE_MAX_BYTES) {
            buf_addc(&x->line, p[i]);
        }
    }
}

bool restore_errors_failed(const struct restore_errors *x) {
    return x->failed;
}

bool restore_errors_whole(const struct restore_errors *x) {
    return x->failed && x->whole;
}

int64_t restore_errors_line(const struct restore_errors *x) {
    return x->at;
}

int64_t restore_errors_notices(const struct restore_errors *x) {
    return x->notices;
}

int64_t restore_errors_expected(const struct restore_errors *x) {
    return x->met;
}

void restore_errors_text(const struct restore_errors *x, struct buf *out) {
    if (*x->state) buf_printf(out, "%s ", x->state);
    buf_printf(out, "(%s)", x->words ? x->words : meaning(x->state));
    if (x->row > 0) buf_printf(out, ", row %lld", (long long)x->row);
}
