#include "migrate/plan.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/yaml.h"

#define PLAN_MAX_BYTES ((size_t)1024 * 1024)
#define AT(member) offsetof(struct plan, member)

static const char *const required_word[] = {"required", "optional", NULL};

struct target {
    char *class, *encrypted;
};

static const struct plan_field source_fields[] = {
    {.name = "storageClasses", .type = FIELD_STRINGS, .offset = 0, .required = true},
    {.name = NULL},
};

static const struct plan_field target_fields[] = {
    {.name = "storageClass", .type = FIELD_NAME, .offset = offsetof(struct target, class), .required = true},
    {.name = "encrypted", .type = FIELD_WORD, .offset = offsetof(struct target, encrypted), .words = required_word},
    {.name = NULL},
};

static void read_target(struct plan_reader *r, const struct yaml_node *node, void *at) {
    struct plan *p = (void *)((char *)at - AT(target_class));
    struct target t = {0};
    if (node->kind != YAML_MAP) {
        plan_fault(r, node, "target: must be a map");
        return;
    }
    plan_read_fields(r, node, "target", target_fields, NULL, &t);
    str_set(&p->target_class, t.class);
    p->target_encrypted = !str_eq(t.encrypted, "optional");
    plan_free_fields(target_fields, &t);
}

static void drop_text(void *at) {
    str_set(at, NULL);
}

static const struct plan_field snapshot_fields[] = {
    {.name = "command", .type = FIELD_STRINGS, .offset = AT(snapshot_command) - AT(snapshot_command), .required = true},
    {.name = "daily", .type = FIELD_TEXT, .offset = AT(snapshot_daily) - AT(snapshot_command)},
    {.name = NULL},
};

static const struct plan_field backup_fields[] = {
    {.name = "cronjobs", .type = FIELD_STRINGS, .offset = 0, .required = true},
    {.name = "clean_days", .type = FIELD_INT, .offset = AT(backup_days) - AT(backup_cronjobs), .min = 1, .max = 365},
    {.name = NULL},
};

static const struct plan_field alert_fields[] = {
    {.name = "alertmanager", .type = FIELD_URL, .offset = 0, .required = true},
    {.name = "watchdog", .type = FIELD_TEXT, .offset = AT(watchdog) - AT(alertmanager)},
    {.name = "ignore", .type = FIELD_STRINGS, .offset = AT(alerts_ignore) - AT(alertmanager)},
    {.name = NULL},
};

static const struct plan_field notify_fields[] = {
    {.name = "command", .type = FIELD_STRINGS, .offset = offsetof(struct plan_notify, command)},
    {.name = "url", .type = FIELD_URL, .offset = offsetof(struct plan_notify, url)},
    {.name = NULL},
};

static const struct plan_field plan_fields[] = {
    {.name = "plan", .type = FIELD_NAME, .offset = AT(name), .required = true},
    {.name = "context", .type = FIELD_TEXT, .offset = AT(context), .required = true},
    {.name = "cluster", .type = FIELD_TEXT, .offset = AT(cluster)},
    {.name = "source", .type = FIELD_MAP, .offset = AT(source_classes), .sub = source_fields, .required = true},
    {.name = "target", .type = FIELD_CUSTOM, .offset = AT(target_class), .read = read_target, .drop = drop_text, .required = true},
    {.name = "remaining", .type = FIELD_STRINGS, .offset = AT(remaining)},
    {.name = "hours", .type = FIELD_TEXT, .offset = AT(hours)},
    {.name = "snapshots", .type = FIELD_MAP, .offset = AT(snapshot_command), .sub = snapshot_fields},
    {.name = "backups", .type = FIELD_MAP, .offset = AT(backup_cronjobs), .sub = backup_fields},
    {.name = "alerts", .type = FIELD_MAP, .offset = AT(alertmanager), .sub = alert_fields},
    {.name = "notify", .type = FIELD_LIST, .offset = AT(notify), .sub = notify_fields, .item_size = sizeof(struct plan_notify)},
    {.name = NULL},
};

static const struct plan_field workload_fields[] = {
    {.name = "name", .type = FIELD_NAME, .offset = offsetof(struct plan_workload, name), .required = true},
    {.name = "namespace", .type = FIELD_NAME, .offset = offsetof(struct plan_workload, ns), .required = true},
    {.name = NULL},
};

