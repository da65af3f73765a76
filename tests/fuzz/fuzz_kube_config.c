/* A kubeconfig from anywhere is either refused with a place or gives a config whose parts fit together; no file that it
 * names is opened. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "client/kube_config.h"
#include "client/kube_config_file.h"
#include "client/kube_config_private.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct kube_config *c)
{
    if (!c->context || !c->server || !c->ns || !c->cluster || !c->file)
        abort();
    if (strncmp(c->server, "http", 4) != 0 || !c->client_cert_pem != !c->client_key_pem || c->token_file)
        abort();
    if (strncmp(c->server, "https://", 8) != 0 && (c->token || c->basic_user || c->exec || c->client_cert_pem))
        abort();
    if (c->exec && (!c->exec->command || !c->exec->api_version))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct kube_files *f = NULL;
    struct kube_config *c = NULL;
    struct err *e = kube_files_parse((const char *)data, size, "fuzz", &f);
    if (!e)
        e = kube_config_resolve(f, NULL, &c);
    if (!e)
        check(c);
    else if (err_kind(e) != ERR_DATA && err_kind(e) != ERR_PROTOCOL)
        abort();
    err_free(e);
    kube_config_free(c);
    kube_files_free(f);
    return 0;
}
