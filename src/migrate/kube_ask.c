#include "migrate/kube_ask.h"

#include "base/buf.h"
#include "base/json_doc.h"
#include "base/mem.h"
#include "base/str.h"
#include "client/kube_client.h"
#include "net/http.h"

enum { ASK_TIMEOUT_MS = 10000 };

struct kube_ask {
    struct kube_request *request;
    kube_ask_fn fn;
    void *arg;
    char *what; /* "GET /apis/…", for errors */
    bool delivering, freed;
};

static void ask_destroy(struct kube_ask *a)
{
    kube_request_free(a->request);
    mem_free(a->what);
    mem_free(a);
}

static void ask_done(void *arg, const struct http_result *r, const struct err *e)
{
    struct kube_ask *a = arg;
    struct json_t *doc = NULL;
    struct err *bad = r->body && r->body->len > 0 ? jd_parse(r->body->p, r->body->len, "the answer", &doc) : NULL;
    if (!e && !doc)
        bad = bad ? bad : err_new(ERR_PROTOCOL, "the answer is empty");
    bad = bad ? err_wrap(bad, "%s", a->what) : NULL;
    if (bad)
        err_set_kind(bad, ERR_PROTOCOL);
    a->delivering = true;
    a->fn(a->arg, r->status, doc, e ? e : bad);
    a->delivering = false;
    jd_free(doc);
    err_free(bad);
    if (a->freed)
        ask_destroy(a);
}

struct kube_ask *kube_ask_new(struct kube_client *c, const char *method, const char *path, const struct json_t *body,
                              int64_t timeout_ms, kube_ask_fn fn, void *arg)
{
    struct kube_ask *a = MEM_NEW(struct kube_ask);
    struct buf text = {0};
    if (body)
        jd_dump(body, &text);
    struct kube_call call = {
        .method = method,
        .path = path,
        .body = body ? buf_str(&text) : NULL,
        .content_type = body ? "application/json" : NULL,
        .timeout_ms = timeout_ms ? timeout_ms : ASK_TIMEOUT_MS,
        .on_done = ask_done,
        .arg = a,
    };
    a->fn = fn;
    a->arg = arg;
    a->what = str_printf("%s %s", method, path);
    a->request = kube_start(c, &call);
    buf_free(&text);
    return a;
}

void kube_ask_free(struct kube_ask *a)
{
    if (!a)
        return;
    if (a->delivering)
        a->freed = true;
    else
        ask_destroy(a);
}