static const struct plan_kind *kind_find(struct plan_reader *r, const struct yaml_node *node) {
    const char *names[16];
    size_t n = 0;
    const struct yaml_node *kind = yaml_get(node, "kind");
    if (!kind || kind->kind != YAML_SCALAR) {
        plan_fault(r, kind ? kind : node, "workload: 'kind' is missing");
        return NULL;
    }
    for (size_t i = 0; plan_kinds[i]; i++) {
        if (str_eq(kind->text, plan_kinds[i]->name)) return plan_kinds[i];
        if (n < ARRAY_LEN(names) - 1) names[n++] = plan_kinds[i]->name;
    }
    names[n] = NULL;
    const char *near = str_nearest(kind->text, names);
    plan_fault(r, kind, "kind: '%s' is unknown; did you mean '%s'?", kind->text, near ? near : names[0]);
    return NULL;
}

/* Keys of the two tables that read one map must not be called unknown by each other. */
static void key_list(const struct plan_field *fields, const char **out, size_t max, const char *extra) {
    size_t n = 0;
    for (; fields->name && n + 2 < max; fields++) out[n++] = fields->name;
    if (extra) out[n++] = extra;
    out[n] = NULL;
}

static void read_workload(struct plan_reader *r, const struct yaml_node *node, struct plan_workload *w) {
    const char *common[8], *special[64];
    char what[300] = "workload";
    const char *name = yaml_str(node, "name");
    if (name) snprintf(what, sizeof what, "workload %.255s", name);
    w->kind = kind_find(r, node);
    if (!w->kind) return;
    key_list(workload_fields, common, ARRAY_LEN(common), "kind");
    key_list(w->kind->fields, special, ARRAY_LEN(special), "kind");
    plan_read_fields(r, node, what, workload_fields, special, w);
    w->spec = mem_zalloc(w->kind->spec_size);
    w->kind->defaults(w->spec);
    plan_read_fields(r, node, what, w->kind->fields, common, w->spec);
    w->kind->check(r, node, w);
}

/* A key that neither table knows is reported by both; the doubles are dropped here. */
static void drop_double_faults(struct plan_reader *r) {
    struct buf kept = {0};
    struct slice rest = buf_slice(&r->faults), line;
    r->count = 0;
    while (rest.p && slice_cut(&rest, '\n', &line)) {
        struct slice seen = buf_slice(&kept), old;
        bool twice = false;
        while (seen.p && slice_cut(&seen, '\n', &old)) twice = twice || slice_eq(old, line);
        if (twice) continue;
        if (r->count++) buf_addc(&kept, '\n');
        buf_add_slice(&kept, line);
    }
    buf_free(&r->faults);
    r->faults = kept;
}

static void read_workloads(struct plan_reader *r, const struct yaml_node *root, struct plan *p) {
    const struct yaml_node *list = yaml_get(root, "workloads");
    if (!list || list->kind != YAML_LIST || list->count == 0) {
        plan_fault(r, list ? list : root, "workloads: a list with at least one workload is missing");
        return;
    }
    p->workloads = mem_calloc(list->count, sizeof *p->workloads);
    for (size_t i = 0; i < list->count; i++) {
        const struct yaml_node *node = list->values[i];
        if (node->kind != YAML_MAP) {
            plan_fault(r, node, "workloads: every entry must be a map");
            continue;
        }
        struct plan_workload *w = &p->workloads[p->nworkloads++];
        read_workload(r, node, w);
        for (size_t k = 0; w->name && k + 1 < p->nworkloads; k++)
            if (str_eq(p->workloads[k].name, w->name)) plan_fault(r, node, "workload %s: the name is taken by another workload", w->name);
    }
}

/* HH:MM at the beginning of s; 24:00 is the end of a day. */
static bool clock_time_valid(const char *s) {
    if (strlen(s) < 5 || !isdigit((unsigned char)s[0]) || !isdigit((unsigned char)s[1]) || s[2] != ':' || !isdigit((unsigned char)s[3]) ||
        !isdigit((unsigned char)s[4]))
        return false;
    int hour = (s[0] - '0') * 10 + (s[1] - '0'), minute = (s[3] - '0') * 10 + (s[4] - '0');
    return hour < 24 ? minute < 60 : hour == 24 && minute == 0;
}

bool plan_hours_valid(const char *text) {
    if (!clock_time_valid(text) || text[5] != '-' || !clock_time_valid(text + 6)) return false;
    if (!text[11]) return true;
    if (text[11] != ' ' || !text[12]) return false;
    for (const char *p = text + 12; *p; p++)
        if (!isalnum((unsigned char)*p) && !strchr("/_+-", *p)) return false;
    return true;
}

static void check_references(struct plan_reader *r, const struct yaml_node *root, const char *key, const struct plan_strings *list) {
    for (size_t i = 0; i < list->n; i++) {
        const char *slash = strchr(list->v[i], '/');
        if (!slash || slash == list->v[i] || !slash[1] || strchr(slash + 1, '/'))
            plan_fault(r, yaml_get(root, key), "%s: '%s' is not NAMESPACE/NAME", key, list->v[i]);
    }
}

