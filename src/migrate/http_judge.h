/* The plan's HTTP probes as an operator means them: each answered as the plan expects, and asked since then. */
#ifndef FERRYMAN_MIGRATE_HTTP_JUDGE_H
#define FERRYMAN_MIGRATE_HTTP_JUDGE_H

#include <stdint.h>

#include "base/buf.h"
#include "migrate/op.h"

struct plan_items;

/* http: struct plan_http; since: by the world's clock. DONE: all answered, or the gate http is overridden; TODO: the first that did not,
 * appended. */
enum op_answer http_judge(const struct run *r, const struct plan_items *http, int64_t since, struct buf *reason);

#endif
