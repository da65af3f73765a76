/* The first screen: what is wrong, what is to be done, whether it is done, and what happened last. */
#include "base/mem.h"
#include "ui/overview.h"
#include "ui/screen.h"

struct overview {
    struct ui *ui;
    struct board *board;
    struct overview_storage *storage;
};

static void *open_overview(struct ui *ui, const struct screen_arg *arg) {
    struct overview *s = MEM_NEW(struct overview);
    (void)arg;
    *s = (struct overview){.ui = ui, .board = board_new(ui), .storage = overview_storage_new()};
    return s;
}

static void close_overview(void *state) {
    struct overview *s = state;
    board_free(s->board);
    overview_storage_free(s->storage);
    mem_free(s);
}

static void draw_overview(void *state, struct rect r) {
    struct overview *s = state;
    bool wide = r.cols >= BOARD_WIDE;
    board_begin(s->board);
    overview_storage_update(s->storage, s->ui);
    overview_wrong(s->ui, s->board, wide, overview_storage_lost(s->storage));
    overview_now(s->ui, s->board, wide);
    overview_gates(s->ui, s->board, wide);
    overview_raft(s->ui, s->board);
    overview_postgres(s->ui, s->board);
    overview_alerts(s->ui, s->board);
    overview_plan(s->ui, s->board, !wide || r.cols >= 160);
    overview_storage(s->storage, s->ui, s->board);
    overview_events(s->ui, s->board, (size_t)(r.rows > 0 ? r.rows : 1));
    board_draw(s->board, r);
}

static bool command_overview(void *state, enum command c) {
    struct overview *s = state;
    return board_command(s->board, c);
}

static bool copy_overview(void *state, struct buf *out) {
    const struct overview *s = state;
    return board_copy(s->board, out);
}

const struct screen_ops screen_overview = {
    .id = "overview", .title = "overview", .go = COMMAND_OVERVIEW, .root = true, .open = open_overview,
    .close = close_overview,
    .draw = draw_overview, .command = command_overview, .copy = copy_overview,
};
