/* The parts of the sandbox, in the order in which they start. */
#include "sandbox/alerts.h"
#include "sandbox/apps.h"
#include "sandbox/kube.h"
#include "sandbox/kubectl.h"
#include "sandbox/lvm.h"
#include "sandbox/pg.h"
#include "sandbox/pg_clients.h"
#include "sandbox/vault.h"

const struct sandbox_part *const sandbox_parts[] = {
    &kube_part, &kubectl_part, &vault_part, &pg_part, &pg_clients_part, &alerts_part, &apps_part, &lvm_part, NULL,
};
