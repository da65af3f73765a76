/* Any bytes as an object of any kind, whole way into the world: the first byte chooses the kind, the second whether
 * other objects are there to be joined with. What gets into a row is clean, and a DELETED takes away what came. */
#include <stdint.h>
#include <stdlib.h>

#include "../unit/kube_feed.h"
#include "base/mem.h"
#include "base/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const namespaces[] = {"vault", NULL};
static const struct kube_plan_object objects[] = {{"vault", "StatefulSet", "vault"}};

static void add_neighbours(struct kube_feed *f) {
    kube_feed_object(f, "StorageClass",
                     "{\"metadata\":{\"uid\":\"c\",\"name\":\"nfs\"},\"provisioner\":\"nfs.csi.k8s.io\"}", false);
    kube_feed_object(f, "PersistentVolume",
                     "{\"metadata\":{\"uid\":\"v\",\"name\":\"pv\"},\"spec\":{\"claimRef\":{\"uid\":\"u\"},\"nfs\":{"
                     "\"server\":\"s\",\"path\":\"/\"}}}",
                     false);
    kube_feed_object(f, "PersistentVolumeClaim",
                     "{\"metadata\":{\"uid\":\"u\",\"namespace\":\"vault\",\"name\":\"data-vault-0\"},\"spec\":{"
                     "\"volumeName\":\"pv\"}}",
                     false);
    kube_feed_object(f, "StatefulSet",
                     "{\"metadata\":{\"uid\":\"s\",\"namespace\":\"vault\",\"name\":\"vault\"},\"spec\":{"
                     "\"volumeClaimTemplates\":[{\"metadata\":{\"name\":\"data\"}}]}}",
                     false);
}

static void check_rows(const struct world *w) {
    for (int t = 0; t < T_COUNT; t++)
        for (const struct row *r = world_first(w, (enum world_table)t); r; r = world_next(w, r)) {
            struct cell cells[WORLD_COLS_MAX];
            row_cells(r, cells);
            for (size_t i = 0; i < WORLD_COLS_MAX; i++)
                if (cells[i].type == CELL_TEXT && !utf8_is_clean(cells[i].s)) abort();
            if (!utf8_is_clean(row_key(r))) abort();
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    size_t kinds = 0;
    if (size < 2) return 0;
    while (kube_kinds[kinds]) kinds++;
    struct kube_feed *f = kube_feed_new(&(struct kube_source_options){
        .namespaces = namespaces, .objects = objects, .nobjects = ARRAY_LEN(objects), .target_class = "lvm"});
    struct kube_listener *l = kube_listener_new(f->source, kube_kinds[data[0] % kinds], NULL);
    if (data[1] & 1) add_neighbours(f);
    struct slice json = {(const char *)data + 2, size - 2};
    kube_listener_begin(l);
    struct err *e = kube_listener_object(l, json, false);
    kube_listener_end(l);
    check_rows(f->world);
    err_free(e);
    err_free(kube_listener_object(l, json, true));
    check_rows(f->world);
    if (l->objects != 0) abort();
    kube_feed_free(f);
    return 0;
}
