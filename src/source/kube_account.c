/* Who we are at the API server, whether it takes us, and whether it is the cluster that the plan pins. */
#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "client/kube_client.h"
#include "client/kube_config.h"
#include "net/http.h"
#include "source/kube_source_private.h"

enum { UID_RETRY_MS = 30000, COUNT_EVERY_MS = 5000, MINUTE_SAMPLES = 12, API_STALE_MS = 45000, BODY_MAX = 1024 * 1024 };

struct kube_account {
    struct kube_source *s;
    struct source_row *row; /* kube/api */
    struct kube_request *request;
    char *user, *groups, *method, *server, *context, *version, *uid;
    const char *state;
    int64_t expires_ms, uid_asked_ms, counted_ms;
    int64_t well_since_ms; /* mono */
    bool uid_wanted, unwell;
    unsigned counts[MINUTE_SAMPLES], at;
};

static void write_row(struct kube_account *a) {
    struct cell cells[CREDENTIALS_COLS] = {
        [CREDENTIALS_USER] = cell_text(a->user),
        [CREDENTIALS_GROUPS] = cell_text(a->groups),
        [CREDENTIALS_METHOD] = cell_text(a->method),
        [CREDENTIALS_CONTEXT] = cell_text(a->context),
        [CREDENTIALS_SERVER] = cell_text(a->server),
        [CREDENTIALS_VERSION] = cell_text(a->version),
        [CREDENTIALS_IDENTITY] = cell_text(a->uid),
        [CREDENTIALS_EXPIRES] = a->expires_ms > 0 ? cell_int(a->expires_ms) : CELL_NONE,
        [CREDENTIALS_STATE] = cell_text(a->state),
    };
    world_upsert(a->s->o.world, T_CREDENTIALS, SLICE_LIT("kube"), source_row_key(a->row), cells);
}

static char *cleaned(const char *s) {
    return s ? utf8_cleaned(slice_of(s)) : NULL;
}

static void set_clean(char **dst, const char *src) {
    mem_free(*dst);
    *dst = cleaned(src);
}

static void write_detail(struct kube_account *a) {
    char *text = a->version ? str_printf("%s, %s", a->server ? a->server : "?", a->version) : mem_strdup(a->server);
    source_row_detail(a->row, text);
    mem_free(text);
}

struct kube_account *kube_account_new(struct kube_source *s) {
    struct kube_account *a = MEM_NEW(struct kube_account);
    const struct kube_config *c = s->o.config;
    *a = (struct kube_account){.s = s, .state = "UNKNOWN", .uid_wanted = true};
    if (c) {
        a->server = cleaned(c->server);
        a->context = cleaned(c->in_cluster ? "in-cluster" : c->context);
    }
    a->row = source_row_new(s->o.world, "kube", "api", API_STALE_MS);
    write_detail(a);
    write_row(a);
    return a;
}

void kube_account_free(struct kube_account *a) {
    if (!a) return;
    kube_request_free(a->request);
    source_row_free(a->row, false);
    char *texts[] = {a->user, a->groups, a->method, a->server, a->context, a->version, a->uid};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) mem_free(texts[i]);
    mem_free(a);
}

/* ---- What the client says ---------------------------------------------------------------------------------------- */

void kube_account_identity(void *arg, const char *user, const char *groups, const char *method, int64_t expires_ms) {
    struct kube_account *a = ((struct kube_source *)arg)->account;
    set_clean(&a->user, user);
    set_clean(&a->groups, groups);
    set_clean(&a->method, method);
    a->expires_ms = expires_ms;
    if (!a->unwell) a->state = "OK";
    write_row(a);
}

void kube_account_version(void *arg, const char *git_version) {
    struct kube_account *a = ((struct kube_source *)arg)->account;
    set_clean(&a->version, git_version);
    write_detail(a);
    write_row(a);
}

void kube_account_health(void *arg, const struct err *error) {
    struct kube_account *a = ((struct kube_source *)arg)->account;
    enum err_kind kind = error ? err_kind(error) : ERR_FAILED;
    bool was_unwell = a->unwell;
    a->unwell = error != NULL;
    if (!error) {
        a->state = a->user ? "OK" : "UNKNOWN";
        a->uid_wanted = a->uid_wanted || was_unwell; /* it may be another server that answers now */
        a->uid_asked_ms = 0;
        a->well_since_ms = clock_mono_ms();
        source_row_ok(a->row, true);
    } else {
        if (kind == ERR_AUTH) a->state = "EXPIRED";
        else if (kind == ERR_DENIED) a->state = "DENIED";
        source_row_failed(a->row, error, 0);
    }
    write_row(a);
}

void kube_account_alive(struct kube_account *a) {
    if (!a->unwell) source_row_ok(a->row, true);
}

int64_t kube_account_well_for_ms(const struct kube_account *a) {
    return a->unwell ? -1 : clock_mono_ms() - a->well_since_ms;
}

/* ---- The cluster's uid ------------------------------------------------------------------------------------------- */

static void on_namespace(void *arg, const struct http_result *r, const struct err *e) {
    struct kube_account *a = arg;
    struct kube_source *s = a->s;
    struct kube_meta m;
    struct err *bad = e ? NULL : kube_meta_parse(&s->arena, r->body ? buf_slice(r->body) : SLICE_LIT(""), &m);
    char *uid = e || bad ? NULL : slice_dup(m.uid);
    kube_arena_reset(&s->arena);
    kube_request_free(a->request);
    a->request = NULL;
    if (bad) log_warn("kube-system: %s", err_text(bad));
    err_free(bad);
    if (!uid) return;
    a->uid_wanted = false;
    if (!str_eq(uid, a->uid)) {
        str_set(&a->uid, uid);
        write_row(a);
        if (s->o.on_cluster) s->o.on_cluster(s->o.arg, uid, s->o.cluster_uid && !str_eq(uid, s->o.cluster_uid));
    }
    mem_free(uid);
}

static void ask_uid(struct kube_account *a) {
    a->uid_asked_ms = clock_mono_ms();
    a->request = kube_start(a->s->client, &(struct kube_call){.path = "/api/v1/namespaces/kube-system",
                                                              .max_body = BODY_MAX,
                                                              .on_done = on_namespace,
                                                              .arg = a});
}

/* ---- From time to time ------------------------------------------------------------------------------------------- */

static void count_requests(struct kube_account *a) {
    int64_t sum = 0;
    a->counted_ms = clock_mono_ms();
    a->counts[a->at++ % MINUTE_SAMPLES] = kube_client_take_count(a->s->client);
    for (size_t i = 0; i < MINUTE_SAMPLES; i++) sum += a->counts[i];
    source_row_requests(a->row, sum);
}

void kube_account_tick(struct kube_account *a) {
    int64_t now = clock_mono_ms();
    if (now - a->counted_ms >= COUNT_EVERY_MS) count_requests(a);
    if (a->uid_wanted && !a->request && !a->unwell && (a->uid_asked_ms == 0 || now - a->uid_asked_ms >= UID_RETRY_MS))
        ask_uid(a);
}
