#include "client/lvm_parse.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/json_reader.h"
#include "base/mem.h"
#include "base/utf8.h"

#define SIZE_MAX_BYTES (INT64_MAX / 1000)

/* ---- Values ------------------------------------------------------------------------------------------------------ */

/* A plain decimal in thousandths, e.g. "10.25" is 10250; the rest of the text goes to *ret_rest. */
static bool decimal(struct slice text, int64_t *ret, struct slice *ret_rest)
{
    int64_t n = 0;
    int places = -1;
    size_t i = 0, digits = 0;
    for (; i < text.n && places < 3; i++) {
        char c = text.p[i];
        if (c == '.' && places < 0) {
            places = 0;
            continue;
        }
        if (c < '0' || c > '9')
            break;
        if (n > (INT64_MAX - 9) / 10)
            return false;
        n = n * 10 + (c - '0');
        digits++;
        places += places >= 0;
    }
    while (places == 3 && i < text.n && text.p[i] >= '0' && text.p[i] <= '9')
        i++;
    for (int p = places < 0 ? 0 : places; p < 3; p++) {
        if (n > INT64_MAX / 10)
            return false;
        n *= 10;
    }
    *ret = n;
    *ret_rest = (struct slice){text.p + i, text.n - i};
    return digits > 0;
}

bool lvm_size(struct slice text, int64_t *ret_bytes)
{
    static const char suffixes[] = "bkmgtpe";
    struct slice rest;
    int64_t thousandths, unit = 1;
    text = slice_trim(text);
    if (text.n > 0 && text.p[0] == '<') /* lvm: rounded up */
        text = (struct slice){text.p + 1, text.n - 1};
    if (slice_to_i64(text, ret_bytes))
        return *ret_bytes >= 0;
    if (!decimal(text, &thousandths, &rest) || rest.n > 1)
        return false;
    if (rest.n == 1) {
        const char *at = strchr(suffixes, rest.p[0] | 0x20);
        if (!at || rest.p[0] == '\0')
            return false;
        for (const char *s = suffixes; s < at; s++)
            unit *= rest.p[0] & 0x20 ? 1024 : 1000;
    }
    if (unit > SIZE_MAX_BYTES || thousandths > INT64_MAX / unit)
        return false;
    *ret_bytes = thousandths * unit / 1000;
    return true;
}

bool lvm_percent(struct slice text, int64_t *ret_hundredths)
{
    struct slice rest;
    int64_t thousandths;
    if (!decimal(slice_trim(text), &thousandths, &rest) || rest.n > 0 || thousandths > 1000 * 1000)
        return false;
    *ret_hundredths = thousandths / 10;
    return true;
}

bool lvm_time(struct slice text, int64_t *ret_ms)
{
    int64_t seconds;
    char rfc[40];
    text = slice_trim(text);
    if (slice_to_i64(text, &seconds)) {
        if (seconds < 0 || seconds > INT64_MAX / CLOCK_MS_PER_S)
            return false;
        *ret_ms = seconds * CLOCK_MS_PER_S;
        return true;
    }
    if (text.n < 19 || text.n > 30 || text.p[10] != ' ')
        return false;
    struct slice zone = slice_trim((struct slice){text.p + 19, text.n - 19});
    if (zone.n == 0 || slice_is(zone, "UTC") || slice_is(zone, "GMT"))
        snprintf(rfc, sizeof rfc, "%.10sT%.8sZ", text.p, text.p + 11);
    else if (zone.n == 5)
        snprintf(rfc, sizeof rfc, "%.10sT%.8s%.3s:%.2s", text.p, text.p + 11, zone.p, zone.p + 3);
    else
        return false;
    return clock_parse_rfc3339(slice_of(rfc), ret_ms);
}

/* ---- The report -------------------------------------------------------------------------------------------------- */

/* A value as text, whether it was a string or a number. */
static struct slice value(struct json_reader *r)
{
    return json_peek(r) == JSON_STRING ? json_string(r) : json_raw(r);
}

static int64_t parsed(struct json_reader *r, bool (*parse)(struct slice text, int64_t *ret))
{
    int64_t n;
    return parse(value(r), &n) ? n : -1;
}

static void read_member(struct json_reader *r, struct slice key, struct lvm_volume *v)
{
    struct {
        const char *key;
        struct buf *text;
    } texts[] = {{"lv_name", &v->name},
                 {"vg_name", &v->group},
                 {"pool_lv", &v->pool},
                 {"origin", &v->origin},
                 {"lv_attr", &v->attr}};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        if (!slice_is(key, texts[i].key))
            continue;
        buf_clear(texts[i].text);
        utf8_clean(texts[i].text, json_string(r));
        return;
    }
    if (slice_is(key, "lv_size"))
        v->size = parsed(r, lvm_size);
    else if (slice_is(key, "data_percent"))
        v->data = parsed(r, lvm_percent);
    else if (slice_is(key, "metadata_percent"))
        v->metadata = parsed(r, lvm_percent);
    else if (slice_is(key, "lv_time"))
        v->created_ms = parsed(r, lvm_time);
    else
        json_skip(r);
}

