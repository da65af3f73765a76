/* What each tool leaves on the objects that it manages. Sources: the tools' documentation of their labels and annotations
 * (argo-cd.readthedocs.io/en/stable/user-guide/resource_tracking, fluxcd.io/flux/components/{kustomize,helm},
 * helm.sh/docs/topics/charts_hooks, github.com/stakater/Reloader, keel.sh/docs, kured.dev, keda.sh). */
#include "migrate/managers.h"

#include <stdio.h>
#include <string.h>

#include "base/json_doc.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/utf8.h"
#include "world/world.h"

struct mark {
    const char *key;   /* of a label or annotation; a trailing '*' stands for any rest */
    const char *value; /* NULL: any but "false" and "" */
    const char *name;
    unsigned deeds;
};

static const struct mark marks[] = {
    {"argocd.argoproj.io/*", NULL, "Argo CD", MANAGER_REVERTS},
    {"kustomize.toolkit.fluxcd.io/*", NULL, "Flux", MANAGER_REVERTS},
    {"helm.toolkit.fluxcd.io/*", NULL, "Flux", MANAGER_REVERTS},
    {"meta.helm.sh/*", NULL, "Helm", MANAGER_UPGRADES},
    {"helm.sh/chart", NULL, "Helm", MANAGER_UPGRADES},
    {"app.kubernetes.io/managed-by", "Helm", "Helm", MANAGER_UPGRADES},
    {"app.kubernetes.io/managed-by", "Terraform", "Terraform", MANAGER_UPGRADES},
    {"objectset.rio.cattle.io/*", NULL, "Rancher Fleet", MANAGER_REVERTS},
    {"configmanagement.gke.io/*", NULL, "Config Sync", MANAGER_REVERTS},
    {"config.k8s.io/owning-inventory", NULL, "kpt or Config Sync", MANAGER_REVERTS},
    {"olm.owner", NULL, "an operator (OLM)", MANAGER_REVERTS},
    {"reloader.stakater.com/*", NULL, "Reloader", MANAGER_RESTARTS},
    {"configmap.reloader.stakater.com/*", NULL, "Reloader", MANAGER_RESTARTS},
    {"secret.reloader.stakater.com/*", NULL, "Reloader", MANAGER_RESTARTS},
    {"wave.pusher.com/*", NULL, "Wave", MANAGER_RESTARTS},
    {"keel.sh/*", NULL, "Keel", MANAGER_RESTARTS},
    {"image.toolkit.fluxcd.io/*", NULL, "Flux' image automation", MANAGER_RESTARTS},
    {"com.centurylinklabs.watchtower.enable", NULL, "Watchtower", MANAGER_RESTARTS},
    {"autoscaling.keda.sh/*", NULL, "KEDA", MANAGER_SCALES},
    {"scaledobject.keda.sh/*", NULL, "KEDA", MANAGER_SCALES},
    {"vpaObservedContainers", NULL, "a VerticalPodAutoscaler", MANAGER_SCALES},
    {"goldilocks.fairwinds.com/*", NULL, "Goldilocks", MANAGER_SCALES},
    {"kube-green.stratio.it/*", NULL, "kube-green", MANAGER_SCALES},
    {"downscaler/*", NULL, "kube-downscaler", MANAGER_SCALES},
};

/* Field managers, by the beginning of their names. */
static const struct mark field_managers[] = {
    {"argocd*", NULL, "Argo CD", MANAGER_REVERTS},
    {"kustomize-controller", NULL, "Flux", MANAGER_REVERTS},
    {"helm-controller", NULL, "Flux", MANAGER_REVERTS},
    {"helm", NULL, "Helm", MANAGER_UPGRADES},
    {"Terraform*", NULL, "Terraform", MANAGER_UPGRADES},
    {"terraform*", NULL, "Terraform", MANAGER_UPGRADES},
    {"HashiCorp*", NULL, "Terraform", MANAGER_UPGRADES},
    {"tofu*", NULL, "OpenTofu", MANAGER_UPGRADES},
    {"pulumi*", NULL, "Pulumi", MANAGER_UPGRADES},
    {"fleet*", NULL, "Rancher Fleet", MANAGER_REVERTS},
    {"configsync*", NULL, "Config Sync", MANAGER_REVERTS},
    {"keel", NULL, "Keel", MANAGER_RESTARTS},
    {"Reloader", NULL, "Reloader", MANAGER_RESTARTS},
    {"reloader*", NULL, "Reloader", MANAGER_RESTARTS},
    {"keda*", NULL, "KEDA", MANAGER_SCALES},
};

