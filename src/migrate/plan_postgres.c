/* kind: postgres-dump-restore */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/str.h"
#include "base/yaml.h"
#include "migrate/plan.h"

#define AT(member) offsetof(struct plan_postgres, member)
#define DAY_MS (INT64_C(24) * 60 * 60 * CLOCK_MS_PER_S)

static const char *const apply_words[] = {"console", "external", NULL};
static const char *const via_words[] = {"direct", "port-forward", NULL};
static const char *const strategy_words[] = {"dumpall", "parallel", NULL};
static const char *const drift_words[] = {"none", "patch", "minor", "any", NULL};

static const struct plan_field claim_fields[] = {
    {.name = "name", .type = FIELD_NAME, .offset = offsetof(struct plan_claim, name), .required = true},
    {.name = "size", .type = FIELD_SIZE, .offset = offsetof(struct plan_claim, size), .required = true},
    {.name = "annotations", .type = FIELD_PAIRS, .offset = offsetof(struct plan_claim, annotations)},
    {.name = "apply", .type = FIELD_WORD, .offset = offsetof(struct plan_claim, apply), .words = apply_words},
    {.name = NULL},
};

static const struct plan_field server_fields[] = {
    {.name = "via", .type = FIELD_WORD, .offset = AT(postgres.via) - AT(postgres), .words = via_words, .required = true},
    {.name = "conninfo", .type = FIELD_TEXT, .offset = AT(postgres.conninfo) - AT(postgres)},
    {.name = "database", .type = FIELD_TEXT, .offset = AT(postgres.database) - AT(postgres)},
    {.name = "password_file", .type = FIELD_PATH, .offset = AT(postgres.password_file) - AT(postgres)},
    {.name = "port", .type = FIELD_INT, .offset = AT(postgres.port) - AT(postgres), .min = 1, .max = 65535},
    {.name = "identifier", .type = FIELD_TEXT, .offset = AT(postgres.identifier) - AT(postgres)},
    {.name = NULL},
};

static void read_encrypt(struct plan_reader *r, const struct yaml_node *node, void *at) {
    plan_encrypt_read(r, node, at, "a dump holds every password hash");
}

static const struct plan_field dump_fields[] = {
    {.name = "strategy", .type = FIELD_WORD, .offset = AT(dump.strategy) - AT(dump), .words = strategy_words},
    {.name = "directory", .type = FIELD_PATH, .offset = AT(dump.directory) - AT(dump)},
    {.name = "encrypt", .type = FIELD_CUSTOM, .offset = AT(dump.encrypt) - AT(dump), .read = read_encrypt, .drop = plan_encrypt_drop,
     .required = true},
    {.name = NULL},
};

static const struct plan_field extension_fields[] = {
    {.name = "drift", .type = FIELD_WORD, .offset = 0, .words = drift_words, .required = true},
    {.name = NULL},
};

static const struct plan_field login_fields[] = {
    {.name = "user", .type = FIELD_TEXT, .offset = offsetof(struct plan_login, user), .required = true},
    {.name = "secret", .type = FIELD_NAME, .offset = offsetof(struct plan_login, secret), .required = true},
    {.name = "key", .type = FIELD_TEXT, .offset = offsetof(struct plan_login, key), .required = true},
    {.name = NULL},
};

static const struct plan_field verify_fields[] = {
    {.name = "extensions", .type = FIELD_MAP, .offset = AT(verify.drift) - AT(verify), .sub = extension_fields},
    {.name = "rows", .type = FIELD_STRINGS, .offset = AT(verify.rows) - AT(verify)},
    {.name = "hash", .type = FIELD_STRINGS, .offset = AT(verify.hash) - AT(verify)},
    {.name = "login", .type = FIELD_MAP, .offset = AT(verify.login) - AT(verify), .sub = login_fields},
    {.name = NULL},
};

