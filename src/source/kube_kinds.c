/* The kinds that are listened to, in the order in which they are started: what claims are judged by comes first. */
#include "source/kube_source_private.h"

const struct kube_kind *const kube_kinds[] = {
    &kube_kind_classes,  &kube_kind_volumes,      &kube_kind_claims,
    &kube_kind_pods,     &kube_kind_statefulsets, &kube_kind_deployments,
    &kube_kind_cronjobs, &kube_kind_jobs,         &kube_kind_nodes,
    &kube_kind_csinodes, &kube_kind_attachments,  &kube_kind_events,
    &kube_kind_leases,   &kube_kind_endpoints,    &kube_kind_pdbs,
    &kube_kind_quotas,   &kube_kind_hpas,         NULL,
};
