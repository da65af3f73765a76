/* Status documents, and the error that a refused request becomes. Shapes: tests/wire; a 429 of the server's
 * own filters is plain text. */
#include <string.h>

#include "base/buf.h"
#include "base/json_reader.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "client/kube_client.h"
#include "client/kube_client_private.h"
#include "net/http.h"

/* A bounded cleaned copy that ends between characters. */
static void copy_clean(char *dst, size_t size, struct slice text)
{
    struct buf clean = {0};
    utf8_clean(&clean, text);
    size_t n = clean.len < size ? clean.len : size - 1;
    while (n > 0 && n < clean.len && ((unsigned char)clean.p[n] & 0xc0) == 0x80)
        n--;
    if (n > 0)
        memcpy(dst, clean.p, n);
    dst[n] = '\0';
    buf_free(&clean);
}

/* A token is whole or of no use. */
static void read_metadata(struct json_reader *j, struct kube_status *s)
{
    struct slice key;
    if (!json_enter_object(j))
        return;
    while (json_next_key(j, &key)) {
        if (!slice_is(key, "continue")) {
            json_skip(j);
            continue;
        }
        struct slice token = json_string(j);
        if (token.n > 0 && token.n < sizeof s->continue_token) {
            memcpy(s->continue_token, token.p, token.n);
            s->continue_token[token.n] = '\0';
        }
    }
}

static void read_causes(struct json_reader *j, struct kube_status *s)
{
    struct slice key;
    if (!json_enter_array(j))
        return;
    while (json_next_item(j)) {
        if (!json_enter_object(j))
            continue;
        while (json_next_key(j, &key)) {
            if (!slice_is(key, "reason"))
                json_skip(j);
            else if (slice_is(json_string(j), "ResourceVersionTooLarge"))
                s->too_large_rv = true;
        }
    }
}

static void read_details(struct json_reader *j, struct kube_status *s)
{
    struct slice key;
    if (!json_enter_object(j))
        return;
    while (json_next_key(j, &key)) {
        if (slice_is(key, "retryAfterSeconds"))
            s->retry_after_s = json_int(j, -1);
        else if (slice_is(key, "causes"))
            read_causes(j, s);
        else
            json_skip(j);
    }
}

/* The server's own timeout filter leaves kind out: {"metadata":{},"status":"Failure",…} (seen on 1.36). */
static bool read_status(struct json_reader *j, struct kube_status *s)
{
    struct slice key;
    bool is_status = false, other_kind = false, failure = false;
    if (!json_enter_object(j))
        return false;
    while (json_next_key(j, &key)) {
        if (slice_is(key, "kind"))
            other_kind = !(is_status = slice_is(json_string(j), "Status"));
        else if (slice_is(key, "status") && json_peek(j) == JSON_STRING)
            failure = slice_is(json_string(j), "Failure");
        else if (slice_is(key, "code"))
            s->code = (int)json_int(j, 0);
        else if (slice_is(key, "reason"))
            copy_clean(s->reason, sizeof s->reason, json_string(j));
        else if (slice_is(key, "message"))
            copy_clean(s->message, sizeof s->message, json_string(j));
        else if (slice_is(key, "metadata"))
            read_metadata(j, s);
        else if (slice_is(key, "details"))
            read_details(j, s);
        else
            json_skip(j);
    }
    return (is_status || (failure && !other_kind)) && !json_failed(j);
}

void kube_status_parse(struct slice json, struct kube_status *ret)
{
    static const struct kube_status none = {.retry_after_s = -1};
    struct json_reader j;
    *ret = none;
    if (!json.p)
        return;
    json_reader_init(&j, json.p, json.n);
    if (!read_status(&j, ret))
        *ret = none;
    else if (strstr(ret->message, "Too large resource version"))
        ret->too_large_rv = true;
    json_reader_free(&j);
    if (ret->retry_after_s < 0)
        ret->retry_after_s = -1;
}

static enum err_kind kind_of(int code)
{
    if (code == 401)
        return ERR_AUTH;
    if (code == 403)
        return ERR_DENIED;
    if (code == 429 || code >= 500)
        return ERR_UNAVAILABLE;
    return code >= 400 ? ERR_FAILED : ERR_PROTOCOL;
}

static const char *phrase_of(int code)
{
    static const struct {
        int code;
        const char *phrase;
    } phrases[] = {
        {400, "Bad Request"},       {401, "Unauthorized"},      {403, "Forbidden"},
        {404, "Not Found"},         {409, "Conflict"},          {410, "Gone"},
        {422, "Invalid"},           {429, "Too Many Requests"}, {500, "Internal Server Error"},
        {502, "Bad Gateway"},       {503, "Unavailable"},       {504, "Gateway Timeout"},
    };
    for (size_t i = 0; i < ARRAY_LEN(phrases); i++)
        if (phrases[i].code == code)
            return phrases[i].phrase;
    return code >= 300 && code < 400 ? "redirect, which is not followed" : "";
}

struct err *kube_status_err(const char *name, const char *method, const char *path, int code, struct slice body)
{
    struct kube_status s;
    kube_status_parse(body, &s);
    if (s.code == 0) {
        struct slice line = body.p ? slice_trim(body) : SLICE_LIT("");
        bool html = line.n > 0 && line.p[0] == '<';
        copy_clean(s.message, 200, html ? SLICE_LIT("") : line);
    }
    const char *remedy = code == 401 ? "; the credentials are not accepted: log in again or renew the token" : "";
    return err_new(kind_of(code), "%s: %s %.*s: %d %s%s%s%s", name, method, (int)strcspn(path, "?"), path, code,
                   phrase_of(code), *s.message ? ": " : "", s.message, remedy);
}
