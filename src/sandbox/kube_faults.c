/* See kube_faults.h. */
#include "sandbox/kube_faults.h"

#include <stdlib.h>
#include <string.h>

#include "base/json_doc.h"
#include "base/mem.h"
#include "sandbox/http_server.h"
#include "sandbox/kube.h"
#include "sandbox/object.h"

enum fault_way { WAY_CODE, WAY_DROP, WAY_DROP_AFTER, WAY_HANG };

struct fault {
    struct fault *next;
    char *verb, *resource; /* "*" for any; resource "plural" or "plural/subresource" */
    bool dry;              /* meets dry runs only; else never those */
    enum fault_way way;
    unsigned code;
    int64_t left; /* times; 0: always */
};

struct denial {
    struct denial *next;
    char *verb, *resource, *ns;
};

struct audit_line {
    char *line; /* "VERB RESOURCE NS/NAME MANAGER" */
    int64_t count;
};

struct kube_plan {
    struct fault *faults;
    struct denial *denials;
    struct audit_line *changes;
    size_t change_count;
    struct json_t *log; /* the lines in their order */
};

struct kube_plan *kube_plan_new(void)
{
    struct kube_plan *p = MEM_NEW(struct kube_plan);

    p->log = jd_array();
    return p;
}

static void faults_clear(struct kube_plan *p)
{
    while (p->faults) {
        struct fault *f = p->faults;
        p->faults = f->next;
        mem_free(f->verb);
        mem_free(f->resource);
        mem_free(f);
    }
}

static void denials_clear(struct kube_plan *p)
{
    while (p->denials) {
        struct denial *d = p->denials;
        p->denials = d->next;
        mem_free(d->verb);
        mem_free(d->resource);
        mem_free(d->ns);
        mem_free(d);
    }
}

static void changes_clear(struct kube_plan *p)
{
    for (size_t i = 0; i < p->change_count; i++)
        mem_free(p->changes[i].line);
    mem_free(p->changes);
    p->changes = NULL;
    p->change_count = 0;
    jd_free(p->log);
    p->log = jd_array();
}

void kube_plan_free(struct kube_plan *p)
{
    if (!p)
        return;
    faults_clear(p);
    denials_clear(p);
    changes_clear(p);
    jd_free(p->log);
    mem_free(p);
}

/* ---- Faults ------------------------------------------------------------------------------------------------------- */

static bool is_resource(const char *pattern, const char *plural, const char *sub)
{
    size_t n = strlen(plural);

    if (str_eq(pattern, "*"))
        return true;
    if (!str_starts(pattern, plural))
        return false;
    return sub ? pattern[n] == '/' && str_eq(pattern + n + 1, sub) : !pattern[n];
}

static bool is_verb(const char *pattern, const char *verb)
{
    return str_eq(pattern, "*") || str_eq(pattern, verb) ||
           (str_eq(pattern, "write") && !str_eq(verb, "get") && !str_eq(verb, "list") && !str_eq(verb, "watch"));
}

static bool is_kubectl(const struct api_call *c)
{
    const char *agent = http_request_header(c->r, "User-Agent");

    return agent && str_starts(agent, "kubectl");
}

static bool is_dry(const struct api_call *c)
{
    struct slice body = http_request_body(c->r);

    return http_request_query(c->r, "dryRun") ||
           (str_eq(http_request_method(c->r), "DELETE") && body.p && slice_contains(body, "\"dryRun\""));
}

static struct refusal *fault_worded(const struct api_call *c, const char *verb, unsigned code, const char *name);

/* What the real server says with that code, of the object that is named in the path or in the body. */
static struct refusal *fault_refusal(const struct api_call *c, const char *verb, unsigned code)
{
    struct json_t *body = NULL;
    struct slice text = http_request_body(c->r);
    err_ignore(c->name || !text.n ? NULL : jd_parse(text.p, text.n, "body", &body), "then there is no name to say");
    char *name = mem_strdup(c->name ? c->name : body && object_name(body) ? object_name(body) : "");
    struct refusal *f = fault_worded(c, verb, code, name);

    jd_free(body);
    mem_free(name);
    return f;
}

