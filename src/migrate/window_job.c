#include "migrate/window_job.h"

#include "base/str.h"

struct err *window_end_early(struct run *r, const char *reason) {
    (void)r, (void)reason;
    return err_new(ERR_USAGE, "not built yet");
}

struct err *window_credit_gap(struct run *r, const char *reason) {
    (void)r, (void)reason;
    return err_new(ERR_USAGE, "not built yet");
}