static const struct plan_field fields[] = {
    {.name = "deployment", .type = FIELD_NAME, .offset = AT(deployment), .required = true},
    {.name = "volume", .type = FIELD_NAME, .offset = AT(volume), .required = true},
    {.name = "claim", .type = FIELD_MAP, .offset = AT(claim), .sub = claim_fields, .required = true},
    {.name = "quiesce", .type = FIELD_STRINGS, .offset = AT(quiesce)},
    {.name = "postgres", .type = FIELD_MAP, .offset = AT(postgres), .sub = server_fields, .required = true},
    {.name = "dump", .type = FIELD_MAP, .offset = AT(dump), .sub = dump_fields, .required = true},
    {.name = "restart_for_preload", .type = FIELD_STRINGS, .offset = AT(restart_for_preload)},
    {.name = "reindex", .type = FIELD_STRINGS, .offset = AT(reindex)},
    {.name = "verify", .type = FIELD_MAP, .offset = AT(verify), .sub = verify_fields},
    {.name = "http", .type = FIELD_LIST, .offset = AT(http), .sub = plan_http_fields, .item_size = sizeof(struct plan_http)},
    {.name = "retain", .type = FIELD_DURATION, .offset = AT(retain_ms), .min = DAY_MS, .max = 365 * DAY_MS},
    {.name = NULL},
};

static void defaults(void *spec) {
    struct plan_postgres *p = spec;
    str_set(&p->claim.apply, "console");
    str_set(&p->dump.strategy, "dumpall");
    str_set(&p->verify.drift, "none");
    p->postgres.port = 5432;
    p->retain_ms = 7 * DAY_MS;
}

static void check_quiesce(struct plan_reader *r, const struct yaml_node *node) {
    static const char *const kinds[] = {"deployment", "statefulset", "cronjob", NULL};
    struct yaml_node *list = yaml_get(node, "quiesce");
    for (size_t i = 0; list && list->kind == YAML_LIST && i < list->count; i++) {
        const struct yaml_node *entry = list->values[i];
        if (entry->kind != YAML_SCALAR) continue;
        struct slice rest = slice_of(entry->text), kind;
        slice_cut(&rest, '/', &kind);
        bool known = false;
        for (size_t k = 0; kinds[k]; k++) known = known || slice_is(kind, kinds[k]);
        if (!known || !rest.p || rest.n == 0)
            plan_fault(r, entry, "quiesce: '%s' is not deployment/NAME, statefulset/NAME or cronjob/NAME", entry->text);
    }
}

static void check(struct plan_reader *r, const struct yaml_node *node, const struct plan_workload *w) {
    const struct plan_postgres *p = w->spec;
    struct yaml_node *server = yaml_get(node, "postgres");
    if (server && str_eq(p->postgres.via, "direct") && !p->postgres.conninfo)
        plan_fault(r, server, "postgres: via direct needs 'conninfo', e.g. \"host=10.0.0.7 dbname=immich user=immich\"");
    if (p->postgres.conninfo && strstr(p->postgres.conninfo, "password=") && server)
        plan_fault(r, server, "postgres: no password in a plan; use PGPASSFILE or 'password_file'");
    struct yaml_node *dump = yaml_get(node, "dump"), *strategy = dump ? yaml_get(dump, "strategy") : NULL;
    if (str_eq(p->dump.strategy, "parallel"))
        plan_fault(r, strategy ? strategy : dump, "dump: this version does not dump in parallel; use strategy: dumpall, which counts, hashes "
                                                  "and enciphers on the way");
    check_quiesce(r, node);
}

static const char *object(const struct plan_workload *w, char *buf, size_t size) {
    const struct plan_postgres *p = w->spec;
    snprintf(buf, size, "Deployment/%s", p->deployment);
    return buf;
}

const struct plan_kind plan_kind_postgres = {
    .name = "postgres-dump-restore",
    .spec_size = sizeof(struct plan_postgres),
    .fields = fields,
    .defaults = defaults,
    .check = check,
    .object = object,
};
