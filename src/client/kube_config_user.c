/* A user's credentials, and what a credential plugin is told. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/json_writer.h"
#include "base/mem.h"
#include "base/secret.h"
#include "base/str.h"
#include "base/utf8.h"
#include "base/yaml.h"
#include "client/kube_config.h"
#include "client/kube_config_file.h"
#include "client/kube_config_private.h"

/* ---- Static credentials ------------------------------------------------------------------------------------------ */

static struct err *read_certificate(struct kube_config *c, const struct kube_stanza *s)
{
    struct buf cert = {0}, key = {0};
    struct err *e = kube_stanza_bytes(s, "client-certificate", &cert);
    if (!e)
        e = kube_stanza_bytes(s, "client-key", &key);
    if (!e && (cert.len > 0) != (key.len > 0))
        e = kube_stanza_err(s, NULL, "user \"%s\" has a client %s without a %s", c->user,
                            cert.len ? "certificate" : "key", cert.len ? "client-key" : "client-certificate");
    if (!e && cert.len > 0) {
        c->client_cert_pem = buf_steal(&cert);
        c->client_key_pem = secret_new(key.p, key.len);
    }
    if (key.p)
        secret_wipe(key.p, key.len);
    buf_free(&cert);
    buf_free(&key);
    return e;
}

/* token and tokenFile: a file alone must be readable now; with both the token serves until the file can be read. */
static struct err *read_token(struct kube_config *c, const struct kube_stanza *s)
{
    const char *token;
    struct err *e = kube_stanza_text(s, s->body, "token", &token);
    if (!e)
        e = kube_stanza_path(s, "tokenFile", &c->token_file);
    if (e)
        return e;
    if (c->token_file && s->inline_only)
        return kube_stanza_err(s, yaml_get(s->body, "tokenFile"), "\"tokenFile\" names a file");
    if (c->token_file) {
        struct err *cause = secret_from_file(c->token_file, &c->token);
        if (cause && !token)
            e = kube_stanza_err(s, yaml_get(s->body, "tokenFile"), "tokenFile: %s", err_text(cause));
        err_free(cause);
    }
    if (!e && token && !c->token)
        c->token = secret_new(token, strlen(token));
    return e;
}

static struct err *read_basic(struct kube_config *c, const struct kube_stanza *s)
{
    const char *password;
    struct err *e = kube_stanza_copy(s, s->body, "username", &c->basic_user);
    if (!e)
        e = kube_stanza_text(s, s->body, "password", &password);
    if (!e && c->basic_user)
        c->basic_password = secret_new(password ? password : "", password ? strlen(password) : 0);
    if (!e && c->basic_user && (c->token || c->token_file))
        e = kube_stanza_err(s, NULL, "user \"%s\" has a token and a username: only one is allowed", c->user);
    return e;
}

/* as-user-extra: KEY -> list of texts, as "KEY=value". */
static struct err *read_extra(struct kube_config *c, const struct kube_stanza *s)
{
    const struct yaml_node *map = yaml_get(s->body, "as-user-extra");
    if (!map || yaml_is_null(map))
        return NULL;
    if (map->kind != YAML_MAP)
        return kube_stanza_err(s, map, "\"as-user-extra\" must be a map");
    size_t count = 0;
    c->as_extra = mem_calloc(1, sizeof *c->as_extra);
    for (size_t i = 0; i < map->count; i++) {
        char **values;
        struct err *e = kube_stanza_list(s, map, map->keys[i]->text, &values);
        if (e)
            return e;
        for (size_t j = 0; values && values[j]; j++) {
            c->as_extra = mem_reallocarray(c->as_extra, count + 2, sizeof *c->as_extra);
            c->as_extra[count++] = str_printf("%s=%s", map->keys[i]->text, values[j]);
            c->as_extra[count] = NULL;
        }
        kube_strings_free(values);
    }
    return NULL;
}

static struct err *read_impersonation(struct kube_config *c, const struct kube_stanza *s)
{
    struct err *e = kube_stanza_copy(s, s->body, "as", &c->as_user);
    if (!e)
        e = kube_stanza_copy(s, s->body, "as-uid", &c->as_uid);
    if (!e)
        e = kube_stanza_list(s, s->body, "as-groups", &c->as_groups);
    if (!e)
        e = read_extra(c, s);
    if (!e && !c->as_user && (c->as_uid || c->as_groups || c->as_extra))
        e = kube_stanza_err(s, NULL, "user \"%s\" impersonates a uid, groups or extras without a user (\"as\")",
                            c->user);
    return e;
}

