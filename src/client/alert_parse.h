/* Alertmanager's API v2, GET /api/v2/alerts, read item by item: pure, from bytes. Shape: api/v2/openapi.yaml of
 * prometheus/alertmanager. Unknown members are passed over; texts are cleaned. */
#ifndef FERRYMAN_CLIENT_ALERT_PARSE_H
#define FERRYMAN_CLIENT_ALERT_PARSE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

struct alert {
    struct buf fingerprint, name, severity, summary; /* summary: annotation summary, else description, else message */
    struct buf labels;                               /* the other labels, "key=value, key=value" */
    bool suppressed;                                 /* silenced, inhibited or muted */
    int64_t starts_ms, updated_ms, ends_ms;          /* Unix ms; -1 */
};

/* Calls each for every alert that has a name and a fingerprint, in order; the alert is valid during the call.
 * ERR_PROTOCOL if the body is no list of alerts: then what was told before belongs to a broken list. */
struct err *alert_parse(struct slice json, void (*each)(void *arg, const struct alert *a), void *arg) MUST_CHECK;

#endif