static struct refusal *fault_worded(const struct api_call *c, const char *verb, unsigned code, const char *name)
{
    switch (code) {
    case 400:
        return refuse_bad_request("admission webhook \"policy.example.com\" does not support dry run");
    case 401:
        return refusal_new(401, "Unauthorized", NULL, "Unauthorized");
    case 403:
        return api_forbidden(c, verb);
    case 404:
        return refuse_not_found(c->kind, name);
    case 409:
        return refuse_conflict(c->kind, name, NULL);
    case 422:
        return refuse_invalid(c->kind, name, "FieldValueInvalid", "spec", "Invalid value: refused by the fault that "
                                                                          "was planted");
    case 429: {
        struct refusal *f = refusal_new(429, "TooManyRequests", jd_object(), "the server has received too many requests "
                                                                             "and has asked us to try again later");
        f->retry_after = 1;
        return f;
    }
    case 503:
        return refusal_new(503, "ServiceUnavailable", jd_object(), "the server is currently unable to handle the "
                                                                   "request");
    case 504:
        return refusal_new(504, "Timeout", jd_object(), "Timeout: request did not complete within requested timeout - "
                                                        "context deadline exceeded");
    default:
        return refusal_new(500, "InternalError", jd_object(), "Internal error occurred: etcdserver: request timed out");
    }
}

static struct fault *find_fault(struct api_call *c, const char *verb)
{
    struct fault *f = c->k->plan->faults;
    bool dry = f && is_dry(c);

    while (f && (f->dry != dry || !is_verb(f->verb, verb) || !is_resource(f->resource, c->kind->plural, c->sub)))
        f = f->next;
    return f && !is_kubectl(c) ? f : NULL;
}

static void drop_fault(struct kube_plan *p, struct fault *f)
{
    struct fault **at = &p->faults;

    while (*at != f)
        at = &(*at)->next;
    *at = f->next;
    mem_free(f->verb);
    mem_free(f->resource);
    mem_free(f);
}

enum fault_end kube_fault(struct api_call *c, const char *verb, struct refusal **ret)
{
    struct fault *f = find_fault(c, verb);

    if (!f)
        return FAULT_NONE;
    enum fault_way way = f->way;
    unsigned code = f->code;
    if (f->left && --f->left == 0)
        drop_fault(c->k->plan, f);
    switch (way) {
    case WAY_CODE:
        *ret = fault_refusal(c, verb, code);
        return FAULT_REFUSED;
    case WAY_DROP:
        http_reply_none(c->r);
        return FAULT_DROPPED;
    case WAY_HANG: /* kept until its client gives up */
        return FAULT_DROPPED;
    case WAY_DROP_AFTER:
        c->drop_answer = true;
        break;
    }
    return FAULT_NONE;
}

static bool parse_way(const char *text, enum fault_way *ret, unsigned *ret_code)
{
    int64_t code = 0;

    *ret = str_eq(text, "drop") ? WAY_DROP : str_eq(text, "drop-after-commit") ? WAY_DROP_AFTER
         : str_eq(text, "hang") ? WAY_HANG : WAY_CODE;
    if (*ret == WAY_CODE && (!slice_to_i64(slice_of(text), &code) || code < 400 || code > 599))
        return false;
    *ret_code = (unsigned)code;
    return true;
}

static void faults_list(const struct kube_plan *p, struct buf *out)
{
    static const char *const ways[] = {"", "drop", "drop-after-commit", "hang"};

    for (const struct fault *f = p->faults; f; f = f->next) {
        buf_printf(out, "%s%s %s ", f->dry ? "dry-" : "", f->verb, f->resource);
        if (f->way == WAY_CODE)
            buf_printf(out, "%u", f->code);
        buf_printf(out, "%s, %lld more\n", ways[f->way], (long long)f->left);
    }
}

struct err *kube_run_fault(struct sandbox *s, int argc, char **argv, struct buf *out)
{
    struct kube_plan *p = s->kube->plan;
    enum fault_way way;
    unsigned code;
    int64_t count = 1;

