/* Phase "restart for preload": preload libraries are configured in PGDATA, which the first boot had not; they load on the second
 * boot (hazard 4). Proved by SHOW shared_preload_libraries before anything is restored. */
#include "migrate/postgres.h"
#include "migrate/postgres_move.h"

static const struct step steps[] = {
    {"restart", "restart, and look at what was loaded", move_script_preload},
    {NULL, NULL, NULL},
};

static bool wanted(const struct run *r)
{
    return postgres_spec(r)->restart_for_preload.n > 0;
}

static bool may_begin(const struct run *r, struct buf *reason)
{
    if (move_same(r, "target.claim.uid", "claim.new.uid"))
        return postgres_may_begin(r, reason);
    buf_adds(reason, "the new claim has had no first boot yet: run swap");
    return false;
}

static void dialog(struct run *r, struct dialog *d)
{
    const struct plan_strings *want = &postgres_spec(r)->restart_for_preload;
    struct buf names = {0};
    for (size_t i = 0; i < want->n; i++)
        buf_printf(&names, "%s%s", i ? ", " : "", want->v[i]);
    dialog_line(d, "will go", "pod %s  uid %s, gracefully, at least 30 s; nothing is in its database yet", move_say(r, "pod.server.name"),
                move_short(r, "pod.server.uid"));
    dialog_line(d, "will come", "the same server on the same claim, with %s loaded", buf_str(&names));
    dialog_line(d, "undo", "rollback, as before");
    buf_free(&names);
}

const struct phase postgres_phase_preload = {
    .id = "preload",
    .title = "restart for preload",
    .stake = STAKE_REVERSIBLE,
    .steps = steps,
    .wanted = wanted,
    .may_begin = may_begin,
    .dialog = dialog,
    .begin_at = move_from_the_start,
};
