/* The sandbox's Alertmanager: GET /api/v2/alerts and /api/v2/status on a loopback port, plain HTTP. */
#ifndef FERRYMAN_SANDBOX_ALERTS_H
#define FERRYMAN_SANDBOX_ALERTS_H

struct sandbox_part;
extern const struct sandbox_part alerts_part;

#endif
