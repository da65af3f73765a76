/* See save.h. */
#include "sandbox/save.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/json_doc.h"
#include "base/mem.h"
#include "base/str.h"
#include "sandbox/loopback.h"
#include "sandbox/pg_entry.h"
#include "sandbox/pg_root.h"
#include "sandbox/sandbox_private.h"

#define STATE_MAX ((size_t)64 << 20)

static const char *const own_files[] = {"pki", "dumps", "dump-passphrase"}; /* of DIR; others are written anew */

/* ---- Ports -------------------------------------------------------------------------------------------------------- */

static struct json_t *ports_json(const struct sandbox_ports *p)
{
    struct json_t *o = jd_object();

    jd_set(o, "kube", jd_int(p->kube));
    jd_set(o, "vault-0", jd_int(p->vault[0]));
    jd_set(o, "vault-1", jd_int(p->vault[1]));
    jd_set(o, "vault-2", jd_int(p->vault[2]));
    jd_set(o, "postgres", jd_int(p->postgres));
    jd_set(o, "alertmanager", jd_int(p->alertmanager));
    jd_set(o, "app", jd_int(p->app));
    return o;
}

unsigned sandbox_saved_port(const struct sandbox *s, const char *name)
{
    const struct json_t *ports = sandbox_saved(s, "ports");
    int64_t port = ports ? jd_num(ports, name, 0) : 0;

    bool ours = port > 0 && port < 65536 && loopback_port_free("127.0.0.1", (unsigned)port) &&
                loopback_mark_port((unsigned)port);

    return ours ? (unsigned)port : 0;
}

const struct json_t *sandbox_saved(const struct sandbox *s, const char *part)
{
    return s->saved ? jd_member(s->saved, part) : NULL;
}

/* ---- Saving ------------------------------------------------------------------------------------------------------- */

struct err *sandbox_copy(const char *from, const char *to)
{
    if (!file_exists(from))
        return NULL;
#ifdef __linux__
    const char *const argv[] = {"cp", "-a", "--reflink=auto", "--", from, to, NULL};
#else
    const char *const argv[] = {"cp", "-Rp", from, to, NULL};
#endif
    return err_wrap(pg_run(argv, NULL, NULL), "copy of %s", from);
}

/* Makes way for the folder: one that was saved before goes, anything else is not touched. */
static struct err *clear_way(const char *folder)
{
    char *state = str_printf("%s/state", folder);
    bool saved = file_exists(state);

    mem_free(state);
    if (!file_exists(folder))
        return NULL;
    if (!saved)
        return err_new(ERR_USAGE, "%s is there and is no saved sandbox: choose another name", folder);
    pg_root_remove(folder);
    return NULL;
}

static struct json_t *state_head(const struct sandbox *s)
{
    struct json_t *o = jd_object(), *on = jd_array();

    jd_set(o, "version", jd_int(1));
    jd_set(o, "started_ms", jd_int(s->started_ms));
    jd_set(o, "advanced_ms", jd_int(sandbox_now_ms(s) - clock_plan_ms()));
    jd_set(o, "time_scale_1000", jd_int((int64_t)(s->time_scale * 1000)));
    jd_set(o, "small_db", jd_bool(s->small_db));
    jd_set(o, "ports", ports_json(&s->ports));
    scenario_each_on(s, jd_append, on);
    jd_set(o, "scenarios", on);
    return o;
}

static struct err *save_parts(struct sandbox *s, const char *folder, struct json_t *state)
{
    struct err *e = NULL;

    for (size_t i = 0; sandbox_parts[i] && !e; i++) {
        if (!sandbox_parts[i]->save)
            continue;
        struct json_t *part = jd_object();
        e = sandbox_parts[i]->save(s, folder, part);
        jd_set(state, sandbox_parts[i]->name, part);
    }
    return e;
}

struct err *sandbox_save(struct sandbox *s, const char *name, bool crash, struct buf *out)
{
    char *folder = name[0] == '/' ? mem_strdup(name) : str_printf("%s/saved/%s", s->dir, name);
    char *path = str_printf("%s/state", folder);
    int64_t begun = clock_mono_ms();
    struct json_t *state = state_head(s);
    s->save_crash = crash;
    struct err *e = clear_way(folder);

    if (!e)
        e = file_mkdirs(folder, 0700);
    if (!e)
        e = save_parts(s, folder, state);
    for (size_t i = 0; i < ARRAY_LEN(own_files) && !e; i++) {
        char *from = str_printf("%s/%s", s->dir, own_files[i]), *to = str_printf("%s/%s", folder, own_files[i]);
        e = sandbox_copy(from, to);
        mem_free(from);
        mem_free(to);
    }
    if (!e) {
        struct buf text = {0};
        jd_dump(state, &text);
        e = file_write_durable(path, text.p, text.len, 0600);
        buf_free(&text);
    }
    if (!e)
        buf_printf(out, "%s in %lld ms\n", folder, (long long)(clock_mono_ms() - begun));
    jd_free(state);
    mem_free(folder);
    mem_free(path);
    return e;
}

/* ---- Loading ------------------------------------------------------------------------------------------------------ */

static struct err *load_files(struct sandbox *s, const char *folder)
{
    struct err *e = NULL;

    for (size_t i = 0; i < ARRAY_LEN(own_files) && !e; i++) {
        char *from = str_printf("%s/%s", folder, own_files[i]), *to = str_printf("%s/%s", s->dir, own_files[i]);
        if (!file_exists(to))
            e = sandbox_copy(from, to);
        mem_free(from);
        mem_free(to);
    }
    return e;
}

struct err *sandbox_load(struct sandbox *s, const char *folder)
{
    char *path = str_printf("%s/state", folder);
    struct buf text = {0};
    struct err *e = file_read(path, STATE_MAX, &text);

    if (!e)
        e = jd_parse(text.p, text.len, path, &s->saved);
    buf_free(&text);
    mem_free(path);
    if (e)
        return err_wrap(e, "%s is no saved sandbox", folder);
    s->saved_dir = mem_strdup(folder);
    s->small_db = jd_flag(s->saved, "small_db", false);
    s->time_scale = (double)jd_num(s->saved, "time_scale_1000", 1000) / 1000;
    return load_files(s, folder);
}
