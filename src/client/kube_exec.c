#include "client/kube_exec.h"

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/json_reader.h"
#include "base/json_writer.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/secret.h"
#include "client/kube_config.h"
#include "loop/child.h"
#include "loop/loop.h"

enum { EXEC_TIMEOUT_MS = 60000, EXEC_OUTPUT_MAX = 1024 * 1024, EXEC_STDERR_LINES = 3 };

struct kube_exec {
    const struct kube_exec_config *config;
    struct child *child;
    void (*fn)(void *arg, struct kube_exec_result *r, const struct err *e);
    void *arg;
    bool delivering, freed;
};

void kube_exec_result_free(struct kube_exec_result *r)
{
    secret_free(r->token);
    mem_free(r->cert_pem);
    secret_free(r->key_pem);
    *r = (struct kube_exec_result){0};
}

char *kube_exec_info(const struct kube_exec_config *x)
{
    struct buf out = {0};
    struct json_writer w;
    jw_init(&w, &out);
    jw_object(&w);
    jw_key(&w, "kind");
    jw_str(&w, "ExecCredential");
    jw_key(&w, "apiVersion");
    jw_str(&w, x->api_version);
    jw_key(&w, "spec");
    jw_object(&w);
    jw_key(&w, "interactive");
    jw_bool(&w, false);
    if (x->provide_cluster_info && x->cluster_info_json) {
        jw_key(&w, "cluster");
        jw_raw(&w, slice_of(x->cluster_info_json));
    }
    jw_end_object(&w);
    jw_end_object(&w);
    return buf_steal(&out);
}

/* ---- The reply --------------------------------------------------------------------------------------------------- */

/* Its fields, before they are judged. */
struct reply {
    char *api_version, *kind;
    bool has_status, bad_time;
};

static struct secret *take_secret(struct json_reader *j)
{
    struct slice text = json_string(j);
    return text.n > 0 ? secret_new(text.p, text.n) : NULL;
}

static void read_time(struct json_reader *j, struct reply *reply, struct kube_exec_result *ret)
{
    struct slice text = json_string(j);
    if (text.n > 0 && !clock_parse_rfc3339(text, &ret->expires_ms))
        reply->bad_time = true;
}

static void read_reply_status(struct json_reader *j, struct reply *reply, struct kube_exec_result *ret)
{
    struct slice key;
    if (!json_enter_object(j))
        return;
    reply->has_status = true;
    while (json_next_key(j, &key)) {
        if (slice_is(key, "token") && !ret->token) {
            ret->token = take_secret(j);
        } else if (slice_is(key, "clientKeyData") && !ret->key_pem) {
            ret->key_pem = take_secret(j);
        } else if (slice_is(key, "clientCertificateData") && !ret->cert_pem) {
            struct slice text = json_string(j);
            ret->cert_pem = text.n > 0 ? slice_dup(text) : NULL;
        } else if (slice_is(key, "expirationTimestamp")) {
            read_time(j, reply, ret);
        } else {
            json_skip(j);
        }
    }
}

static void read_reply(struct json_reader *j, struct reply *reply, struct kube_exec_result *ret)
{
    struct slice key;
    if (!json_enter_object(j))
        return;
    while (json_next_key(j, &key)) {
        if (slice_is(key, "status") && !reply->has_status) {
            read_reply_status(j, reply, ret);
        } else if (slice_is(key, "apiVersion") && !reply->api_version) {
            reply->api_version = slice_dup(json_string(j));
        } else if (slice_is(key, "kind") && !reply->kind) {
            reply->kind = slice_dup(json_string(j));
        } else {
            json_skip(j);
        }
    }
}

static struct err *judge_reply(const struct kube_exec_config *x, const struct reply *reply,
                               const struct kube_exec_result *r)
{
    if (!str_eq(reply->kind, "ExecCredential"))
        return err_new(ERR_AUTH, "credential plugin %s wrote no ExecCredential", x->command);
    if (!str_eq(reply->api_version, x->api_version))
        return err_new(ERR_AUTH,
                       "credential plugin %s answered in apiVersion \"%s\", but %s was asked for: update one of them",
                       x->command, reply->api_version ? reply->api_version : "", x->api_version);
    if (!reply->has_status)
        return err_new(ERR_AUTH, "credential plugin %s wrote an ExecCredential without status", x->command);
    if (reply->bad_time)
        return err_new(ERR_AUTH, "credential plugin %s wrote an expirationTimestamp that is no time", x->command);
    if (!r->cert_pem != !r->key_pem)
        return err_new(ERR_AUTH, "credential plugin %s wrote a certificate or a key without the other", x->command);
    if (!r->token && !r->cert_pem)
        return err_new(ERR_AUTH, "credential plugin %s wrote neither token nor certificate", x->command);
    return NULL;
}

struct err *kube_exec_parse(const struct kube_exec_config *x, struct slice output, struct kube_exec_result *ret)
{
    struct json_reader j;
    struct reply reply = {0};
    struct kube_exec_result got = {0};
    json_reader_init(&j, output.p ? output.p : "", output.n);
    read_reply(&j, &reply, &got);
    struct err *e = json_finish(&j, "output");
    if (e) {
        e = err_wrap(e, "credential plugin %s wrote no ExecCredential", x->command);
        err_set_kind(e, ERR_AUTH);
    }
    for (size_t i = 0; i < ARRAY_LEN(j.scratch); i++)
        if (j.scratch[i].p)
            secret_wipe(j.scratch[i].p, j.scratch[i].cap);
    json_reader_free(&j);
    if (!e)
        e = judge_reply(x, &reply, &got);
    mem_free(reply.api_version);
    mem_free(reply.kind);
    if (e)
        kube_exec_result_free(&got);
    else
        *ret = got;
    return e;
}