/* lv_attr's first letter says what it is; where it was not asked for, what only a pool or a snapshot has. */
static enum lvm_kind kind_of(const struct lvm_volume *v)
{
    char type = *buf_str(&v->attr);
    if (type == 't' || (type == '\0' && v->metadata >= 0))
        return LVM_POOL;
    return type == 's' || type == 'S' || v->origin.len > 0 ? LVM_SNAPSHOT : LVM_VOLUME;
}

/* What the reader stands in: a pull reader can be left at any volume and taken up again there. */
enum place { IN_TOP, IN_REPORTS, IN_REPORT, IN_VOLUMES, AT_END };

struct lvm_reader {
    struct json_reader json;
    struct lvm_volume v;
    enum place place;
    bool found; /* a list of volumes */
};

static void clear(struct lvm_volume *v)
{
    struct buf *bufs[] = {&v->name, &v->group, &v->pool, &v->origin, &v->attr};
    for (size_t i = 0; i < ARRAY_LEN(bufs); i++)
        buf_clear(bufs[i]);
    v->size = v->data = v->metadata = v->created_ms = -1;
}

static void drop(struct lvm_volume *v)
{
    struct buf *bufs[] = {&v->name, &v->group, &v->pool, &v->origin, &v->attr};
    for (size_t i = 0; i < ARRAY_LEN(bufs); i++)
        buf_free(bufs[i]);
}

/* Whether it is one to tell of. */
static bool read_volume(struct json_reader *r, struct lvm_volume *v)
{
    struct slice key;
    clear(v);
    if (!json_enter_object(r))
        return false;
    while (json_next_key(r, &key))
        read_member(r, key, v);
    if (json_failed(r) || v->name.len == 0 || v->group.len == 0 || *buf_str(&v->name) == '[')
        return false;
    v->kind = kind_of(v);
    return true;
}

/* The member's list is entered, or the member skipped. */
static bool enter_list(struct json_reader *r, struct slice key, const char *name)
{
    if (slice_is(key, name))
        return json_enter_array(r);
    json_skip(r);
    return false;
}

/* One step further, where no volume stands. */
static enum place move_on(struct lvm_reader *r)
{
    struct slice key;
    switch (r->place) {
    case IN_TOP:
        if (!json_next_key(&r->json, &key))
            return AT_END;
        return enter_list(&r->json, key, "report") ? IN_REPORTS : IN_TOP;
    case IN_REPORTS:
        if (!json_next_item(&r->json))
            return IN_TOP;
        return json_enter_object(&r->json) ? IN_REPORT : IN_REPORTS;
    case IN_REPORT:
        if (!json_next_key(&r->json, &key))
            return IN_REPORTS;
        if (!enter_list(&r->json, key, "lv"))
            return IN_REPORT;
        r->found = true;
        return IN_VOLUMES;
    case IN_VOLUMES:
        return IN_REPORT;
    case AT_END:
        break;
    }
    return AT_END;
}

struct lvm_reader *lvm_reader_new(struct slice json)
{
    struct lvm_reader *r = MEM_NEW(struct lvm_reader);
    json_reader_init(&r->json, json.p, json.n);
    r->place = json_enter_object(&r->json) ? IN_TOP : AT_END;
    return r;
}

void lvm_reader_free(struct lvm_reader *r)
{
    if (!r)
        return;
    json_reader_free(&r->json);
    drop(&r->v);
    mem_free(r);
}

const struct lvm_volume *lvm_reader_next(struct lvm_reader *r)
{
    while (r->place != AT_END && !json_failed(&r->json)) {
        while (r->place == IN_VOLUMES && json_next_item(&r->json))
            if (read_volume(&r->json, &r->v))
                return &r->v;
        r->place = move_on(r);
    }
    return NULL;
}

struct err *lvm_reader_finish(struct lvm_reader *r)
{
    struct err *e = json_finish(&r->json, "lvs report");
    if (e || r->found)
        return e;
    return err_new(ERR_PROTOCOL, "lvs report: no list of volumes; is --reportformat json among the arguments?");
}

struct err *lvm_parse(struct slice json, void (*each)(void *arg, const struct lvm_volume *v), void *arg)
{
    struct lvm_reader *r = lvm_reader_new(json);
    for (const struct lvm_volume *v; (v = lvm_reader_next(r));)
        each(arg, v);
    struct err *e = lvm_reader_finish(r);
    lvm_reader_free(r);
    return e;
}
