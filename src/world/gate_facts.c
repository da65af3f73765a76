#include "world/gate_facts.h"

#include "base/clock.h"
#include "world/world.h"

static enum gate_answer answer_for(struct fresh f)
{
    if (fresh_usable(f))
        return GATE_PASS;
    return f.state == FRESH_OFF ? GATE_NOT_ASKED : GATE_NO_DATA;
}

enum gate_answer gate_fresh(struct fresh f, struct slice what, struct buf *reason)
{
    enum gate_answer answer = answer_for(f);
    if (answer == GATE_PASS)
        return answer;
    buf_add_slice(reason, what);
    if (answer == GATE_NOT_ASKED) {
        buf_adds(reason, " is not in the plan");
        return answer;
    }
    buf_printf(reason, " is %s, ", freshness_name(f.state));
    if (f.age_ms < 0) {
        buf_adds(reason, "last answer: never");
    } else {
        buf_adds(reason, "last answer ");
        gate_add_age(reason, f.age_ms);
        buf_adds(reason, " ago");
    }
    return answer;
}

enum gate_answer gate_source(const struct world *w, const char *src, struct buf *reason)
{
    return gate_fresh(world_source_freshness(w, src), slice_of(src), reason);
}

enum gate_answer gate_server(const struct world *w, const char *server, struct buf *reason)
{
    const struct row *worst = NULL;
    enum gate_answer worst_answer = GATE_NOT_ASKED;
    bool usable = false;
    for (const struct row *r = world_first(w, T_SOURCES); r; r = world_next(w, r)) {
        if (!slice_is(row_text(r, SOURCES_SERVER), server))
            continue;
        enum gate_answer a = answer_for(world_freshness(w, r));
        usable = usable || a == GATE_PASS;
        if (a == GATE_PASS || (worst && a == GATE_NOT_ASKED && worst_answer == GATE_NO_DATA))
            continue;
        if (!worst || a != worst_answer || slice_cmp(row_key(r), row_key(worst)) < 0) {
            worst = r;
            worst_answer = a;
        }
    }
    if (usable && worst_answer != GATE_NO_DATA)
        return GATE_PASS;
    if (worst)
        return gate_fresh(world_freshness(w, worst), row_key(worst), reason);
    buf_printf(reason, "nothing listens to %s yet", server);
    return GATE_NO_DATA;
}

enum gate_answer gate_row(const struct world *w, const struct row *r, struct buf *reason)
{
    return gate_fresh(world_freshness(w, r), slice_of(row_src(w, r)), reason);
}

const struct row *gate_plan(const struct world *w)
{
    const struct row *plan = world_find(w, T_PLAN, SLICE_LIT("plan"));
    return plan && !slice_is(row_text(plan, PLAN_STATE), "NONE") ? plan : NULL;
}

bool gate_list_has(struct slice list, struct slice word)
{
    struct slice item;
    while (slice_cut(&list, ' ', &item))
        if (item.n > 0 && slice_eq(item, word))
            return true;
    return false;
}

bool gate_list_has_claim(struct slice list, struct slice ns, struct slice name)
{
    struct slice item;
    while (slice_cut(&list, ' ', &item)) {
        struct slice rest = item, item_ns;
        if (slice_cut(&rest, '/', &item_ns) && slice_eq(item_ns, ns) && slice_eq(rest, name))
            return true;
    }
    return false;
}

void gate_add_age(struct buf *out, int64_t age_ms)
{
    char text[32];
    int64_t second = CLOCK_MS_PER_S, step = second * 10;
    if (age_ms >= 3600 * second)
        step = 600 * second;
    else if (age_ms >= 60 * second)
        step = 60 * second;
    buf_adds(out, age_ms < step ? "10s" : clock_format_age(age_ms / step * step, text, sizeof text));
}

void gate_add_percent(struct buf *out, int64_t hundredths)
{
    buf_printf(out, "%lld.%lld %%", (long long)(hundredths / 100), (long long)(hundredths % 100 / 10));
}

void gate_name(struct gate_names *names, struct slice ns, struct slice name)
{
    names->count++;
    for (size_t i = 0; i < 2; i++) {
        int order = slice_cmp(ns, names->first[i].ns);
        if (order == 0)
            order = slice_cmp(name, names->first[i].name);
        if (names->first[i].name.p && order >= 0)
            continue;
        if (i == 0)
            names->first[1] = names->first[0];
        names->first[i].ns = ns;
        names->first[i].name = name;
        return;
    }
}

void gate_add_names(struct buf *out, const struct gate_names *names)
{
    for (size_t i = 0; i < 2 && i < names->count; i++) {
        buf_adds(out, i ? ", " : "");
        buf_add_slice(out, names->first[i].name);
    }
    if (names->count > 2)
        buf_printf(out, ", +%zu", names->count - 2);
}
