/* From the files' stanzas to one connection: context, cluster, namespace. Users are in kube_config_user.c. */
#include "client/kube_config.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/secret.h"
#include "base/str.h"
#include "base/yaml.h"
#include "client/kube_config_file.h"
#include "client/kube_config_private.h"

static void exec_free(struct kube_exec_config *x)
{
    if (!x)
        return;
    mem_free(x->command);
    kube_strings_free(x->args);
    kube_strings_free(x->env);
    mem_free(x->api_version);
    mem_free(x->install_hint);
    mem_free(x->cluster_info_json);
    mem_free(x);
}

void kube_config_free(struct kube_config *c)
{
    if (!c)
        return;
    char *texts[] = {
        c->context,         c->cluster,   c->user,   c->ns,              c->file,       c->server,     c->as_user,
        c->tls_server_name, c->proxy_url, c->ca_pem, c->client_cert_pem, c->token_file, c->basic_user, c->as_uid,
    };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        mem_free(texts[i]);
    secret_free(c->client_key_pem);
    secret_free(c->token);
    secret_free(c->basic_password);
    kube_strings_free(c->as_groups);
    kube_strings_free(c->as_extra);
    exec_free(c->exec);
    mem_free(c);
}

/* ---- The cluster ------------------------------------------------------------------------------------------------- */

/* "https://host:port/path": a scheme is put in front as client-go does it, and slashes at the end go. */
static char *server_url(const char *text, bool has_tls)
{
    const char *scheme = strstr(text, "://") ? "" : has_tls ? "https://" : "http://";
    char *url = str_printf("%s%s", scheme, text);
    size_t n = strlen(url);
    while (n > 0 && url[n - 1] == '/')
        url[--n] = '\0';
    return url;
}

static bool url_is_good(const char *url)
{
    const char *host = str_starts(url, "https://") ? url + 8 : str_starts(url, "http://") ? url + 7 : NULL;
    if (!host || !*host || *host == '/' || *host == ':')
        return false;
    for (const char *p = host; *p; p++)
        if ((unsigned char)*p <= ' ' || *p == '?' || *p == '#' || *p == '@')
            return false;
    return true;
}

static bool proxy_is_good(const char *url)
{
    return str_starts(url, "http://") || str_starts(url, "https://") || str_starts(url, "socks5://");
}

/* Server's address and the proxy's, once the rest of the cluster is read. */
static struct err *read_addresses(struct kube_config *c, const struct kube_stanza *s)
{
    const char *server;
    struct err *e = kube_stanza_text(s, s->body, "server", &server);
    if (e)
        return e;
    if (!server)
        return kube_stanza_err(s, NULL, "cluster \"%s\" has no server", c->cluster);
    c->server = server_url(server, c->ca_pem || c->insecure);
    if (!url_is_good(c->server))
        return kube_stanza_err(s, yaml_get(s->body, "server"), "server \"%s\" is no http or https address", server);
    e = kube_stanza_copy(s, s->body, "proxy-url", &c->proxy_url);
    if (!e && c->proxy_url && !proxy_is_good(c->proxy_url))
        e = kube_stanza_err(s, yaml_get(s->body, "proxy-url"),
                            "proxy-url must begin with http://, https:// or socks5://");
    return e;
}

static struct err *read_cluster(struct kube_config *c, const struct kube_stanza *s)
{
    struct buf ca = {0};
    struct err *e = kube_stanza_copy(s, s->body, "tls-server-name", &c->tls_server_name);
    if (!e)
        e = kube_stanza_bool(s, "insecure-skip-tls-verify", &c->insecure);
    if (!e)
        e = kube_stanza_bool(s, "disable-compression", &c->disable_compression);
    if (!e && s->body)
        e = kube_stanza_bytes(s, "certificate-authority", &ca);
    if (!e && ca.len > 0)
        c->ca_pem = buf_steal(&ca);
    buf_free(&ca);
    if (!e && c->insecure && c->ca_pem)
        e = kube_stanza_err(s, yaml_get(s->body, "insecure-skip-tls-verify"),
                            "insecure-skip-tls-verify and a certificate authority exclude each other: remove one");
    return e ? e : read_addresses(c, s);
}

/* ---- The context ------------------------------------------------------------------------------------------------- */

static struct err *no_context(const struct kube_files *f, const char *context)
{
    struct buf names = {0};
    kube_files_names(f, "contexts", &names);
    struct err *e;
    if (context)
        e = err_new(ERR_DATA, "kubeconfig %s has no context \"%s\"; there are: %s", kube_files_tried(f), context,
                    buf_str(&names));
    else
        e = err_new(ERR_DATA, "kubeconfig %s sets no current-context; choose one with --context: %s",
                    kube_files_tried(f), buf_str(&names));
    buf_free(&names);
    return e;
}

