#include "migrate/raft_canary_pod.h"

#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "base/json_doc.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "migrate/postgres.h"
#include "migrate/raft.h"

#define NAME_MAX_CANARY 52
#define SAY "ferryman-canary "
#define SMALL (INT64_C(1) << 30)
#define LIFE_S 900
#define GRACE_S 30

static const char *text_or(const char *text, const char *other) {
    return text ? text : other;
}

const char *canary_name(const struct run *r, char *buf, size_t size) {
    const char *name = r->workload->name;
    int n = snprintf(buf, size, "ferryman-canary-%s", name);
    if (n <= NAME_MAX_CANARY && (size_t)n < size) return buf;
    char hash[HASH_HEX_SIZE];
    hash_hex(name, strlen(name), hash);
    snprintf(buf, size, "ferryman-canary-%.20s-%.8s", name, hash);
    return buf;
}

const char *canary_claim_name(const struct run *r, const char *template, char *buf, size_t size) {
    char name[64];
    snprintf(buf, size, "%s-%.60s", canary_name(r, name, sizeof name), template);
    return buf;
}

/* ---- Claims ---- */

struct json_t *canary_claim(const struct run *r, const struct json_t *template) {
    char name[128];
    const struct json_t *modes = jd_get(template, "spec.accessModes");
    const char *mode = jd_str(template, "spec.volumeMode"), *request = jd_str(template, "spec.resources.requests.storage");
    struct json_t *o = postgres_object_new(r, "v1", "PersistentVolumeClaim",
                                           canary_claim_name(r, text_or(jd_str(template, "metadata.name"), ""), name, sizeof name));
    int64_t bytes = SMALL;
    if (!str_quantity(slice_of(request), &bytes) || bytes > SMALL) request = "1Gi";
    jd_set(jd_get(o, "metadata.labels"), "ferryman.io/canary", jd_string(r->workload->name));
    jd_put(o, "spec.accessModes", modes ? jd_copy(modes) : jd_array());
    if (!modes) jd_append(jd_get(o, "spec.accessModes"), jd_string("ReadWriteOnce"));
    if (mode) jd_put(o, "spec.volumeMode", jd_string(mode));
    jd_put(o, "spec.storageClassName", jd_string(r->plan->target_class));
    jd_put(o, "spec.resources.requests.storage", jd_string(request));
    return o;
}

/* ---- The pod ---- */

static bool is_template(const struct json_t *set, const char *name) {
    const struct json_t *templates = jd_get(set, "spec.volumeClaimTemplates");
    for (size_t i = 0; i < jd_len(templates); i++)
        if (str_eq(jd_str(jd_at(templates, i), "metadata.name"), name)) return true;
    return false;
}

/* The container that is Vault: the one that mounts the first of the templates. */
static const struct json_t *container_of(const struct json_t *set) {
    const struct json_t *spec = jd_get(set, "spec.template.spec"), *templates = jd_get(set, "spec.volumeClaimTemplates");
    const char *first = jd_str(jd_at(templates, 0), "metadata.name");
    const struct json_t *c = first ? postgres_container(spec, first) : NULL;
    return c ? c : jd_at(jd_get(spec, "containers"), 0);
}

struct json_t *canary_mounts(const struct json_t *set) {
    const struct json_t *mounts = jd_get(container_of(set), "volumeMounts");
    struct json_t *list = jd_array();
    for (size_t i = 0; i < jd_len(mounts); i++) {
        const char *name = jd_str(jd_at(mounts, i), "name"), *path = jd_str(jd_at(mounts, i), "mountPath");
        if (!path || !is_template(set, name)) continue;
        struct json_t *m = jd_object();
        jd_set(m, "template", jd_string(name));
        jd_set(m, "path", jd_string(path));
        jd_append(list, m);
    }
    return list;
}

static void add_quoted(struct buf *out, const char *text) {
    buf_addc(out, '\'');
    for (; *text; text++)
        if (*text == '\'') buf_adds(out, "'\\''");
        else buf_addc(out, *text);
    buf_addc(out, '\'');
}