/* Each receiver is one thing. */
static void check_notify(struct plan_reader *r, const struct yaml_node *list) {
    for (size_t i = 0; list && list->kind == YAML_LIST && i < list->count; i++) {
        const struct yaml_node *entry = list->values[i];
        if (entry->kind != YAML_MAP) continue; /* it is told already */
        const struct yaml_node *command = yaml_get(entry, "command"), *url = yaml_get(entry, "url");
        bool empty = command && (yaml_is_null(command) || (command->kind == YAML_LIST && command->count == 0));
        if (empty) plan_fault(r, command, "notify: 'command' is empty: write [PROGRAM, ARGUMENT, …]");
        else if (!command == !url) plan_fault(r, entry, "notify: every entry is either { command: [PROGRAM, ARGUMENT, …] } or { url: \"https://…\" }");
    }
}

static void check_plan(struct plan_reader *r, const struct yaml_node *root, const struct plan *p) {
    if (p->hours && !plan_hours_valid(p->hours))
        plan_fault(r, yaml_get(root, "hours"), "hours: '%s' is not like \"08:00-22:00 Europe/London\"", p->hours);
    if (p->snapshot_daily && (!clock_time_valid(p->snapshot_daily) || p->snapshot_daily[5]))
        plan_fault(r, yaml_get(root, "snapshots"), "snapshots.daily: '%s' is not like \"03:00\"", p->snapshot_daily);
    check_notify(r, yaml_get(root, "notify"));
    check_references(r, root, "remaining", &p->remaining);
    check_references(r, root, "backups", &p->backup_cronjobs);
    for (size_t i = 0; i < p->source_classes.n; i++)
        if (str_eq(p->source_classes.v[i], p->target_class))
            plan_fault(r, yaml_get(root, "target"), "target: '%s' is a source class too", p->target_class);
}

static void read_plan(struct plan_reader *r, const struct yaml_node *root, struct plan *p) {
    static const char *const passed_over[] = {"workloads", NULL};
    if (!root || root->kind != YAML_MAP) {
        plan_fault(r, root, "a plan is a map that begins with 'plan: NAME'");
        return;
    }
    plan_read_fields(r, root, "plan", plan_fields, passed_over, p);
    read_workloads(r, root, p);
    check_plan(r, root, p);
    drop_double_faults(r);
}

struct err *plan_parse(const char *text, size_t n, const char *file, struct plan **ret) {
    struct yaml_doc *doc = NULL;
    struct err *e = yaml_parse(text, n, file, &doc);
    if (e) return e;
    char *dir = file_dirname(file);
    struct plan_reader r = {.file = file, .dir = dir};
    struct plan *p = MEM_NEW(struct plan);
    p->file = mem_strdup(file);
    p->backup_days = 7;
    p->watchdog = mem_strdup("Watchdog");
    read_plan(&r, doc->root, p);
    if (r.count) {
        e = err_list(ERR_DATA, buf_str(&r.faults));
        plan_free(p);
    } else {
        *ret = p;
    }
    buf_free(&r.faults);
    mem_free(dir);
    yaml_free(doc);
    return e;
}

struct err *plan_load(const char *file, struct plan **ret) {
    struct buf text = {0};
    struct err *e = file_read(file, PLAN_MAX_BYTES, &text);
    if (!e) e = plan_parse(buf_str(&text), text.len, file, ret);
    else err_set_kind(e, ERR_DATA);
    buf_free(&text);
    return e;
}

void plan_free(struct plan *p) {
    if (!p) return;
    plan_free_fields(plan_fields, p);
    for (size_t i = 0; i < p->nworkloads; i++) {
        struct plan_workload *w = &p->workloads[i];
        plan_free_fields(workload_fields, w);
        if (w->spec) plan_free_fields(w->kind->fields, w->spec);
        mem_free(w->spec);
    }
    mem_free(p->workloads);
    mem_free(p->file);
    mem_free(p);
}

static void namespace_add(const char **list, size_t *n, const char *ns) {
    for (size_t i = 0; i < *n; i++)
        if (str_eq(list[i], ns)) return;
    list[(*n)++] = ns;
}

const char **plan_namespaces(const struct plan *p) {
    const char **list = mem_calloc(p->nworkloads + 1, sizeof *list);
    size_t n = 0;
    for (size_t i = 0; i < p->nworkloads; i++) namespace_add(list, &n, p->workloads[i].ns);
    return list;
}
