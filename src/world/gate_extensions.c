/* A dump names extensions without versions: what the image has by default is what a restore gives. */
#include "world/gate_facts.h"
#include "world/gate_internal.h"
#include "world/world.h"

struct extensions_found {
    struct gate_names missing, drifted, unknown, unread;
    const struct row *stale;
    size_t count;
};

static void keep_stale(const struct world *w, const struct row *r, struct extensions_found *found)
{
    if (!found->stale && !fresh_usable(world_freshness(w, r)))
        found->stale = r;
}

static void judge_extension(const struct row *r, struct extensions_found *found)
{
    struct slice state = row_text(r, EXTENSIONS_STATE), database = row_text(r, EXTENSIONS_DATABASE);
    struct slice name = row_text(r, EXTENSIONS_NAME);
    found->count++;
    if (slice_is(state, "UNAVAILABLE"))
        gate_name(&found->missing, database, name);
    else if (slice_is(state, "DRIFT"))
        gate_name(&found->drifted, database, name);
    else if (!slice_is(state, "OK"))
        gate_name(&found->unknown, database, name);
}

static void look(const struct world *w, struct slice workload, struct extensions_found *found)
{
    for (const struct row *r = world_first(w, T_EXTENSIONS); r; r = world_next(w, r)) {
        if (!slice_eq(row_text(r, EXTENSIONS_WORKLOAD), workload))
            continue;
        keep_stale(w, r, found);
        judge_extension(r, found);
    }
    for (const struct row *r = world_first(w, T_DATABASES); r; r = world_next(w, r)) {
        if (!slice_eq(row_text(r, DATABASES_WORKLOAD), workload))
            continue;
        keep_stale(w, r, found);
        if (row_text(r, DATABASES_ERROR).p) /* template0, which takes no connection from anybody, has none */
            gate_name(&found->unread, (struct slice){NULL, 0}, row_text(r, DATABASES_NAME));
    }
}

static enum gate_answer say(struct buf *reason, const char *text, const struct gate_names *names, enum gate_answer a)
{
    buf_adds(reason, text);
    gate_add_names(reason, names);
    return a;
}

static enum gate_answer ask(const struct world *w, const struct row *workload, struct buf *reason)
{
    struct extensions_found found = {0};
    struct buf src = {0};
    buf_printf(&src, "postgres/%.*s", SLICE_FMT(row_key(workload)));
    enum gate_answer facts = gate_source(w, buf_str(&src), reason);
    buf_free(&src);
    if (facts != GATE_PASS)
        return facts;
    look(w, row_key(workload), &found);
    if (found.stale)
        return gate_row(w, found.stale, reason);
    if (found.missing.count > 0)
        return say(reason, "the image does not have ", &found.missing, GATE_FAIL);
    if (found.unread.count > 0)
        return say(reason, "databases that could not be read: ", &found.unread, GATE_NO_DATA);
    if (found.unknown.count > 0)
        return say(reason, "version not known: ", &found.unknown, GATE_NO_DATA);
    if (found.count == 0)
        return say(reason, "no extension has been seen yet", &found.unknown, GATE_NO_DATA);
    if (found.drifted.count > 0)
        return say(reason, "a restore would give another version of ", &found.drifted, GATE_WAIT);
    buf_printf(reason, "%zu of %zu as installed", found.count, found.count);
    return GATE_PASS;
}

const struct gate gate_extensions = {
    .name = "extensions available at their version",
    .kind = "postgres-dump-restore",
    .doc = "the image has every installed extension, by default at the version that is installed",
    .ask = ask,
};