    if (argc == 2 && str_eq(argv[1], "clear")) {
        faults_clear(p);
        return NULL;
    }
    if (argc == 2 && str_eq(argv[1], "list")) {
        faults_list(p, out);
        return NULL;
    }
    if (argc < 4 || argc > 5 || !parse_way(argv[3], &way, &code) ||
        (argc == 5 && (!slice_to_i64(slice_of(argv[4]), &count) || count < 0)))
        return err_new(ERR_USAGE, "usage: fault [dry-]VERB RESOURCE[/SUB] CODE|drop|drop-after-commit|hang [COUNT], "
                                  "fault list, fault clear");
    struct fault *f = MEM_NEW(struct fault), **at = &p->faults;
    bool dry = str_starts(argv[1], "dry-");
    *f = (struct fault){.verb = mem_strdup(argv[1] + (dry ? strlen("dry-") : 0)), .resource = mem_strdup(argv[2]),
                        .dry = dry, .way = way, .code = code, .left = count};
    while (*at)
        at = &(*at)->next;
    *at = f;
    return NULL;
}

/* ---- Denials ------------------------------------------------------------------------------------------------------ */

bool kube_denied(const struct kube *k, const char *verb, const char *plural, const char *sub, const char *ns)
{
    for (const struct denial *d = k->plan->denials; d; d = d->next)
        if (is_verb(d->verb, verb) && is_resource(d->resource, plural, sub) && (!d->ns || str_eq(d->ns, ns)))
            return true;
    return false;
}

struct err *kube_run_deny(struct sandbox *s, int argc, char **argv, struct buf *out)
{
    struct kube_plan *p = s->kube->plan;

    (void)out;
    if (argc == 2 && str_eq(argv[1], "clear")) {
        denials_clear(p);
        return NULL;
    }
    if (argc < 3 || argc > 4)
        return err_new(ERR_USAGE, "usage: deny VERB RESOURCE[/SUB] [NAMESPACE], deny clear");
    struct denial *d = MEM_NEW(struct denial);
    *d = (struct denial){.next = p->denials, .verb = mem_strdup(argv[1]), .resource = mem_strdup(argv[2]),
                         .ns = argc > 3 ? mem_strdup(argv[3]) : NULL};
    p->denials = d;
    return NULL;
}

/* ---- Audit -------------------------------------------------------------------------------------------------------- */

static void count_line(struct kube_plan *p, const char *line, int64_t n)
{
    for (size_t i = 0; i < p->change_count; i++) {
        if (str_eq(p->changes[i].line, line)) {
            p->changes[i].count += n;
            return;
        }
    }
    p->changes = mem_reallocarray(p->changes, p->change_count + 1, sizeof p->changes[0]);
    p->changes[p->change_count++] = (struct audit_line){mem_strdup(line), n};
}

void kube_audit(struct kube *k, const char *verb, const char *plural, const char *sub, const char *ns, const char *name,
                const char *manager)
{
    char *line = str_printf("%s %s%s%s %s%s%s %s", verb, plural, sub ? "/" : "", sub ? sub : "", ns ? ns : "",
                            ns ? "/" : "", name ? name : "", manager);

    count_line(k->plan, line, 1);
    jd_append(k->plan->log, jd_string(line));
    mem_free(line);
}

void kube_audit_save(const struct kube *k, struct json_t *state)
{
    jd_set(state, "audit", jd_copy(k->plan->log));
}

void kube_audit_load(struct kube *k, const struct json_t *state)
{
    const struct json_t *log = jd_get(state, "audit");

    for (size_t i = 0; i < jd_len(log); i++) {
        count_line(k->plan, jd_string_value(jd_at(log, i)), 1);
        jd_append(k->plan->log, jd_string(jd_string_value(jd_at(log, i))));
    }
}

static int compare_changes(const void *a, const void *b)
{
    return strcmp(((const struct audit_line *)a)->line, ((const struct audit_line *)b)->line);
}

struct err *kube_run_audit(struct sandbox *s, int argc, char **argv, struct buf *out)
{
    struct kube_plan *p = s->kube->plan;

    if (argc == 2 && str_eq(argv[1], "clear")) {
        changes_clear(p);
        return NULL;
    }
    if (argc == 2 && str_eq(argv[1], "log")) {
        for (size_t i = 0; i < jd_len(p->log); i++)
            buf_printf(out, "%s\n", jd_string_value(jd_at(p->log, i)));
        return NULL;
    }
    if (argc != 1)
        return err_new(ERR_USAGE, "usage: audit [log|clear]");
    if (p->change_count)
        qsort(p->changes, p->change_count, sizeof p->changes[0], compare_changes);
    for (size_t i = 0; i < p->change_count; i++)
        buf_printf(out, "%s %lld\n", p->changes[i].line, (long long)p->changes[i].count);
    return NULL;
}
