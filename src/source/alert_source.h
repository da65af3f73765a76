/* Alertmanager v2 → alerts. Alerting is alive only while its watchdog alert is present and fresh. */
#ifndef FERRYMAN_SOURCE_ALERT_SOURCE_H
#define FERRYMAN_SOURCE_ALERT_SOURCE_H

#include <stdint.h>

#include "world/world.h"

struct alert_source;
struct loop;

struct alert_source_options {
    struct loop *loop;
    struct world *world;
    const char *url;                 /* http://host:9093 */
    const char *watchdog;            /* alertname of the watchdog */
    const char *const *ignore;       /* alertnames, NULL-terminated; may be NULL */
    int64_t poll_ms;                 /* 0: 10 s */
};

struct alert_source *alert_source_new(const struct alert_source_options *o);
void alert_source_free(struct alert_source *s);
void alert_source_poke(struct alert_source *s);

#endif
