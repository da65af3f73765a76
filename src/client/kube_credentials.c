#include "client/kube_credentials.h"

#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/json_reader.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/secret.h"
#include "base/x509.h"
#include "client/kube_config.h"
#include "client/kube_exec.h"
#include "loop/loop.h"

enum {
    TOKEN_AGE_MS = 50 * 1000,  /* client-go: a minute less 10 s of leeway */
    EXEC_AGAIN_MS = 10 * 1000, /* a credential that is younger and refused does not get better by another run */
    EXEC_RETRY_MS = 5 * 1000,  /* how long a failed run answers for the next ones */
};

struct kube_credentials {
    struct loop *loop;
    const struct kube_config *config;
    void (*on_change)(void *arg);
    void *arg;
    struct secret *token, *basic; /* token: static, of the file or the plugin's */
    struct kube_exec_result made; /* the plugin's certificate */
    unsigned generation, connection;
    int64_t expires_ms;
    int64_t read_at_ms, made_at_ms; /* mono: token file, plugin's answer */
    bool have;                      /* the plugin has answered */
    int64_t usable_until_ms;        /* Unix time; 0: until it is refused */
    struct kube_exec *run;
    struct err *error;
    int64_t error_until_ms;
};

/* ---- When it ends ------------------------------------------------------------------------------------------------ */

static bool claim_exp(struct slice json, int64_t *ret_ms)
{
    struct json_reader j;
    struct slice key;
    int64_t exp = -1;
    json_reader_init(&j, json.p, json.n);
    if (json_enter_object(&j))
        while (json_next_key(&j, &key)) {
            if (slice_is(key, "exp"))
                exp = json_int(&j, -1);
            else
                json_skip(&j);
        }
    bool good = !json_failed(&j) && exp > 0 && exp < INT64_MAX / CLOCK_MS_PER_S;
    json_reader_free(&j);
    if (good)
        *ret_ms = exp * CLOCK_MS_PER_S;
    return good;
}

bool kube_jwt_expiry(struct slice token, int64_t *ret_ms)
{
    struct slice rest = token, part, payload;
    if (!slice_cut(&rest, '.', &part) || !slice_cut(&rest, '.', &payload) || !rest.p || payload.n == 0)
        return false;
    struct buf text = {0}, json = {0};
    for (size_t i = 0; i < payload.n; i++)
        buf_addc(&text, payload.p[i] == '-' ? '+' : payload.p[i] == '_' ? '/' : payload.p[i]);
    while (text.len % 4 != 0)
        buf_addc(&text, '=');
    bool good = hash_base64_decode(buf_slice(&text), &json) && json.len > 0 && claim_exp(buf_slice(&json), ret_ms);
    buf_free(&text);
    buf_free(&json);
    return good;
}

static void sooner(int64_t *ends_ms, int64_t ms)
{
    if (ms > 0 && (*ends_ms == 0 || ms < *ends_ms))
        *ends_ms = ms;
}

static void note_expiry(struct kube_credentials *c)
{
    int64_t ms;
    struct x509_info info;
    const char *cert = c->made.cert_pem ? c->made.cert_pem : c->config->client_cert_pem;
    c->expires_ms = 0;
    sooner(&c->expires_ms, c->made.expires_ms);
    if (c->token && kube_jwt_expiry((struct slice){secret_bytes(c->token), secret_len(c->token)}, &ms))
        sooner(&c->expires_ms, ms);
    if (cert && x509_read(cert, strlen(cert), &info)) {
        sooner(&c->expires_ms, info.not_after_ms);
        x509_info_free(&info);
    }
}

static void credentials_changed(struct kube_credentials *c)
{
    c->generation++;
    note_expiry(c);
}

/* ---- Token files ------------------------------------------------------------------------------------------------- */

/* Reads the token file; what was read last stays when it cannot be read. True if the token is another one now. */
static bool read_token_file(struct kube_credentials *c)
{
    struct secret *token = NULL;
    struct err *e = secret_from_file(c->config->token_file, &token);
    c->read_at_ms = clock_mono_ms();
    if (e) {
        log_warn("token file: %s; the token that was read before stays in use", err_text(e));
        err_ignore(e, "as client-go: the last good token stays; if it is refused, that is reported");
        return false;
    }
    if (c->token && secret_eq(token, c->token)) {
        secret_free(token);
        return false;
    }
    secret_free(c->token);
    c->token = token;
    credentials_changed(c);
    return true;
}

/* ---- Plugins ----------------------------------------------------------------------------------------------------- */

static void exec_failed(struct kube_credentials *c, struct err *e)
{
    err_free(c->error);
    c->error = e;
    c->error_until_ms = clock_mono_ms() + EXEC_RETRY_MS;
    c->have = false;
}

