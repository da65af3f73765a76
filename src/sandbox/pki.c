/* Keys and certificates, made at start by the openssl program in DIR/pki: a CA's, the server's and a client's.
 * And DIR/kubeconfig (token), DIR/kubeconfig-cert (client certificate) and DIR/kubeconfig-viewer (a token that may only
 * read, and no Secrets), which work as they are. */
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/hash.h"
#include "loop/child.h"
#include "loop/loop.h"
#include "sandbox/kube.h"

#define OPENSSL_TIMEOUT_MS 20000
#define PEM_MAX 65536

struct run {
    bool done;
    struct err *e;
};

static void on_exit_openssl(void *arg, const struct child_exit *x)
{
    struct run *r = arg;

    r->done = true;
    if (x->status != 0)
        r->e = err_new(ERR_FAILED, "openssl failed (status %d): %.300s", x->status, buf_str(&x->err));
}

static struct err *openssl(struct kube *k, const char *dir, const char *const *argv)
{
    struct run r = {0};
    struct child *c = NULL;
    struct child_options o = {.argv = argv, .cwd = dir, .timeout_ms = OPENSSL_TIMEOUT_MS, .on_exit = on_exit_openssl,
                              .arg = &r};
    struct err *e = child_spawn(k->sb->loop, &o, &c);

    if (e)
        return err_wrap(e, "sandbox: its certificates need the openssl program");
    if (!loop_run_until(k->sb->loop, &r.done, OPENSSL_TIMEOUT_MS + 5000))
        r.e = err_new(ERR_FAILED, "openssl did not end");
    child_free(c);
    return err_wrap(r.e, "sandbox: making certificates in %s", dir);
}

static struct err *make_ca(struct kube *k, const char *dir)
{
    static const char *const argv[] = {"openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                                       "ec_paramgen_curve:P-256", "-nodes", "-keyout", "ca.key", "-out", "ca.crt",
                                       "-days", "3650", "-subj", "/CN=ferryman-sandbox-ca", "-addext",
                                       "keyUsage=critical,keyCertSign,cRLSign", NULL};

    return openssl(k, dir, argv);
}

static struct err *make_leaf(struct kube *k, const char *dir, const char *name, const char *subject, const char *usage,
                             const char *names)
{
    char *key = str_printf("%s.key", name), *crt = str_printf("%s.crt", name);
    const char *const argv[] = {"openssl", "req", "-x509", "-CA", "ca.crt", "-CAkey", "ca.key", "-newkey", "ec",
                                "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-out", crt, "-days",
                                "365", "-subj", subject, "-addext", "basicConstraints=critical,CA:FALSE", "-addext",
                                usage, "-addext", names, NULL};
    struct err *e = openssl(k, dir, argv);

    free(key);
    free(crt);
    return e;
}

static struct err *read_pem(const char *dir, const char *name, char **ret)
{
    char *path = str_printf("%s/%s", dir, name);
    struct buf b = {0};
    struct err *e = file_read(path, PEM_MAX, &b);

    free(path);
    if (e)
        buf_free(&b);
    else
        *ret = buf_steal(&b);
    return e;
}

struct err *pki_create(struct kube *k)
{
    char *dir = str_printf("%s/pki", k->sb->dir);
    struct err *e = file_mkdirs(dir, 0700);

    bool made = k->sb->saved != NULL; /* with what was saved */
    if (!e && !made)
        e = make_ca(k, dir);
    if (!e && !made)
        e = make_leaf(k, dir, "server", "/CN=kube-apiserver", "extendedKeyUsage=serverAuth",
                      "subjectAltName=IP:127.0.0.1,DNS:localhost,DNS:kubernetes,DNS:kubernetes.default.svc");
    if (!e && !made)
        e = make_leaf(k, dir, "admin", "/O=system:masters/CN=sandbox-admin", "extendedKeyUsage=clientAuth",
                      "subjectAltName=DNS:sandbox-admin");
    if (!e)
        e = read_pem(dir, "ca.crt", &k->ca_pem);
    if (!e)
        e = read_pem(dir, "server.key", &k->key_pem);
    if (!e)
        e = read_pem(dir, "server.crt", &k->cert_pem);
    free(dir);
    return e;
}

static void head(struct buf *b, const struct kube *k)
{
    buf_printf(b,
               "apiVersion: v1\nkind: Config\ncurrent-context: home\npreferences: {}\n"
               "contexts:\n- name: home\n  context:\n    cluster: sandbox\n    user: sandbox-admin\n"
               "clusters:\n- name: sandbox\n  cluster:\n    server: https://127.0.0.1:%u\n"
               "    certificate-authority-data: ",
               k->sb->ports.kube);
    hash_base64_encode(k->ca_pem, strlen(k->ca_pem), b);
    buf_adds(b, "\nusers:\n- name: sandbox-admin\n  user:\n");
}

static struct err *write_file(const struct kube *k, const char *name, const struct buf *b)
{
    char *path = str_printf("%s/%s", k->sb->dir, name);
    struct err *e = file_write_durable(path, b->p, b->len, 0600);

    free(path);
    return e;
}

struct err *kubeconfig_write(struct kube *k)
{
    struct buf token = {0}, cert = {0}, viewer = {0};

    head(&token, k);
    buf_printf(&token, "    token: %s\n", k->token);
    head(&viewer, k);
    buf_printf(&viewer, "    token: %s\n", k->viewer_token);
    head(&cert, k);
    buf_printf(&cert, "    client-certificate: pki/admin.crt\n    client-key: pki/admin.key\n");
    struct err *e = write_file(k, "kubeconfig", &token);
    if (!e)
        e = write_file(k, "kubeconfig-cert", &cert);
    if (!e)
        e = write_file(k, "kubeconfig-viewer", &viewer);
    buf_free(&viewer);
    buf_free(&token);
    buf_free(&cert);
    return e;
}
