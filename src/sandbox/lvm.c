/* See lvm.h. */
#include "sandbox/lvm.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/json_doc.h"
#include "base/mem.h"
#include "base/str.h"
#include "loop/timer.h"
#include "sandbox/kube.h"
#include "sandbox/rest.h"
#include "sandbox/sandbox.h"

#define LVM_DRIVER "csi.proxmox.sinextra.dev"
#define LVM_VOLUMES_MAX 2000 /* reported; a hypervisor with more is not played */
#define LVM_NIGHTS 3
#define LVM_NIGHT_MS (INT64_C(3) * 3600 * 1000) /* 03:00 */
#define LVM_DAY_MS (INT64_C(24) * 3600 * 1000)
#define LVM_POOL_BYTES (INT64_C(1900) << 30)
#define LVM_SETTLE_MS 500
#define LVM_EVERY_MS 60000

struct lvm {
    struct sandbox *s;
    struct timer *timer;
    struct buf written; /* what lvs.json holds */
    bool stale;
};

/* One line of the report; lvs writes every value as a string. */
struct lvm_line {
    const char *name, *attr, *pool, *origin;
    int64_t size, created_ms;
    int data_permille;     /* -1: empty */
    int metadata_permille; /* -1: empty */
};

static void line_percent(struct json_t *o, const char *key, int permille)
{
    char text[16] = "";
    if (permille >= 0)
        snprintf(text, sizeof text, "%d.%d0", permille / 10 % 1000, permille % 10);
    jd_set(o, key, jd_string(text));
}

/* lvs prints times as "2026-04-25 03:00:12 +0000". */
static void line_time(struct json_t *o, int64_t unix_ms)
{
    char text[48];
    clock_format_utc(unix_ms, text, 32);
    text[10] = ' ';
    text[19] = '\0';
    strncat(text, " +0000", sizeof text - strlen(text) - 1);
    jd_set(o, "lv_time", jd_string(text));
}

static void report_add(struct json_t *list, const struct lvm_line *l)
{
    struct json_t *o = jd_object();
    char size[32];
    snprintf(size, sizeof size, "%lld", (long long)l->size);
    jd_set(o, "lv_name", jd_string(l->name));
    jd_set(o, "vg_name", jd_string("pve"));
    jd_set(o, "lv_attr", jd_string(l->attr));
    jd_set(o, "lv_size", jd_string(size));
    jd_set(o, "pool_lv", jd_string(l->pool));
    jd_set(o, "origin", jd_string(l->origin));
    line_percent(o, "data_percent", l->data_permille);
    line_percent(o, "metadata_percent", l->metadata_permille);
    line_time(o, l->created_ms);
    jd_append(list, o);
}

/* A volume's snapshots, the oldest first. */
static void report_snapshots(const struct lvm *lvm, struct json_t *list, const struct lvm_line *origin)
{
    int64_t now = sandbox_now_ms(lvm->s);
    int64_t last = (now - LVM_NIGHT_MS) / LVM_DAY_MS * LVM_DAY_MS + LVM_NIGHT_MS;
    if (lvm->stale)
        last -= 3 * LVM_DAY_MS;
    for (int night = LVM_NIGHTS - 1; night >= 0; night--) {
        int64_t made = last - night * LVM_DAY_MS;
        if (made <= origin->created_ms)
            continue;
        char when[32];
        clock_format_utc(made, when, sizeof when);
        char *name = str_printf("snap_%s_%.4s%.2s%.2s", origin->name, when, when + 5, when + 8);
        report_add(list, &(struct lvm_line){.name = name,
                                            .attr = "Vri---tz-k",
                                            .pool = "data",
                                            .origin = origin->name,
                                            .size = origin->size,
                                            .created_ms = made + INT64_C(12000),
                                            .data_permille = origin->data_permille - 1,
                                            .metadata_permille = -1});
        mem_free(name);
    }
}

/* One persistent volume, if it is a thin volume of the hypervisor; returns its size. */
static int64_t report_volume(const struct lvm *lvm, struct json_t *list, const struct json_t *doc)
{
    const char *driver = jd_str(doc, "spec.csi.driver"), *handle = jd_str(doc, "spec.csi.volumeHandle");
    const char *name = handle ? strrchr(handle, '/') : NULL;
    int64_t size = 0, created = lvm->s->started_ms;
    if (!str_eq(driver, LVM_DRIVER) || !name)
        return 0;
    if (!str_quantity(slice_of(jd_str(doc, "spec.capacity.storage")), &size))
        return 0;
    const char *when = jd_str(doc, "metadata.creationTimestamp");
    if (when && !clock_parse_rfc3339(slice_of(when), &created))
        created = lvm->s->started_ms;
    unsigned fill = 0; /* of the volume, by its name: the same in every report */
    for (const char *p = name; *p; p++)
        fill = fill * 31 + (unsigned char)*p;
    struct lvm_line line = {.name = name + 1,
                            .attr = "Vwi-aotz--",
                            .pool = "data",
                            .origin = "",
                            .size = size,
                            .created_ms = created,
                            .data_permille = 40 + (int)(fill % 700),
                            .metadata_permille = -1};
    report_add(list, &line);
    report_snapshots(lvm, list, &line);
    return size / 1000 * line.data_permille;
}

