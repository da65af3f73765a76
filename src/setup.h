/* What every command that looks at a cluster loads first: the plan and the kubeconfig. */
#ifndef FERRYMAN_SETUP_H
#define FERRYMAN_SETUP_H

#include "base/err.h"

struct cli;
struct kube_config;
struct plan;

struct setup {
    struct plan *plan;        /* NULL without --plan */
    struct kube_config *kube;
};

/* The context is --context, else the plan's, else the kubeconfig's current one. */
struct err *setup_load(const struct cli *cli, struct setup *ret) MUST_CHECK;
void setup_free(struct setup *s);
/* Where the engine for this plan, kubeconfig and context listens: malloc'd path below the runtime folder (0700). */
struct err *setup_socket_path(const struct cli *cli, char **ret) MUST_CHECK;

#endif
