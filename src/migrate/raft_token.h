/* How long our token lives, judged, and a renewal on trial. Private to raft_*.c. */
#ifndef FERRYMAN_MIGRATE_RAFT_TOKEN_H
#define FERRYMAN_MIGRATE_RAFT_TOKEN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "migrate/op.h"

struct run;
struct vault_token;

/* left_ms: of its life, after the renewal if there was one. DONE or REFUSE with the reason in out; warn: what is worth knowing. Pure. */
enum op_answer raft_judge_token(const struct vault_token *token, int64_t left_ms, bool renewed, int64_t window_ms, struct buf *out, struct buf *warn);
/* Looks it up, renews it if it can be, looks again; asked of that node (it forwards). → fact token.renewable: yes, no, endless. */
struct op *raft_script_renewal(struct run *r, struct script *s, const char *node);

#endif