void canary_script(const struct json_t *mounts, const char *mark, struct buf *out) {
    buf_printf(out, "m='%s'\n", mark);
    buf_adds(out, "bad=0\n"
                  "u=$(id -u)\n"
                  "echo \"" SAY "begin uid=$u gid=$(id -g) groups=$(id -G | tr ' ' ,)\"\n"
                  "for d in");
    for (size_t i = 0; i < jd_len(mounts); i++) {
        buf_addc(out, ' ');
        add_quoted(out, jd_str(jd_at(mounts, i), "path"));
    }
    buf_adds(out, "; do\n"
                  "  f=\"$d/.ferryman-canary\"\n"
                  "  if e=$(echo \"$m\" | dd of=\"$f\" conv=fsync 2>&1) && [ \"$(cat \"$f\")\" = \"$m\" ]; then\n"
                  "    rm -f \"$f\"\n"
                  "    set -- $(df -Pk \"$d\" | tail -n 1)\n"
                  "    echo \"" SAY "ok path=$d uid=$u free=$4\"\n"
                  "  else\n"
                  "    bad=1\n"
                  "    echo \"" SAY "fail path=$d uid=$u $(echo \"$e\" | tr '\\n' ' ')\"\n"
                  "  fi\n"
                  "done\n"
                  "echo \"" SAY "done $m\"\n"
                  "exit $bad\n");
}

/* Members of the template's spec that decide where it lands and as whom it runs. Neighbours are left out: they keep servers of the set apart. */
static void copy_spec(struct json_t *to, const struct json_t *from) {
    static const char *const members[] = {"securityContext", "nodeSelector", "tolerations", "imagePullSecrets", "serviceAccountName", "schedulerName",
                                          "runtimeClassName", "hostUsers", NULL};
    for (size_t i = 0; members[i]; i++) {
        struct json_t *value = jd_member(from, members[i]);
        if (value) jd_set(to, members[i], jd_copy(value));
    }
    struct json_t *affinity = jd_get(from, "affinity.nodeAffinity");
    if (affinity) jd_put(to, "affinity.nodeAffinity", jd_copy(affinity));
}

static void add_volumes(const struct run *r, struct json_t *spec, struct json_t *c, const struct json_t *set) {
    const struct json_t *mounts = jd_get(container_of(set), "volumeMounts"), *templates = jd_get(set, "spec.volumeClaimTemplates");
    char name[128];
    jd_set(spec, "volumes", jd_array());
    for (size_t i = 0; i < jd_len(templates); i++) {
        const char *template = text_or(jd_str(jd_at(templates, i), "metadata.name"), "");
        struct json_t *v = jd_object();
        jd_set(v, "name", jd_string(template));
        jd_put(v, "persistentVolumeClaim.claimName", jd_string(canary_claim_name(r, template, name, sizeof name)));
        jd_append(jd_get(spec, "volumes"), v);
    }
    jd_set(c, "volumeMounts", jd_array());
    for (size_t i = 0; i < jd_len(mounts); i++)
        if (is_template(set, jd_str(jd_at(mounts, i), "name"))) jd_append(jd_get(c, "volumeMounts"), jd_copy(jd_at(mounts, i)));
}

static struct json_t *container_new(const struct json_t *set, const char *script) {
    const struct json_t *like = container_of(set), *context = jd_get(like, "securityContext"), *pull = jd_get(like, "imagePullPolicy");
    struct json_t *c = jd_object(), *command = jd_array();
    jd_append(command, jd_string("sh"));
    jd_append(command, jd_string("-c"));
    jd_append(command, jd_string(script));
    jd_set(c, "name", jd_string("canary"));
    jd_set(c, "image", jd_string(text_or(jd_str(like, "image"), "")));
    if (pull) jd_set(c, "imagePullPolicy", jd_copy(pull));
    jd_set(c, "command", command);
    if (context) jd_set(c, "securityContext", jd_copy(context));
    jd_put(c, "resources.requests.cpu", jd_string("10m"));
    jd_put(c, "resources.requests.memory", jd_string("32Mi"));
    jd_put(c, "resources.limits.cpu", jd_string("200m"));
    jd_put(c, "resources.limits.memory", jd_string("64Mi"));
    return c;
}

struct json_t *canary_pod(const struct run *r, const struct json_t *set) {
    char name[64];
    struct json_t *pod = postgres_object_new(r, "v1", "Pod", canary_name(r, name, sizeof name)), *spec = jd_object(), *containers = jd_array();
    struct json_t *mounts = canary_mounts(set);
    struct buf script = {0};
    canary_script(mounts, r->id, &script);
    struct json_t *c = container_new(set, buf_str(&script));
    jd_set(jd_get(pod, "metadata.labels"), "ferryman.io/canary", jd_string(r->workload->name));
    copy_spec(spec, jd_get(set, "spec.template.spec"));
    add_volumes(r, spec, c, set);
    jd_append(containers, c);
    jd_set(spec, "containers", containers);
    jd_set(spec, "restartPolicy", jd_string("Never"));
    jd_set(spec, "automountServiceAccountToken", jd_bool(false));
    jd_set(spec, "enableServiceLinks", jd_bool(false));
    jd_set(spec, "activeDeadlineSeconds", jd_int(LIFE_S));
    jd_set(spec, "terminationGracePeriodSeconds", jd_int(GRACE_S));
    jd_set(pod, "spec", spec);
    buf_free(&script);
    jd_free(mounts);
    return pod;
}

