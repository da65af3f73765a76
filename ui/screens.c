/* The screens, in the order of their keys: the first is shown at the start. */
#include "ui/screen.h"

const struct screen_ops *const screen_table[] = {
    &screen_overview,
    &screen_storage,
    &screen_raft,
    &screen_postgres,
    &screen_phase,
    &screen_window,
    &screen_timeline,
    &screen_sources,
    &screen_errors,
    &screen_whoami,
    &screen_log,
    &screen_help,
    NULL,
};
