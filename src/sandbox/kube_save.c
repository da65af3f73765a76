/* Saving and loading the API's objects: one line each in FOLDER/objects, "KIND NS NAME RV JSON" between tabs, as stored.
 * And the token and the logs of pods. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json_doc.h"
#include "base/mem.h"
#include "sandbox/kube.h"
#include "sandbox/kube_faults.h"
#include "sandbox/kube_foreign.h"
#include "sandbox/kubelet.h"
#include "sandbox/save.h"

#define OBJECTS_MAX ((size_t)1 << 30)

static struct err *write_objects(const struct kube *k, const char *folder)
{
    char *path = str_printf("%s/objects", folder);
    FILE *f = fopen(path, "w");

    for (int kind = 0; f && kind < KIND_COUNT; kind++) {
        size_t count;
        struct version *const *all = store_all(k->store, (enum kube_id)kind, &count);
        for (size_t i = 0; i < count; i++) {
            struct slice ns = version_namespace(all[i]), json = version_json(all[i]);
            fprintf(f, "%s\t%.*s\t%s\t%llu\t%.*s\n", kube_kinds[kind].plural, SLICE_FMT(ns), version_name(all[i]),
                    (unsigned long long)all[i]->rv, SLICE_FMT(json));
        }
    }
    bool failed = !f || ferror(f);
    if (f && fclose(f) != 0)
        failed = true;
    struct err *e = failed ? err_sys(errno, "cannot write %s", path) : NULL;
    free(path);
    return e;
}

struct err *kube_save(struct sandbox *s, const char *folder, struct json_t *state)
{
    struct kube *k = s->kube;
    struct err *e = write_objects(k, folder);

    jd_set(state, "token", jd_string(k->token));
    jd_set(state, "rv", jd_int((int64_t)store_rv(k->store)));
    struct json_t *logs = jd_object();
    kubelet_save_logs(k->kubelet, logs);
    jd_set(state, "logs", logs);
    kube_audit_save(k, state);
    kube_foreign_save(k->foreign, state);
    return e;
}

static int kind_of(struct slice plural)
{
    for (int i = 0; i < KIND_COUNT; i++)
        if (slice_is(plural, kube_kinds[i].plural) && kube_kinds[i].stored == kube_kinds[i].id)
            return i;
    return -1;
}

static bool load_line(struct kube *k, struct slice line)
{
    struct slice field[4];
    int64_t rv;

    for (size_t i = 0; i < ARRAY_LEN(field); i++)
        if (!slice_cut(&line, '\t', &field[i]))
            return false;
    int kind = kind_of(field[0]);
    if (kind < 0 || !line.p || !slice_to_i64(field[3], &rv))
        return false;
    char *ns = slice_dup(field[1]), *name = slice_dup(field[2]);
    store_put_bytes(k->store, (enum kube_id)kind, ns, name, (uint64_t)rv, line.p, line.n);
    free(ns);
    free(name);
    return true;
}

struct err *kube_load(struct kube *k)
{
    const struct json_t *state = sandbox_saved(k->sb, "kube");
    char *path = str_printf("%s/objects", k->sb->saved_dir);
    struct buf text = {0};
    struct err *e = file_read(path, OBJECTS_MAX, &text);
    struct slice rest = buf_slice(&text), line;

    while (!e && slice_cut(&rest, '\n', &line))
        if (line.n && !load_line(k, line))
            e = err_new(ERR_DATA, "%s: a line is not an object: was it saved by this version?", path);
    if (!e)
        store_set_rv(k->store, (uint64_t)jd_num(state, "rv", 1));
    buf_free(&text);
    free(path);
    return e;
}
