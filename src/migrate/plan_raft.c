/* kind: raft-rolling */
#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/str.h"
#include "base/yaml.h"
#include "migrate/plan.h"

#define AT(member) offsetof(struct plan_raft, member)
#define HOUR_MS (INT64_C(60) * 60 * CLOCK_MS_PER_S)

static const char *const apply_words[] = {"console", "external", NULL};
static const char *const via_words[] = {"kube-proxy", "direct", NULL};
static const char *const scheme_words[] = {"http", "https", NULL};

/* token: env | none | { file: PATH } */
static void read_token(struct plan_reader *r, const struct yaml_node *node, void *at) {
    static const struct plan_field file_fields[] = {
        {.name = "file", .type = FIELD_PATH, .offset = 0, .required = true},
        {.name = NULL},
    };
    struct plan_raft *p = (void *)((char *)at - AT(vault.token));
    if (node->kind == YAML_SCALAR && (str_eq(node->text, "env") || str_eq(node->text, "none"))) {
        str_set(&p->vault.token, node->text);
    } else if (node->kind == YAML_MAP) {
        plan_read_fields(r, node, "token", file_fields, NULL, &p->vault.token_file);
        str_set(&p->vault.token, "file");
    } else {
        plan_fault(r, node, "token: must be env (VAULT_TOKEN or ~/.vault-token), none, or { file: PATH }; never the token itself");
    }
}

static void drop_token(void *at) {
    struct plan_raft *p = (void *)((char *)at - AT(vault.token));
    str_set(&p->vault.token, NULL);
    str_set(&p->vault.token_file, NULL);
}

static const struct plan_field vault_fields[] = {
    {.name = "via", .type = FIELD_WORD, .offset = AT(vault.via) - AT(vault), .words = via_words, .required = true},
    {.name = "port", .type = FIELD_INT, .offset = AT(vault.port) - AT(vault), .min = 1, .max = 65535},
    {.name = "scheme", .type = FIELD_WORD, .offset = AT(vault.scheme) - AT(vault), .words = scheme_words},
    {.name = "token", .type = FIELD_CUSTOM, .offset = AT(vault.token) - AT(vault), .read = read_token, .drop = drop_token},
    {.name = "write_probe", .type = FIELD_TEXT, .offset = AT(vault.write_probe) - AT(vault)},
    {.name = "ca_file", .type = FIELD_PATH, .offset = AT(vault.ca_file) - AT(vault)},
    {.name = "tls_server_name", .type = FIELD_TEXT, .offset = AT(vault.tls_server_name) - AT(vault)},
    {.name = "insecure", .type = FIELD_BOOL, .offset = AT(vault.insecure) - AT(vault)},
    {.name = "cluster_id", .type = FIELD_TEXT, .offset = AT(vault.cluster_id) - AT(vault)},
    {.name = "urls", .type = FIELD_PAIRS, .offset = AT(vault.urls) - AT(vault)},
    {.name = NULL},
};

static void read_encrypt(struct plan_reader *r, const struct yaml_node *node, void *at) {
    plan_encrypt_read(r, node, at, "a snapshot holds every secret, behind the unseal keys alone");
}

static const struct plan_field snapshot_fields[] = {
    {.name = "directory", .type = FIELD_PATH, .offset = AT(snapshot.directory) - AT(snapshot)},
    {.name = "encrypt", .type = FIELD_CUSTOM, .offset = AT(snapshot.encrypt) - AT(snapshot), .read = read_encrypt, .drop = plan_encrypt_drop},
    {.name = NULL},
};

static const struct plan_field template_fields[] = {
    {.name = "apply", .type = FIELD_WORD, .offset = 0, .words = apply_words},
    {.name = NULL},
};

static const struct plan_field window_fields[] = {
    {.name = "duration", .type = FIELD_DURATION, .offset = AT(window.duration_ms) - AT(window), .min = 90000, .max = 30 * 24 * HOUR_MS},
    {.name = "sample", .type = FIELD_DURATION, .offset = AT(window.sample_ms) - AT(window), .min = 1000, .max = HOUR_MS},
    {.name = "max_gap", .type = FIELD_DURATION, .offset = AT(window.max_gap_ms) - AT(window), .min = 1000, .max = 24 * HOUR_MS},
    {.name = "fail_after", .type = FIELD_DURATION, .offset = AT(window.fail_after_ms) - AT(window), .min = 1000, .max = HOUR_MS},
    {.name = NULL},
};