struct err *kube_config_read_user(struct kube_config *c, const struct kube_stanza *user,
                                  const struct kube_stanza *cluster)
{
    if (!user->body)
        return NULL;
    struct err *e = read_certificate(c, user);
    if (!e)
        e = read_token(c, user);
    if (!e)
        e = read_basic(c, user);
    if (!e)
        e = read_impersonation(c, user);
    if (e)
        return e;
    const struct yaml_node *provider = yaml_get(user->body, "auth-provider");
    const struct yaml_node *exec = yaml_get(user->body, "exec");
    if (provider && !yaml_is_null(provider)) {
        const char *name = yaml_str(provider, "name");
        return kube_stanza_err(user, provider,
                               "auth-provider \"%s\" is not supported: use an exec plugin (for oidc: kubelogin)",
                               name ? name : "");
    }
    /* A plugin is asked only if nothing else is there (client-go: it is skipped when other credentials are given). */
    bool other = c->token || c->token_file || c->basic_user || c->client_cert_pem;
    return exec && !yaml_is_null(exec) && !other ? kube_config_read_exec(c, user, cluster) : NULL;
}

/* ---- exec -------------------------------------------------------------------------------------------------------- */

/* A scalar as JSON: quoted ones are texts; plain ones are what they look like. */
static void write_scalar(struct json_writer *w, const struct yaml_node *n)
{
    bool flag;
    int64_t number;
    if (yaml_is_null(n)) {
        jw_null(w);
    } else if (yaml_bool(n, &flag)) {
        jw_bool(w, flag);
    } else if (yaml_int(n, &number)) {
        jw_int(w, number);
    } else {
        char *end = NULL;
        double real = n->quoted || !*n->text ? 0 : strtod(n->text, &end);
        if (end && !*end && isfinite(real))
            jw_real(w, real);
        else
            jw_str(w, n->text);
    }
}

/* Depth is bounded by yaml_parse. */
static void write_yaml(struct json_writer *w, const struct yaml_node *n)
{
    if (n->kind == YAML_SCALAR) {
        write_scalar(w, n);
        return;
    }
    bool map = n->kind == YAML_MAP;
    map ? jw_object(w) : jw_array(w);
    for (size_t i = 0; i < n->count; i++) {
        if (map)
            jw_key(w, n->keys[i]->text);
        write_yaml(w, n->values[i]);
    }
    map ? jw_end_object(w) : jw_end_array(w);
}

/* The cluster's extension for credential plugins, spec.cluster.config of ExecCredential. */
static const struct yaml_node *exec_extension(const struct kube_stanza *cluster)
{
    const struct yaml_node *list = cluster->body ? yaml_get(cluster->body, "extensions") : NULL;
    for (size_t i = 0; list && list->kind == YAML_LIST && i < list->count; i++)
        if (str_eq(yaml_str(list->values[i], "name"), "client.authentication.k8s.io/exec"))
            return yaml_get(list->values[i], "extension");
    return NULL;
}

static void write_text(struct json_writer *w, const char *key, const char *text)
{
    if (!text)
        return;
    jw_key(w, key);
    jw_str(w, text);
}

static void write_flag(struct json_writer *w, const char *key, bool flag)
{
    if (!flag)
        return;
    jw_key(w, key);
    jw_bool(w, true);
}

/* spec.cluster (https://kubernetes.io/docs/reference/config-api/client-authentication.v1/). */
static char *cluster_info(const struct kube_config *c, const struct kube_stanza *cluster)
{
    struct buf out = {0};
    struct json_writer w;
    jw_init(&w, &out);
    jw_object(&w);
    write_text(&w, "server", c->server);
    write_text(&w, "tls-server-name", c->tls_server_name);
    write_flag(&w, "insecure-skip-tls-verify", c->insecure);
    if (c->ca_pem) {
        struct buf ca = {0};
        hash_base64_encode(c->ca_pem, strlen(c->ca_pem), &ca);
        write_text(&w, "certificate-authority-data", buf_str(&ca));
        buf_free(&ca);
    }
    write_text(&w, "proxy-url", c->proxy_url);
    write_flag(&w, "disable-compression", c->disable_compression);
    const struct yaml_node *extension = exec_extension(cluster);
    if (extension) {
        jw_key(&w, "config");
        write_yaml(&w, extension);
    }
    jw_end_object(&w);
    return buf_steal(&out);
}

