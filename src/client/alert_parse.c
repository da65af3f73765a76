#include "client/alert_parse.h"

#include "base/clock.h"
#include "base/json_reader.h"
#include "base/utf8.h"

/* One alert while it is read: which of the annotations the summary is from. */
struct reading {
    struct alert a;
    int summary_rank;
};

static void read_labels(struct json_reader *r, struct alert *a)
{
    struct slice key;
    if (!json_enter_object(r))
        return;
    while (json_next_key(r, &key)) {
        struct buf *own = slice_is(key, "alertname") ? &a->name : slice_is(key, "severity") ? &a->severity : NULL;
        if (!own) {
            if (a->labels.len > 0)
                buf_adds(&a->labels, ", ");
            utf8_clean(&a->labels, key);
            buf_addc(&a->labels, '=');
            own = &a->labels;
        }
        utf8_clean(own, json_string(r));
    }
}

static void read_annotations(struct json_reader *r, struct reading *in)
{
    static const char *const ranked[] = {"message", "description", "summary"};
    struct slice key;
    if (!json_enter_object(r))
        return;
    while (json_next_key(r, &key)) {
        int rank = 0;
        for (int i = 0; i < 3; i++)
            rank = slice_is(key, ranked[i]) ? i + 1 : rank;
        struct slice text = json_string(r);
        if (rank <= in->summary_rank || !text.p)
            continue;
        in->summary_rank = rank;
        buf_clear(&in->a.summary);
        utf8_clean(&in->a.summary, text);
    }
}

static void read_status(struct json_reader *r, struct alert *a)
{
    struct slice key;
    if (!json_enter_object(r))
        return;
    while (json_next_key(r, &key)) {
        if (slice_is(key, "state"))
            a->suppressed = slice_is(json_string(r), "suppressed");
        else
            json_skip(r);
    }
}

static int64_t read_time(struct json_reader *r)
{
    int64_t ms;
    struct slice text = json_string(r);
    return text.p && clock_parse_rfc3339(text, &ms) ? ms : -1;
}

static void read_member(struct json_reader *r, struct slice key, struct reading *in)
{
    struct alert *a = &in->a;
    if (slice_is(key, "labels"))
        read_labels(r, a);
    else if (slice_is(key, "annotations"))
        read_annotations(r, in);
    else if (slice_is(key, "status"))
        read_status(r, a);
    else if (slice_is(key, "fingerprint"))
        utf8_clean(&a->fingerprint, json_string(r));
    else if (slice_is(key, "startsAt"))
        a->starts_ms = read_time(r);
    else if (slice_is(key, "updatedAt"))
        a->updated_ms = read_time(r);
    else if (slice_is(key, "endsAt"))
        a->ends_ms = read_time(r);
    else
        json_skip(r);
}

static void clear(struct reading *in)
{
    struct buf *bufs[] = {&in->a.fingerprint, &in->a.name, &in->a.severity, &in->a.summary, &in->a.labels};
    for (size_t i = 0; i < sizeof bufs / sizeof *bufs; i++)
        buf_clear(bufs[i]);
    in->summary_rank = 0;
    in->a.suppressed = false;
    in->a.starts_ms = in->a.updated_ms = in->a.ends_ms = -1;
}

static void drop(struct reading *in)
{
    struct buf *bufs[] = {&in->a.fingerprint, &in->a.name, &in->a.severity, &in->a.summary, &in->a.labels};
    for (size_t i = 0; i < sizeof bufs / sizeof *bufs; i++)
        buf_free(bufs[i]);
}

struct err *alert_parse(struct slice json, void (*each)(void *arg, const struct alert *a), void *arg)
{
    struct reading in = {0};
    struct json_reader r;
    struct slice key;
    json_reader_init(&r, json.p, json.n);
    bool list = json_enter_array(&r);
    while (list && json_next_item(&r)) {
        clear(&in);
        if (!json_enter_object(&r))
            continue;
        while (json_next_key(&r, &key))
            read_member(&r, key, &in);
        if (!json_failed(&r) && in.a.name.len > 0 && in.a.fingerprint.len > 0)
            each(arg, &in.a);
    }
    struct err *e = json_finish(&r, "Alertmanager's alerts");
    json_reader_free(&r);
    drop(&in);
    return e      ? e
           : list ? NULL
                  : err_new(ERR_PROTOCOL, "Alertmanager's alerts: not a list; is the address an Alertmanager's?");
}