static void exec_done(void *arg, struct kube_exec_result *r, const struct err *e)
{
    struct kube_credentials *c = arg;
    kube_exec_free(c->run);
    c->run = NULL;
    if (e) {
        exec_failed(c, err_copy(e));
    } else {
        if (!str_eq(r->cert_pem, c->made.cert_pem))
            c->connection++;
        secret_free(c->token);
        c->token = r->token;
        r->token = NULL;
        kube_exec_result_free(&c->made);
        c->made = *r;
        *r = (struct kube_exec_result){0};
        c->have = true;
        c->made_at_ms = clock_mono_ms();
        /* One that is over when it comes (our clock may be wrong) is for the server to judge: not run for ever. */
        c->usable_until_ms = c->made.expires_ms;
        if (c->usable_until_ms > 0 && c->usable_until_ms <= clock_wall_ms())
            c->usable_until_ms = clock_wall_ms() + EXEC_AGAIN_MS;
        credentials_changed(c);
    }
    c->on_change(c->arg);
}

static enum kube_auth_state exec_run(struct kube_credentials *c)
{
    struct err *e = kube_exec_start(c->loop, c->config->exec, exec_done, c, &c->run);
    if (!e)
        return KUBE_AUTH_PENDING;
    exec_failed(c, e);
    return KUBE_AUTH_FAILED;
}

static enum kube_auth_state exec_state(struct kube_credentials *c)
{
    if (c->run)
        return KUBE_AUTH_PENDING;
    if (c->have && (c->usable_until_ms == 0 || clock_wall_ms() < c->usable_until_ms))
        return KUBE_AUTH_READY;
    if (c->error && clock_mono_ms() < c->error_until_ms)
        return KUBE_AUTH_FAILED;
    return exec_run(c);
}

/* ---- For the client ---------------------------------------------------------------------------------------------- */

static struct secret *basic_value(const struct kube_config *config)
{
    struct buf plain = {0}, value = {0};
    buf_printf(&plain, "%s:", config->basic_user);
    if (config->basic_password)
        buf_add(&plain, secret_bytes(config->basic_password), secret_len(config->basic_password));
    buf_adds(&value, "Basic ");
    hash_base64_encode(plain.p, plain.len, &value);
    struct secret *s = secret_new(value.p, value.len);
    secret_wipe(plain.p, plain.len);
    secret_wipe(value.p, value.len);
    buf_free(&plain);
    buf_free(&value);
    return s;
}

struct kube_credentials *kube_credentials_new(struct loop *l, const struct kube_config *config,
                                              void (*on_change)(void *arg), void *arg)
{
    struct kube_credentials *c = MEM_NEW(struct kube_credentials);
    *c = (struct kube_credentials){.loop = l, .config = config, .on_change = on_change, .arg = arg};
    c->token = config->token ? secret_ref(config->token) : NULL;
    c->basic = config->basic_user ? basic_value(config) : NULL;
    c->read_at_ms = clock_mono_ms();
    credentials_changed(c);
    return c;
}

void kube_credentials_free(struct kube_credentials *c)
{
    if (!c)
        return;
    kube_exec_free(c->run);
    kube_exec_result_free(&c->made);
    secret_free(c->token);
    secret_free(c->basic);
    err_free(c->error);
    mem_free(c);
}

static const char *method_of(const struct kube_config *config)
{
    if (config->exec)
        return "exec plugin";
    if (config->in_cluster)
        return "service account";
    if (config->token_file)
        return "token file";
    if (config->token)
        return "token";
    if (config->basic_user)
        return "password";
    return config->client_cert_pem ? "certificate" : "none";
}

enum kube_auth_state kube_credentials_get(struct kube_credentials *c, struct kube_auth *ret,
                                          const struct err **ret_error)
{
    const struct kube_config *config = c->config;
    enum kube_auth_state state = config->exec ? exec_state(c) : KUBE_AUTH_READY;
    if (state == KUBE_AUTH_FAILED)
        *ret_error = c->error;
    if (state != KUBE_AUTH_READY)
        return state;
    if (config->token_file && clock_mono_ms() - c->read_at_ms >= TOKEN_AGE_MS)
        read_token_file(c);
    bool made = c->made.cert_pem != NULL;
    *ret = (struct kube_auth){
        .bearer = c->token,
        .basic = c->basic,
        .cert_pem = made ? c->made.cert_pem : config->client_cert_pem,
        .key_pem = made ? c->made.key_pem : config->client_key_pem,
        .generation = c->generation,
        .connection = c->connection,
        .expires_ms = c->expires_ms,
        .method = method_of(config),
    };
    return KUBE_AUTH_READY;
}

bool kube_credentials_refused(struct kube_credentials *c, unsigned generation)
{
    if (generation != c->generation || c->run)
        return true;
    if (c->config->token_file)
        return read_token_file(c);
    if (!c->config->exec || clock_mono_ms() - c->made_at_ms < EXEC_AGAIN_MS)
        return false;
    c->have = false;
    return true;
}