static const struct plan_field fields[] = {
    {.name = "statefulset", .type = FIELD_NAME, .offset = AT(statefulset), .required = true},
    {.name = "vault", .type = FIELD_MAP, .offset = AT(vault), .sub = vault_fields, .required = true},
    {.name = "template", .type = FIELD_MAP, .offset = AT(template_apply), .sub = template_fields},
    {.name = "window", .type = FIELD_MAP, .offset = AT(window), .sub = window_fields},
    {.name = "snapshot", .type = FIELD_MAP, .offset = AT(snapshot), .sub = snapshot_fields},
    {.name = "http", .type = FIELD_LIST, .offset = AT(http), .sub = plan_http_fields, .item_size = sizeof(struct plan_http)},
    {.name = "retain", .type = FIELD_DURATION, .offset = AT(retain_ms), .min = 24 * HOUR_MS, .max = 365 * 24 * HOUR_MS},
    {.name = NULL},
};

static void defaults(void *spec) {
    struct plan_raft *p = spec;
    p->vault.port = 8200;
    str_set(&p->vault.scheme, "http");
    str_set(&p->vault.token, "env");
    str_set(&p->vault.write_probe, "cubbyhole/ferryman-probe");
    str_set(&p->template_apply, "console");
    p->window.duration_ms = 24 * HOUR_MS;
    p->window.sample_ms = 10 * CLOCK_MS_PER_S;
    p->window.max_gap_ms = 5 * 60 * CLOCK_MS_PER_S;
    p->window.fail_after_ms = 30 * CLOCK_MS_PER_S;
    p->retain_ms = 7 * 24 * HOUR_MS;
}

static void check_urls(struct plan_reader *r, const struct yaml_node *vault, const struct plan_raft *p) {
    const struct yaml_node *urls = yaml_get(vault, "urls");
    if (str_eq(p->vault.via, "direct") && p->vault.urls.n == 0)
        plan_fault(r, vault, "vault: via direct needs 'urls', e.g. { vault-0: \"https://10.0.0.1:8200\", … }");
    for (size_t i = 0; i < p->vault.urls.n; i++)
        if (!str_starts(p->vault.urls.values[i], "http://") && !str_starts(p->vault.urls.values[i], "https://"))
            plan_fault(r, urls, "urls.%s: '%s' is no http:// or https:// URL", p->vault.urls.keys[i], p->vault.urls.values[i]);
}

/* How the copies are kept is said, never assumed. */
static void check_snapshot(struct plan_reader *r, const struct yaml_node *node) {
    const struct yaml_node *snapshot = yaml_get(node, "snapshot");
    bool map = snapshot && snapshot->kind == YAML_MAP;
    if (snapshot && !map && !yaml_is_null(snapshot)) return; /* it is told already */
    const struct yaml_node *encrypt = map ? yaml_get(snapshot, "encrypt") : NULL;
    if (encrypt && !yaml_is_null(encrypt)) return;
    plan_fault(r, map ? snapshot : node, "%s is missing: write snapshot: { encrypt: { passphrase_file: FILE } }, or { none: true, reason: \"…\" } "
                                         "instead of the file (a snapshot holds every secret, behind the unseal keys alone)",
               map ? "snapshot: 'encrypt'" : "'snapshot'");
}

struct err *plan_raft_window_fits(const struct plan_raft *p, double scale) {
    double real_ms = (double)p->window.sample_ms / (scale > 1 ? scale : 1);
    if (real_ms >= (double)CLOCK_MS_PER_S) return NULL;
    return err_new(ERR_USAGE, "window: a sample every %" PRId64 " ms of the plan's clock is one every %d ms of real time, as the clock runs %.0f times as fast; "
                              "write sample: %.0fs or more, and max_gap and fail_after to match, or begin the sandbox with a smaller --time-scale",
                   p->window.sample_ms, (int)real_ms, scale, scale);
}

static void check(struct plan_reader *r, const struct yaml_node *node, const struct plan_workload *w) {
    const struct plan_raft *p = w->spec;
    const struct yaml_node *vault = yaml_get(node, "vault"), *window = yaml_get(node, "window");
    if (vault) check_urls(r, vault, p);
    check_snapshot(r, node);
    if (window && p->window.max_gap_ms < p->window.sample_ms)
        plan_fault(r, window, "window: max_gap (%" PRId64 " s) is shorter than sample (%" PRId64 " s)",
                   p->window.max_gap_ms / CLOCK_MS_PER_S, p->window.sample_ms / CLOCK_MS_PER_S);
    if (window && p->window.duration_ms < p->window.sample_ms)
        plan_fault(r, window, "window: duration is shorter than sample");
}

static const char *object(const struct plan_workload *w, char *buf, size_t size) {
    const struct plan_raft *p = w->spec;
    snprintf(buf, size, "StatefulSet/%s", p->statefulset);
    return buf;
}

const struct plan_kind plan_kind_raft = {
    .name = "raft-rolling",
    .spec_size = sizeof(struct plan_raft),
    .fields = fields,
    .defaults = defaults,
    .check = check,
    .object = object,
};
