/* Any bytes as a plan: read or refused with a reason, never anything else. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/err.h"
#include "migrate/plan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct plan *p = NULL;
    struct err *e = plan_parse((const char *)data, size, "fuzz.yaml", &p);
    if (e && !*err_text(e)) abort();
    if (!e) free(plan_namespaces(p));
    err_free(e);
    plan_free(p);
    return 0;
}