static void report_make(const struct lvm *lvm, struct buf *out)
{
    struct json_t *list = jd_array();
    int64_t used = LVM_POOL_BYTES / 5;
    size_t count = 0, reported = 0;
    struct version *const *all = lvm->s->kube ? store_all(lvm->s->kube->store, KIND_VOLUME, &count) : NULL;
    for (size_t i = 0; i < count && reported < LVM_VOLUMES_MAX; i++) {
        if (!slice_contains(version_json(all[i]), LVM_DRIVER))
            continue;
        struct json_t *doc = version_doc(all[i]);
        used += report_volume(lvm, list, doc);
        reported++;
        jd_free(doc);
    }
    int permille = (int)(used / (LVM_POOL_BYTES / 1000));
    report_add(list, &(struct lvm_line){.name = "data",
                                        .attr = "twi-aotz--",
                                        .pool = "",
                                        .origin = "",
                                        .size = LVM_POOL_BYTES,
                                        .created_ms = lvm->s->started_ms - 700 * LVM_DAY_MS,
                                        .data_permille = permille < 990 ? permille : 990,
                                        .metadata_permille = 21});
    struct json_t *o = jd_object(), *reports = jd_array(), *report = jd_object();
    jd_set(report, "lv", list);
    jd_append(reports, report);
    jd_set(o, "report", reports);
    jd_set(o, "log", jd_array());
    jd_dump_pretty(o, out);
    buf_addc(out, '\n');
    jd_free(o);
}

/* Writes the report if it has changed. */
static void lvm_write(struct lvm *lvm)
{
    struct buf text = {0};
    report_make(lvm, &text);
    if (slice_eq(buf_slice(&text), buf_slice(&lvm->written))) {
        buf_free(&text);
        return;
    }
    struct err *e = rest_write(lvm->s, "lvs.json", text.p, 0600);
    if (e)
        fprintf(stderr, "ferryman-sandbox: %s\n", err_text(e));
    err_free(e);
    buf_free(&lvm->written);
    lvm->written = text;
}

static void lvm_on_timer(void *arg)
{
    struct lvm *lvm = arg;
    lvm_write(lvm);
    timer_start(lvm->timer, LVM_EVERY_MS, 0);
}

/* Observers cannot be taken back, so they are given the sandbox, which outlives this part. */
static void lvm_soon(void *arg)
{
    struct sandbox *s = arg;
    if (s->rest && s->rest->lvm)
        timer_start(s->rest->lvm->timer, LVM_SETTLE_MS, 0);
}

static void lvm_on_change(void *arg, enum kube_id kind, const struct change_event *ev)
{
    if (kind == KIND_VOLUME && ev->type != CHANGE_MODIFIED && slice_contains(version_json(ev->now), LVM_DRIVER))
        lvm_soon(arg);
}

static struct err *scenario_stale(struct sandbox *s, bool on)
{
    rest_of(s)->lvm->stale = on;
    lvm_write(rest_of(s)->lvm);
    return NULL;
}

static struct err *scenario_fails(struct sandbox *s, bool on)
{
    if (on)
        return rest_write(s, "lvs.fail", "  Cannot process volume group pve\n", 0600);
    char *path = str_printf("%s/lvs.fail", s->dir);
    struct err *e = unlink(path) != 0 && errno != ENOENT ? err_sys(errno, "cannot remove %s", path) : NULL;
    mem_free(path);
    return e;
}

static const struct scenario lvm_scenarios[] = {
    {"lvs-stale", "no snapshot has been made for three nights", scenario_stale},
    {"lvs-fails", "the lvs command fails with status 5", scenario_fails},
};

static void lvm_free(struct lvm *lvm)
{
    struct sandbox *s = lvm->s;
    timer_free(lvm->timer);
    buf_free(&lvm->written);
    mem_free(lvm);
    mem_free(s->ports.lvs_command);
    s->ports.lvs_command = NULL;
    rest_of(s)->lvm = NULL;
    rest_free(s);
}

static struct err *lvm_install(struct sandbox *s)
{
    char *bin = str_printf("%s/bin", s->dir);
    struct err *e = file_mkdirs(bin, 0700);
    char *text = str_printf("#!/bin/sh\n"
                            "# What `lvs --reportformat json --units b --nosuffix -o "
                            "lv_name,vg_name,lv_attr,lv_size,pool_lv,origin,data_percent,metadata_percent,lv_time`\n"
                            "# says on the hypervisor that the sandbox plays.\n"
                            "if [ -e '%s/lvs.fail' ]; then cat '%s/lvs.fail' >&2; exit 5; fi\n"
                            "exec cat '%s/lvs.json'\n", s->dir, s->dir, s->dir);
    if (!e)
        e = rest_write(s, "bin/lvs-report", text, 0700);
    mem_free(text);
    mem_free(bin);
    return e;
}

static struct err *lvm_start(struct sandbox *s)
{
    struct lvm *lvm = rest_of(s)->lvm = MEM_NEW(struct lvm);
    lvm->s = s;
    lvm->timer = timer_new(s->loop, lvm_on_timer, lvm);
    struct err *e = lvm_install(s);
    if (e) {
        lvm_free(lvm);
        return e;
    }
    s->ports.lvs_command = str_printf("%s/bin/lvs-report", s->dir);
    lvm_write(lvm);
    timer_start(lvm->timer, LVM_SETTLE_MS, 0);
    if (s->kube)
        store_observe(s->kube->store, lvm_on_change, s);
    sandbox_on_advance(s, lvm_soon, s);
    return NULL;
}

static void lvm_stop(struct sandbox *s)
{
    if (rest_of(s)->lvm)
        lvm_free(rest_of(s)->lvm);
}

const struct sandbox_part lvm_part = {.name = "lvm",
                                      .start = lvm_start,
                                      .stop = lvm_stop,
                                      .scenarios = lvm_scenarios,
                                      .scenario_count = ARRAY_LEN(lvm_scenarios)};
