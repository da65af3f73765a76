/* What the stand-in kubelet shows of its pods: status, logs that are kept over a save. */
#include <stdlib.h>

#include "base/hash.h"
#include "base/json_doc.h"
#include "sandbox/controllers.h"
#include "sandbox/kube.h"
#include "sandbox/kubelet_private.h"
#include "sandbox/object.h"
#include "sandbox/pod_log.h"
#include "sandbox/save.h"

#define MANAGER "kubelet"

struct json_t *run_pod(const struct run *r)
{
    struct json_t *pod = kube_get(r->kl->k, KIND_POD, r->ns, r->name);

    if (pod && !str_eq(object_uid_of(pod), r->uid)) {
        jd_free(pod);
        pod = NULL;
    }
    return pod;
}

void run_show_running(struct run *r, bool ready)
{
    struct json_t *pod = run_pod(r);

    r->ready = ready;
    if (pod && !pod_is_finished(pod)) {
        pod_set_running(r->kl->k, pod, ready, r->since_ms, r->restarts);
        kube_write(r->kl->k, KIND_POD, pod, MANAGER);
    }
    jd_free(pod);
}

static void set_state(struct json_t *pod, const char *member, const struct json_t *state, bool ready)
{
    struct json_t *list = jd_get(pod, "status.containerStatuses");

    for (size_t i = 0; i < jd_len(list); i++) {
        jd_set(jd_at(list, i), member, jd_copy(state));
        jd_set(jd_at(list, i), "ready", jd_bool(ready));
        jd_set(jd_at(list, i), "started", jd_bool(ready));
    }
}

static struct json_t *terminated(const struct run *r, int code)
{
    char from[40], to[40];

    return object_parse("{'terminated':{'exitCode':%d,'reason':'%s','startedAt':'%s','finishedAt':'%s'}}", code,
                        code == 0 ? "Completed" : "Error", object_time(r->since_ms, from),
                        object_time(kube_now(r->kl->k), to));
}

void run_show_finished(struct run *r, int code)
{
    struct json_t *pod = run_pod(r), *state = terminated(r, code);

    if (pod) {
        pod_set_running(r->kl->k, pod, false, r->since_ms, r->restarts);
        jd_put(pod, "status.phase", jd_string(code == 0 ? "Succeeded" : "Failed"));
        set_state(pod, "state", state, false);
        kube_write(r->kl->k, KIND_POD, pod, MANAGER);
    }
    jd_free(state);
    jd_free(pod);
}

void run_show_crashed(struct run *r, int code, bool backing_off)
{
    struct json_t *pod = run_pod(r), *state = terminated(r, code);

    if (pod) {
        pod_set_running(r->kl->k, pod, false, r->since_ms, r->restarts);
        set_state(pod, "lastState", state, false);
        if (backing_off) {
            struct json_t *waiting = object_parse("{'waiting':{'reason':'CrashLoopBackOff','message':'back-off "
                                                  "restarting "
                                                  "failed container'}}");
            set_state(pod, "state", waiting, false);
            jd_free(waiting);
            kube_event(r->kl->k, KIND_POD, pod, MANAGER, "Warning", "BackOff", "Back-off restarting failed container");
        } else {
            set_state(pod, "state", state, false);
        }
        kube_write(r->kl->k, KIND_POD, pod, MANAGER);
    }
    jd_free(state);
    jd_free(pod);
}

void kubelet_save_logs(const struct kubelet *kl, struct json_t *logs)
{
    for (const struct run *r = kl->runs; r; r = r->next) {
        struct slice text = pod_log_text(r->log), previous = pod_log_previous(r->log);
        struct buf encoded = {0};
        struct json_t *o = jd_object();
        hash_base64_encode(text.p, text.n, &encoded);
        jd_set(o, "text", jd_string(buf_str(&encoded)));
        buf_clear(&encoded);
        if (previous.p) {
            hash_base64_encode(previous.p, previous.n, &encoded);
            jd_set(o, "previous", jd_string(buf_str(&encoded)));
        }
        jd_set(logs, r->uid, o);
        buf_free(&encoded);
    }
}

static void load_text(struct pod_log *l, const char *encoded)
{
    struct buf text = {0};

    if (encoded && hash_base64_decode(slice_of(encoded), &text))
        pod_log_add(l, buf_str(&text), text.len);
    buf_free(&text);
}

void run_load_log(struct run *r)
{
    const struct json_t *kube = sandbox_saved(r->kl->k->sb, "kube");
    const struct json_t *log = kube ? jd_member(jd_member(kube, "logs"), r->uid) : NULL;

    if (!log)
        return;
    if (jd_str(log, "previous")) {
        load_text(r->log, jd_str(log, "previous"));
        pod_log_restart(r->log);
    }
    load_text(r->log, jd_str(log, "text"));
}