/* ---- The run ----------------------------------------------------------------------------------------------------- */

/* The last lines of stderr on one line, without what looks like a secret. */
static char *last_words(struct slice text)
{
    struct slice lines[EXEC_STDERR_LINES] = {{0}};
    struct slice rest = slice_trim(text), line;
    while (rest.n > 0 && slice_cut(&rest, '\n', &line)) {
        if (slice_trim(line).n == 0)
            continue;
        memmove(lines, lines + 1, sizeof lines - sizeof lines[0]);
        lines[EXEC_STDERR_LINES - 1] = slice_trim(line);
    }
    struct buf joined = {0}, out = {0};
    for (size_t i = 0; i < EXEC_STDERR_LINES; i++) {
        if (!lines[i].p)
            continue;
        if (joined.len > 0)
            buf_adds(&joined, " / ");
        lines[i].n = lines[i].n > 300 ? 300 : lines[i].n;
        buf_add_slice(&joined, lines[i]);
    }
    log_redact(&out, buf_str(&joined));
    buf_free(&joined);
    return buf_steal(&out);
}

static struct err *exit_error(const struct kube_exec_config *x, const struct child_exit *exit)
{
    if (!exit->timed_out && !exit->overflow && exit->status == 0)
        return NULL;
    char how[64];
    if (exit->timed_out)
        str_copy(how, sizeof how, "did not end within 60 s (does it ask for something?)");
    else if (exit->overflow)
        str_copy(how, sizeof how, "wrote more than 1 MiB");
    else if (exit->signal)
        snprintf(how, sizeof how, "was ended by signal %d", exit->signal);
    else
        snprintf(how, sizeof how, "failed with status %d", exit->status);
    char *words = last_words(buf_slice(&exit->err));
    struct err *e = err_new(ERR_AUTH, "credential plugin %s %s%s%s", x->command, how, *words ? ": " : "", words);
    mem_free(words);
    return e;
}

static void exec_destroy(struct kube_exec *run)
{
    child_free(run->child);
    mem_free(run);
}

static void exec_exited(void *arg, const struct child_exit *exit)
{
    struct kube_exec *run = arg;
    struct kube_exec_result result = {0};
    struct err *e = exit_error(run->config, exit);
    if (!e)
        e = kube_exec_parse(run->config, buf_slice(&exit->out), &result);
    if (exit->out.p)
        secret_wipe(exit->out.p, exit->out.len);
    run->delivering = true;
    run->fn(run->arg, &result, e);
    run->delivering = false;
    kube_exec_result_free(&result);
    err_free(e);
    if (run->freed)
        exec_destroy(run);
}

/* command and args as one list, borrowed. */
static const char **exec_argv(const struct kube_exec_config *x)
{
    size_t n = 0;
    while (x->args && x->args[n])
        n++;
    const char **argv = mem_calloc(n + 2, sizeof *argv);
    argv[0] = x->command;
    for (size_t i = 0; i < n; i++)
        argv[i + 1] = x->args[i];
    return argv;
}

/* The stanza's env and KUBERNETES_EXEC_INFO, borrowed. */
static const char **exec_env(const struct kube_exec_config *x, const char *info)
{
    size_t n = 0;
    while (x->env && x->env[n])
        n++;
    const char **env = mem_calloc(n + 2, sizeof *env);
    for (size_t i = 0; i < n; i++)
        env[i] = x->env[i];
    env[n] = info;
    return env;
}

struct err *kube_exec_start(struct loop *l, const struct kube_exec_config *x,
                            void (*fn)(void *arg, struct kube_exec_result *r, const struct err *e), void *arg,
                            struct kube_exec **ret)
{
    struct kube_exec *run = MEM_NEW(struct kube_exec);
    *run = (struct kube_exec){.config = x, .fn = fn, .arg = arg};
    char *value = kube_exec_info(x);
    char *info = str_printf("KUBERNETES_EXEC_INFO=%s", value);
    const char **argv = exec_argv(x), **env = exec_env(x, info);
    struct child_options o = {
        .argv = argv,
        .env = env,
        .inherit_env = true,
        .timeout_ms = EXEC_TIMEOUT_MS,
        .max_output = EXEC_OUTPUT_MAX,
        .on_exit = exec_exited,
        .arg = run,
    };
    struct err *e = child_spawn(l, &o, &run->child);
    mem_free(value);
    mem_free(info);
    mem_free(argv);
    mem_free(env);
    if (!e) {
        *ret = run;
        return NULL;
    }
    mem_free(run);
    e = err_wrap(e, "credential plugin %s%s%s", x->command, x->install_hint ? ": " : "",
                 x->install_hint ? x->install_hint : "");
    err_set_kind(e, ERR_AUTH);
    return e;
}

void kube_exec_free(struct kube_exec *run)
{
    if (!run)
        return;
    if (run->delivering)
        run->freed = true;
    else
        exec_destroy(run);
}