/* ---- Its log ---- */

/* The value behind "KEY=" in a line, up to the next space. */
static struct slice value_of(struct slice line, const char *key) {
    struct slice word;
    size_t n = strlen(key);
    while (slice_cut(&line, ' ', &word))
        if (word.n > n && memcmp(word.p, key, n) == 0 && word.p[n] == '=') return (struct slice){word.p + n + 1, word.n - n - 1};
    return (struct slice){NULL, 0};
}

/* The last line "ferryman-canary WORD path=PATH …". */
static struct slice line_of(struct slice log, const char *word, const char *path) {
    struct slice line, found = {NULL, 0};
    char begin[64];
    snprintf(begin, sizeof begin, SAY "%s", word);
    while (slice_cut(&log, '\n', &line))
        if (slice_starts(line, begin) && (!path || slice_is(value_of(line, "path"), path))) found = line;
    return found;
}

static void explain(struct slice said, const char *path, struct buf *out) {
    buf_printf(out, "%s%s: ", out->len ? "; " : "", path);
    if (!said.p) buf_adds(out, "nothing was said of it");
    else {
        struct slice from = value_of(said, "uid");
        struct slice rest = from.p ? (struct slice){from.p + from.n, (size_t)(said.p + said.n - from.p - from.n)} : said;
        utf8_clean(out, slice_trim(rest));
    }
    if (said.p && slice_contains(said, "ermission denied"))
        buf_adds(out, ". The server's user may not write to a fresh volume: set securityContext.fsGroup in the template");
    else if (said.p && slice_contains(said, "ead-only"))
        buf_adds(out, ". The volume is mounted read-only: look at the node's kernel log and at the driver");
    else if (said.p && slice_contains(said, "No space"))
        buf_adds(out, ". There is no room: look at the thin pool");
}

bool canary_never_ran(const struct json_t *pod, struct buf *out) {
    const struct json_t *end = jd_get(pod, "status.containerStatuses.0.state.terminated");
    const char *why = jd_str(end, "reason"), *message = jd_str(end, "message");
    if (!str_eq(jd_str(pod, "status.phase"), "Failed") || str_eq(why, "Error") || str_eq(why, "Completed")) return false;
    if (!why) {
        why = jd_str(pod, "status.reason");
        message = jd_str(pod, "status.message");
    }
    char *raw = str_printf("%s: %s", text_or(why, "it failed"), text_or(message, "no reason given"));
    utf8_clean(out, slice_of(raw));
    buf_adds(out, ". The canary needs sh, dd and id in the image, and volumes that attach in time");
    mem_free(raw);
    return true;
}

bool canary_judge(struct slice log, const struct json_t *mounts, const char *mark, int64_t expected, struct canary_proof *ret, struct buf *out) {
    struct slice begin = line_of(log, "begin", NULL), end = line_of(log, "done", NULL);
    struct buf fine = {0}, bad = {0};
    *ret = (struct canary_proof){.done = end.p && slice_ends(end, mark), .user = -1};
    if (!begin.p || !slice_to_i64(value_of(begin, "uid"), &ret->user)) ret->user = -1;
    for (size_t i = 0; i < jd_len(mounts); i++) {
        const char *path = text_or(jd_str(jd_at(mounts, i), "path"), "");
        struct slice ok = line_of(log, "ok", path), free_kb = value_of(ok, "free");
        int64_t kb;
        if (!ok.p) explain(line_of(log, "fail", path), path, &bad);
        else if (slice_to_i64(free_kb, &kb)) buf_printf(&fine, ", %s (%lld MiB free)", path, (long long)(kb >> 10));
        else buf_printf(&fine, ", %s", path);
    }
    bool good = ret->done && bad.len == 0 && jd_len(mounts) > 0;
    if (good && expected >= 0 && ret->user != expected) {
        buf_printf(&bad, "it ran as user %lld, the template says %lld", (long long)ret->user, (long long)expected);
        good = false;
    }
    if (good) buf_printf(out, "written, synced and read back as user %lld%s", (long long)ret->user, buf_str(&fine));
    else if (bad.len) buf_adds(out, buf_str(&bad));
    else buf_adds(out, "it did not come to its end");
    buf_free(&fine);
    buf_free(&bad);
    return good;
}
