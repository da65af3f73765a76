#include "migrate/http_judge.h"

#include "base/str.h"
#include "migrate/plan.h"
#include "migrate/run.h"
#include "world/world.h"

static bool source_is_fresh(const struct run *r, const struct row *probe, int64_t since) {
    const struct row *source = world_find(r->world, T_SOURCES, slice_of(row_src(r->world, probe)));
    return source && row_int(source, SOURCES_LAST_OK, 0) > since;
}

/* One probe; true: it is well, and was asked after that. */
static bool probe_is_ok(const struct run *r, const char *url, int64_t since, struct buf *reason) {
    for (const struct row *p = world_first(r->world, T_PROBES); p; p = world_next(r->world, p)) {
        if (!slice_is(row_text(p, PROBES_NAME), url) || !slice_is(row_text(p, PROBES_WORKLOAD), r->workload->name)) continue;
        struct slice state = row_text(p, PROBES_STATE), error = row_text(p, PROBES_ERROR);
        if (slice_is(state, "OK") && source_is_fresh(r, p, since)) return true;
        buf_printf(reason, "%s: %.*s", url, SLICE_FMT(state));
        if (slice_is(state, "OK")) buf_adds(reason, ", not asked anew yet");
        else if (error.n > 0) buf_printf(reason, " (%.*s)", SLICE_FMT(error));
        return false;
    }
    buf_printf(reason, "%s: nothing has been heard yet", url);
    return false;
}

enum op_answer http_judge(const struct run *r, const struct plan_items *http, int64_t since, struct buf *reason) {
    for (size_t i = 0; i < http->n; i++) {
        const struct plan_http *h = (const struct plan_http *)http->v + i;
        if (probe_is_ok(r, h->url, since, reason)) continue;
        if (!run_override(r, "http")) return OP_TODO;
        buf_printf(reason, "; overridden: %s", run_override(r, "http"));
        return OP_DONE;
    }
    buf_printf(reason, "%zu of %zu probes answered as the plan expects", http->n, http->n);
    return OP_DONE;
}