static struct err *read_env(struct kube_exec_config *x, const struct kube_stanza *s, const struct yaml_node *exec)
{
    const struct yaml_node *list = yaml_get(exec, "env");
    if (!list || yaml_is_null(list))
        return NULL;
    if (list->kind != YAML_LIST)
        return kube_stanza_err(s, list, "\"env\" must be a list of {name, value}");
    x->env = mem_calloc(list->count + 1, sizeof *x->env);
    for (size_t i = 0; i < list->count; i++) {
        const char *name = NULL, *value = NULL;
        const struct yaml_node *entry = list->values[i];
        if (entry->kind != YAML_MAP)
            return kube_stanza_err(s, entry, "\"env\" must be a list of {name, value}");
        struct err *e = kube_stanza_text(s, entry, "name", &name);
        if (!e)
            e = kube_stanza_text(s, entry, "value", &value);
        if (e)
            return e;
        if (!name || strchr(name, '='))
            return kube_stanza_err(s, entry, "an entry of \"env\" needs a name");
        x->env[i] = str_printf("%s=%s", name, value ? value : "");
    }
    return NULL;
}

/* Relative to the file's folder only if it has a slash: else it is looked up in PATH. */
static struct err *read_command(struct kube_exec_config *x, const struct kube_stanza *s, const struct yaml_node *exec)
{
    const char *command;
    struct err *e = kube_stanza_text(s, exec, "command", &command);
    if (e)
        return e;
    if (!command)
        return kube_stanza_err(s, exec, "exec has no command");
    if (strchr(command, '/')) {
        char *dir = file_dirname(s->file);
        x->command = file_resolve(dir, command);
        mem_free(dir);
    } else {
        x->command = mem_strdup(command);
    }
    return NULL;
}

/* apiVersion and interactiveMode, which say how the plugin is to be spoken to. */
static struct err *read_protocol(struct kube_exec_config *x, const struct kube_stanza *s, const struct yaml_node *exec)
{
    const char *mode;
    struct err *e = kube_stanza_copy(s, exec, "apiVersion", &x->api_version);
    if (!e)
        e = kube_stanza_text(s, exec, "interactiveMode", &mode);
    if (e)
        return e;
    bool v1 = str_eq(x->api_version, "client.authentication.k8s.io/v1");
    if (!v1 && !str_eq(x->api_version, "client.authentication.k8s.io/v1beta1"))
        return kube_stanza_err(s, exec,
                               "exec apiVersion \"%s\" is not supported: client.authentication.k8s.io/v1 or v1beta1",
                               x->api_version ? x->api_version : "");
    if (!mode && v1)
        return kube_stanza_err(s, exec, "exec of apiVersion v1 needs interactiveMode: Never or IfAvailable");
    if (!mode || str_eq(mode, "Never") || str_eq(mode, "IfAvailable"))
        return NULL;
    if (str_eq(mode, "Always"))
        return kube_stanza_err(s, yaml_get(exec, "interactiveMode"),
                               "the credential plugin %s wants a terminal (interactiveMode: Always), which ferryman "
                               "cannot give: log in with it beforehand and set interactiveMode: IfAvailable",
                               x->command);
    return kube_stanza_err(s, yaml_get(exec, "interactiveMode"),
                           "interactiveMode \"%s\" is none of Never, IfAvailable, Always", mode);
}

struct err *kube_config_read_exec(struct kube_config *c, const struct kube_stanza *user,
                                  const struct kube_stanza *cluster)
{
    const struct yaml_node *exec = yaml_get(user->body, "exec");
    if (exec->kind != YAML_MAP)
        return kube_stanza_err(user, exec, "\"exec\" must be a map");
    struct kube_exec_config *x = MEM_NEW(struct kube_exec_config);
    c->exec = x;
    const char *hint = NULL;
    struct kube_stanza here = *user;
    here.body = exec;
    struct err *e = read_command(x, user, exec);
    if (!e)
        e = read_protocol(x, user, exec);
    if (!e)
        e = kube_stanza_list(user, exec, "args", &x->args);
    if (!e)
        e = read_env(x, user, exec);
    if (!e)
        e = kube_stanza_bool(&here, "provideClusterInfo", &x->provide_cluster_info);
    if (!e)
        e = kube_stanza_text(user, exec, "installHint", &hint);
    if (e)
        return e;
    if (hint)
        x->install_hint = utf8_cleaned(slice_trim(slice_of(hint)));
    if (x->provide_cluster_info)
        x->cluster_info_json = cluster_info(c, cluster);
    return NULL;
}
