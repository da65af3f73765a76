/* Values and frames of Vault's answers, and whose answer a body is. */
#include <string.h>

#include "base/clock.h"
#include "base/utf8.h"
#include "client/vault_parse_private.h"

/* ---- Values ------------------------------------------------------------------------------------------------------ */

void vault_text(char *dst, size_t size, struct slice foreign)
{
    struct buf clean = {0};
    size_t n = 0;
    utf8_clean(&clean, foreign);
    while (n < clean.len) {
        uint32_t cp;
        size_t step = utf8_decode(clean.p + n, clean.len - n, &cp);
        if (n + step >= size)
            break;
        n += step;
    }
    if (n > 0)
        memcpy(dst, clean.p, n);
    dst[n] = '\0';
    buf_free(&clean);
}

enum vault_flag vault_flag_of(struct json_reader *r)
{
    if (json_peek(r) != JSON_BOOL) {
        json_skip(r);
        return VAULT_NOT_SAID;
    }
    return json_bool(r, false) ? VAULT_YES : VAULT_NO;
}

int64_t vault_time_ms(struct json_reader *r)
{
    int64_t ms;
    struct slice text = json_string(r);
    return text.p && clock_parse_rfc3339(text, &ms) ? ms : -1;
}

int64_t vault_duration_ms(struct slice text)
{
    int64_t ns;
    if (!text.p || text.n == 0)
        return -1;
    if (!slice_to_i64(text, &ns) && !str_duration_ns(text, &ns))
        return -1;
    return ns < 0 ? -1 : ns / CLOCK_NS_PER_MS;
}

int64_t vault_duration_of(struct json_reader *r)
{
    if (json_peek(r) == JSON_STRING)
        return vault_duration_ms(json_string(r));
    int64_t ns = json_int(r, -1);
    return ns < 0 ? -1 : ns / CLOCK_NS_PER_MS;
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

bool vault_key_is(struct slice key, const char *snake)
{
    size_t i = 0;
    for (;; snake++, i++) {
        while (i < key.n && key.p[i] == '_')
            i++;
        while (*snake == '_')
            snake++;
        if (i == key.n || *snake == '\0')
            return i == key.n && *snake == '\0';
        if (lower(key.p[i]) != *snake)
            return false;
    }
}

struct slice vault_address_host(struct slice address)
{
    static const struct slice none = {NULL, 0};
    if (!address.p)
        return none;
    for (size_t i = 0; i + 2 < address.n; i++)
        if (memcmp(address.p + i, "://", 3) == 0) {
            address = (struct slice){address.p + i + 3, address.n - i - 3};
            break;
        }
    char end = ':';
    if (address.n > 0 && address.p[0] == '[') {
        end = ']';
        address = (struct slice){address.p + 1, address.n - 1};
    }
    size_t n = 0;
    while (n < address.n && address.p[n] != end && address.p[n] != '/')
        n++;
    return n == 0 ? none : (struct slice){address.p, n};
}

/* ---- Frames ------------------------------------------------------------------------------------------------------ */

bool vault_read_object(struct json_reader *r, vault_member_fn member, void *ret)
{
    struct slice key;
    if (!json_enter_object(r))
        return false;
    while (json_next_key(r, &key))
        member(r, key, ret);
    return true;
}

struct err *vault_wrong(const char *what, const char *why)
{
    return err_new(ERR_PROTOCOL, "%s: %s", what, why);
}

struct err *vault_read_top(struct slice json, const char *what, vault_member_fn member, void *ret)
{
    struct json_reader r;
    json_reader_init(&r, json.p, json.n);
    bool object = vault_read_object(&r, member, ret);
    struct err *e = json_finish(&r, what);
    json_reader_free(&r);
    return e ? e : object ? NULL : vault_wrong(what, "not an object");
}

/* A logical answer: members below "data". */
struct enveloped {
    vault_member_fn member;
    void *ret;
    bool data;
};

static void envelope_member(struct json_reader *r, struct slice key, void *arg)
{
    struct enveloped *e = arg;
    if (slice_is(key, "data") && !e->data)
        e->data = vault_read_object(r, e->member, e->ret);
    else
        json_skip(r);
}

struct err *vault_read_data(struct slice json, const char *what, vault_member_fn member, void *ret)
{
    struct enveloped in = {member, ret, false};
    struct err *e = vault_read_top(json, what, envelope_member, &in);
    return e ? e : in.data ? NULL : vault_wrong(what, "no data in it");
}

/* ---- Errors ------------------------------------------------------------------------------------------------------ */

/* Takes "2 errors occurred:\n\t* permission denied\n\t* invalid token\n\n" out of its frame. */
static void add_unframed(struct buf *out, struct slice text)
{
    static const char item[] = "\n\t* ";
    const size_t n = sizeof item - 1;
    const char *star = memmem(text.p, text.n, item, n);
    if (!star || !slice_contains((struct slice){text.p, (size_t)(star - text.p)}, " occurred:")) {
        utf8_clean(out, slice_trim(text));
        return;
    }
    for (bool first = true; star; first = false) {
        struct slice rest = {star + n, text.n - (size_t)(star + n - text.p)};
        star = memmem(rest.p, rest.n, item, n);
        if (!first)
            buf_adds(out, "; ");
        utf8_clean(out, slice_trim((struct slice){rest.p, star ? (size_t)(star - rest.p) : rest.n}));
    }
}

struct errors_read {
    struct buf *out;
    bool found;
};

static void errors_member(struct json_reader *r, struct slice key, void *arg)
{
    struct errors_read *in = arg;
    if (!slice_is(key, "errors") || json_peek(r) != JSON_ARRAY) {
        json_skip(r);
        return;
    }
    in->found = json_enter_array(r);
    while (json_next_item(r)) {
        struct slice text = json_string(r);
        if (!text.p || text.n == 0)
            continue;
        if (in->out->len > 0)
            buf_adds(in->out, "; ");
        add_unframed(in->out, text);
    }
}

bool vault_parse_errors(struct slice json, struct buf *out)
{
    struct buf text = {0};
    struct errors_read in = {.out = &text};
    struct err *e = vault_read_top(json, "errors", errors_member, &in);
    bool ok = !e && in.found;
    err_ignore(e, "a body that is not JSON is not Vault's error body: that is the answer");
    if (ok)
        buf_add(out, buf_str(&text), text.len);
    buf_free(&text);
    return ok;
}

static void status_member(struct json_reader *r, struct slice key, void *arg)
{
    bool *status = arg;
    if (slice_is(key, "kind"))
        *status = slice_is(json_string(r), "Status") || *status;
    else
        json_skip(r);
}

bool vault_body_is_own(struct slice body)
{
    bool status = false;
    struct err *e = vault_read_top(body, "body", status_member, &status);
    bool object = !e;
    err_ignore(e, "what is no object is not Vault's: that is the answer");
    return object && !status;
}