/* Controllers by what stands in their own name or image. */
static const struct mark controllers[] = {
    {"stakater/reloader", NULL, "Reloader", MANAGER_RESTARTS},
    {"reloader", NULL, "Reloader", MANAGER_RESTARTS},
    {"keelhq/keel", NULL, "Keel", MANAGER_RESTARTS},
    {"kured", NULL, "kured", MANAGER_MOVES},
    {"descheduler", NULL, "descheduler", MANAGER_MOVES},
    {"karpenter", NULL, "Karpenter", MANAGER_MOVES},
    {"cluster-autoscaler", NULL, "the cluster autoscaler", MANAGER_MOVES},
    {"vpa-updater", NULL, "the vertical pod autoscaler", MANAGER_RESTARTS},
    {"image-automation-controller", NULL, "Flux' image automation", MANAGER_RESTARTS},
    {"argocd-image-updater", NULL, "Argo CD's image updater", MANAGER_RESTARTS},
    {"system-upgrade-controller", NULL, "the system upgrade controller", MANAGER_MOVES},
    {"kube-downscaler", NULL, "kube-downscaler", MANAGER_SCALES},
};

static bool mark_fits(const char *pattern, const char *text)
{
    size_t n = strlen(pattern);
    return n > 0 && pattern[n - 1] == '*' ? strncmp(pattern, text, n - 1) == 0 : str_eq(pattern, text);
}

/* One more, unless it is there: then it does what both say. */
static size_t add(struct manager *ret, size_t n, const char *name, unsigned deeds, const char *evidence)
{
    for (size_t i = 0; i < n; i++) {
        if (str_eq(ret[i].name, name)) {
            ret[i].deeds |= deeds;
            return n;
        }
    }
    if (n == MANAGERS_MAX)
        return n;
    struct buf clean = {0};
    utf8_clean(&clean, slice_of(evidence));
    ret[n].name = name;
    ret[n].deeds = deeds;
    str_copy(ret[n].evidence, sizeof ret[n].evidence, buf_str(&clean));
    buf_free(&clean);
    return n + 1;
}

static size_t add_from(const struct json_t *pairs, const char *what, struct manager *ret, size_t n)
{
    struct json_t *all = jd_is_object(pairs) ? jd_copy(pairs) : NULL;
    for (void *it = all ? jd_iter(all) : NULL; it; it = jd_iter_next(all, it)) {
        const char *key = jd_iter_key(it), *value = jd_string_value(jd_iter_value(it));
        if (!value || *value == '\0' || str_ieq(value, "false"))
            continue;
        for (size_t i = 0; i < ARRAY_LEN(marks); i++) {
            if (!mark_fits(marks[i].key, key) || (marks[i].value && !str_ieq(marks[i].value, value)))
                continue;
            char *evidence = str_printf("%s %s: %.120s", what, key, value);
            n = add(ret, n, marks[i].name, marks[i].deeds, evidence);
            mem_free(evidence);
        }
    }
    jd_free(all);
    return n;
}

size_t managers_of(const struct json_t *object, struct manager ret[MANAGERS_MAX])
{
    const struct json_t *fields = jd_get(object, "metadata.managedFields");
    size_t n = add_from(jd_get(object, "metadata.annotations"), "annotation", ret, 0);
    n = add_from(jd_get(object, "metadata.labels"), "label", ret, n);
    n = add_from(jd_get(object, "spec.template.metadata.annotations"), "annotation of its pods", ret, n);
    for (size_t i = 0; i < jd_len(fields); i++) {
        const char *name = jd_str(jd_at(fields, i), "manager");
        for (size_t k = 0; name && k < ARRAY_LEN(field_managers); k++) {
            if (!mark_fits(field_managers[k].key, name))
                continue;
            char *evidence = str_printf("field manager %.120s", name);
            n = add(ret, n, field_managers[k].name, field_managers[k].deeds, evidence);
            mem_free(evidence);
        }
    }
    return n;
}

