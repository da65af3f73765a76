/* kubeconfig by kubectl's rules (client-go's tools/clientcmd): --kubeconfig alone, else the KUBECONFIG list merged (the
 * first file to define a name wins it whole), else ~/.kube/config; relative paths resolve against the file that holds
 * them; data wins over files; without any file and inside a pod, the service account. Credentials are left out when the server is
 * plain http: they go where TLS protects them. */
#ifndef FERRYMAN_CLIENT_KUBE_CONFIG_H
#define FERRYMAN_CLIENT_KUBE_CONFIG_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

struct secret;

struct kube_exec_config {
    char *command;             /* resolved as kubectl does */
    char **args;               /* NULL-terminated, without the command */
    char **env;                /* "NAME=value", NULL-terminated */
    char *api_version;         /* client.authentication.k8s.io/v1 or v1beta1 */
    char *install_hint;
    bool provide_cluster_info;
    char *cluster_info_json;   /* spec.cluster for KUBERNETES_EXEC_INFO, when provided */
};

struct kube_config {
    char *context, *cluster, *user, *ns; /* names; ns is "default" if the context gives none */
    char *file;                          /* that defined the context */
    char *server;                        /* https://host:port/path, no trailing slash */
    char *tls_server_name, *proxy_url;
    bool insecure, disable_compression, in_cluster;
    char *ca_pem;                        /* NULL: the system's */
    char *client_cert_pem;
    struct secret *client_key_pem;
    struct secret *token;                /* static */
    char *token_file;                    /* re-read; wins over token once it was readable */
    char *basic_user;
    struct secret *basic_password;
    char *as_user, *as_uid;
    char **as_groups;
    char **as_extra;                     /* "KEY=value" */
    struct kube_exec_config *exec;
};

/* file: --kubeconfig or NULL; context: --context or NULL for current-context. Errors (ERR_DATA) name file, line and
 * column; an unknown context lists those there are. An exec plugin with interactiveMode Always is refused. */
struct err *kube_config_load(const char *file, const char *context, struct kube_config **ret) MUST_CHECK;
void kube_config_free(struct kube_config *c);

#endif