static struct err *read_context(struct kube_config *c, const struct kube_stanza *s)
{
    str_set(&c->file, s->file);
    struct err *e = kube_stanza_copy(s, s->body, "cluster", &c->cluster);
    if (!e)
        e = kube_stanza_copy(s, s->body, "user", &c->user);
    if (!e)
        e = kube_stanza_copy(s, s->body, "namespace", &c->ns);
    if (!e && !c->ns)
        c->ns = mem_strdup("default");
    if (!e && !c->cluster)
        e = kube_stanza_err(s, NULL, "context \"%s\" names no cluster", c->context);
    return e;
}

/* The stanza that the context names, or an error that says where the name stands. */
static struct err *follow(const struct kube_files *f, const struct kube_stanza *context, const char *list,
                          const char *key, const char *name, struct kube_stanza *ret)
{
    if (kube_files_find(f, list, name, ret))
        return NULL;
    struct buf names = {0};
    kube_files_names(f, list, &names);
    struct err *e = kube_stanza_err(context, yaml_get(context->body, key), "%s \"%s\" is not defined; there are: %s",
                                    key, name, buf_str(&names));
    buf_free(&names);
    return e;
}

static struct err *resolve(struct kube_config *c, const struct kube_files *f)
{
    struct kube_stanza context, cluster, user;
    if (!kube_files_find(f, "contexts", c->context, &context))
        return no_context(f, c->context);
    struct err *e = read_context(c, &context);
    if (!e)
        e = follow(f, &context, "clusters", "cluster", c->cluster, &cluster);
    if (!e)
        e = read_cluster(c, &cluster);
    if (e || !c->user)
        return e;
    e = follow(f, &context, "users", "user", c->user, &user);
    /* As kubectl: credentials go to a server that TLS protects, and to no other. */
    if (!e && str_starts(c->server, "https://"))
        e = kube_config_read_user(c, &user, &cluster);
    return e;
}

struct err *kube_config_resolve(const struct kube_files *f, const char *context, struct kube_config **ret)
{
    const char *name = context && *context ? context : kube_files_current(f);
    if (!name)
        return no_context(f, NULL);
    struct kube_config *c = MEM_NEW(struct kube_config);
    str_set(&c->context, name);
    struct err *e = resolve(c, f);
    if (e) {
        kube_config_free(c);
        return e;
    }
    *ret = c;
    return NULL;
}

/* ---- In a pod ---------------------------------------------------------------------------------------------------- */

/* A file of the service account; NULL if it cannot be read. */
static char *account_file(const char *dir, const char *name)
{
    struct buf text = {0};
    char *path = file_resolve(dir, name);
    struct err *e = file_read(path, 1024 * 1024, &text);
    mem_free(path);
    if (e) {
        err_ignore(e, "as client-go: without ca.crt the system's store is used, without namespace it is \"default\"");
        buf_free(&text);
        return NULL;
    }
    return buf_steal(&text);
}

static char *account_namespace(const char *dir)
{
    char *text = account_file(dir, "namespace");
    char *ns = text && slice_trim(slice_of(text)).n > 0 ? slice_dup(slice_trim(slice_of(text))) : mem_strdup("default");
    mem_free(text);
    return ns;
}

struct err *kube_config_in_cluster(const char *dir, struct kube_config **ret)
{
    const char *host = getenv("KUBERNETES_SERVICE_HOST");
    const char *port = getenv("KUBERNETES_SERVICE_PORT");
    if (!host || !*host || !port || !*port)
        return err_new(ERR_DATA, "not in a pod: KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set");
    char *token_file = file_resolve(dir, "token");
    struct secret *token = NULL;
    struct err *e = secret_from_file(token_file, &token);
    if (e) {
        mem_free(token_file);
        err_set_kind(e, ERR_DATA);
        return err_wrap(e, "service account");
    }
    struct kube_config *c = MEM_NEW(struct kube_config);
    c->in_cluster = true;
    c->context = mem_strdup("in-cluster");
    c->cluster = mem_strdup("in-cluster");
    c->user = mem_strdup("service account");
    c->ns = account_namespace(dir);
    c->file = mem_strdup(dir);
    c->server = strchr(host, ':') ? str_printf("https://[%s]:%s", host, port) : str_printf("https://%s:%s", host, port);
    c->ca_pem = account_file(dir, "ca.crt");
    c->token = token;
    c->token_file = token_file;
    *ret = c;
    return NULL;
}

struct err *kube_config_load(const char *file, const char *context, struct kube_config **ret)
{
    struct kube_files *f = NULL;
    struct err *e = kube_files_load(file, &f);
    if (e)
        return e;
    if (kube_files_count(f) > 0)
        e = kube_config_resolve(f, context, ret);
    else if (getenv("KUBERNETES_SERVICE_HOST"))
        e = kube_config_in_cluster(KUBE_SERVICE_ACCOUNT_DIR, ret);
    else
        e = err_new(ERR_DATA, "no kubeconfig: %s does not exist; set KUBECONFIG or give --kubeconfig FILE",
                    kube_files_tried(f));
    kube_files_free(f);
    return e;
}