/* ---- Autoscalers and controllers --------------------------------------------------------------------------------- */

size_t managers_scaling(const struct json_t *list, const char *kind, const char *name, struct manager ret[MANAGERS_MAX], size_t n)
{
    const struct json_t *items = jd_get(list, "items");
    for (size_t i = 0; i < jd_len(items); i++) {
        const struct json_t *item = jd_at(items, i);
        const struct json_t *target = jd_get(item, "spec.scaleTargetRef");
        bool vertical = !target;
        target = target ? target : jd_get(item, "spec.targetRef");
        /* A ScaledObject may leave the kind out: Deployment. */
        const char *target_kind = jd_str(target, "kind") ? jd_str(target, "kind") : "Deployment";
        if (!str_ieq(target_kind, kind) || !str_eq(jd_str(target, "name"), name))
            continue;
        bool keda = jd_get(item, "spec.triggers") != NULL;
        const char *own = jd_str(item, "metadata.name");
        char *evidence = str_printf("%s", own ? own : "without a name");
        n = add(ret, n, keda ? "KEDA" : vertical ? "a VerticalPodAutoscaler" : "a HorizontalPodAutoscaler",
                vertical && !keda ? MANAGER_RESTARTS | MANAGER_SCALES : MANAGER_SCALES, evidence);
        mem_free(evidence);
    }
    return n;
}

static size_t add_controller(struct slice name, struct slice image, struct slice ns, struct manager *ret, size_t n)
{
    for (size_t i = 0; i < ARRAY_LEN(controllers); i++) {
        if (!slice_contains(image, controllers[i].key) && !slice_starts(name, controllers[i].key))
            continue;
        char *evidence = str_printf("%.*s in %.*s", SLICE_FMT(name), SLICE_FMT(ns));
        n = add(ret, n, controllers[i].name, controllers[i].deeds, evidence);
        mem_free(evidence);
        break;
    }
    return n;
}

size_t managers_running(const struct world *w, struct manager ret[MANAGERS_MAX], size_t n)
{
    const struct slice none = SLICE_LIT("");
    for (const struct row *r = world_first(w, T_WORKLOADS); r; r = world_next(w, r)) {
        struct slice image = row_text(r, WORKLOADS_IMAGE), name = row_text(r, WORKLOADS_NAME), ns = row_text(r, WORKLOADS_NAMESPACE);
        if (!slice_is(row_text(r, WORKLOADS_STATE), "SCALED DOWN"))
            n = add_controller(name.p ? name : none, image.p ? image : none, ns.p ? ns : none, ret, n);
    }
    for (const struct row *r = world_first(w, T_PODS); r; r = world_next(w, r)) {
        struct slice name = row_text(r, PODS_NAME), ns = row_text(r, PODS_NAMESPACE), owner = row_text(r, PODS_OWNER);
        if (slice_starts(owner, "DaemonSet/"))
            n = add_controller(name.p ? name : none, none, ns.p ? ns : none, ret, n);
    }
    return n;
}

void manager_text(const struct manager *m, struct buf *out)
{
    static const struct {
        unsigned deed;
        const char *text;
    } deeds[] = {
        {MANAGER_REVERTS, "puts it back to what it has on file"},
        {MANAGER_UPGRADES, "writes it whenever it is run"},
        {MANAGER_RESTARTS, "restarts pods by itself"},
        {MANAGER_SCALES, "sets replicas or requests"},
        {MANAGER_MOVES, "evicts pods"},
    };
    const char *sep = " ";
    buf_printf(out, "%s (%s)", m->name, m->evidence);
    for (size_t i = 0; i < ARRAY_LEN(deeds); i++) {
        if (m->deeds & deeds[i].deed) {
            buf_printf(out, "%s%s", sep, deeds[i].text);
            sep = ", ";
        }
    }
}
