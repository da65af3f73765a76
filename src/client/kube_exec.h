/* Credential plugins (client.authentication.k8s.io/v1 and v1beta1): one run of the program that the kubeconfig names.
 * No shell, no terminal, a deadline of 60 s; what it says on stderr goes into the error. client-go's
 * plugin/pkg/client/auth/exec is what it follows. */
#ifndef FERRYMAN_CLIENT_KUBE_EXEC_H
#define FERRYMAN_CLIENT_KUBE_EXEC_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

struct kube_exec;
struct kube_exec_config;
struct loop;
struct secret;

/* What the plugin gave. Zero-initialise; kube_exec_result_free frees what is in it. */
struct kube_exec_result {
    struct secret *token;   /* NULL if none */
    char *cert_pem;         /* both or none */
    struct secret *key_pem;
    int64_t expires_ms;     /* Unix time; 0: it did not say */
};

void kube_exec_result_free(struct kube_exec_result *r);

/* Runs it. fn is called once (never inside this call) with the result, which it may take over member by member (setting
 * them NULL), or with an error (borrowed, ERR_AUTH) and an empty result; kube_exec_free is still needed and allowed in
 * it. The config is borrowed until then. A program that is not there is an error at once, with the install hint. */
struct err *kube_exec_start(struct loop *l, const struct kube_exec_config *x,
                            void (*fn)(void *arg, struct kube_exec_result *r, const struct err *e), void *arg,
                            struct kube_exec **ret) MUST_CHECK;
/* Ends it without a callback if it runs. NULL is allowed. */
void kube_exec_free(struct kube_exec *run);

/* The plugin's standard output; pure. The error never holds any of it: there may be a token in it. */
struct err *kube_exec_parse(const struct kube_exec_config *x, struct slice output, struct kube_exec_result *ret)
    MUST_CHECK;
/* KUBERNETES_EXEC_INFO's value, malloc'd. */
char *kube_exec_info(const struct kube_exec_config *x) MUST_CHECK;

#endif
