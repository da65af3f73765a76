/* A validation window, judged (design 6.5): pure, no I/O, no clock of its own. Samples go in, the state comes out; the state can be
 * written as JSON and read again, so that it outlives the process.
 *
 * Only time that is covered by samples is credited: each sample covers up to the next one, at most 1.5 periods. Beyond that the clock
 * stands; beyond max_gap the window is INCONCLUSIVE: it begins again, unless a typed reason gives the earlier credit back. A gate that
 * fails for fail_after (leader and write probe: at least 90 s) begins the window again (voters, caught up, unsealed, leader, write
 * probe) or stops its clock (alerts, http). NO DATA stops the clock and is no failure. Time is the plan's clock; a step of the wall
 * clock or a suspend (mono and plan advance differently) credits nothing it did not see. */
#ifndef FERRYMAN_MIGRATE_WINDOW_H
#define FERRYMAN_MIGRATE_WINDOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

struct json_t;

enum window_gate { WINDOW_VOTERS, WINDOW_CAUGHT_UP, WINDOW_UNSEALED, WINDOW_LEADER, WINDOW_WRITE, WINDOW_ALERTS, WINDOW_HTTP, WINDOW_GATES };
enum window_answer { WINDOW_PASS, WINDOW_LATE, WINDOW_FAIL, WINDOW_NO_DATA, WINDOW_NOT_ASKED };

/* "voters", "caught up", "unsealed", "leader", "write probe", "alerts", "http" */
extern const char *const window_gate_names[WINDOW_GATES];

struct window_rules {
    int64_t duration_ms, sample_ms, max_gap_ms, fail_after_ms; /* plan clock */
    int64_t write_every_ms;                                    /* period of the write probe; 0: 30 s */
};

struct window_sample {
    int64_t plan_ms, mono_ms;                  /* when; mono counts suspend (CLOCK_BOOTTIME), scale 1 */
    double scale;                              /* of the plan clock; 1 but in a sandbox */
    enum window_answer answers[WINDOW_GATES];  /* of the write probe NOT_ASKED: none has ended since the last sample */
    const char *reasons[WINDOW_GATES];         /* NULL where it passes; clean */
    const char *leader;                        /* active now; NULL: none known. A change is recorded, not a failure */
};

enum window_state { WINDOW_WAITING, WINDOW_PASSING, WINDOW_STOPPED, WINDOW_FAILING, WINDOW_INCONCLUSIVE, WINDOW_ENDING_EARLY, WINDOW_PASSED, WINDOW_ENDED_EARLY };
extern const char *const window_state_words[]; /* "PASSING", "CLOCK STOPPED", … */

struct window;
struct window *window_new(const struct window_rules *rules, const char *pod, int64_t plan_ms);
void window_free(struct window *w);
/* Judges one more sample. What happened is appended to `said`, one line each, in the operator's words ("restarted: 2 of 3 voters for 31 s").
 * Returns whether something worth a journal record happened (a change of state, a leader change, a gap; else every 5 minutes, or every fifth of max_gap, so
 * that the end of the process is no gap beyond it). */
bool window_feed(struct window *w, const struct window_sample *s, struct buf *said);
enum window_state window_state(const struct window *w);
bool window_is_over(const struct window *w); /* passed, or ended early with its floor: three checks over 90 s with a write probe */
/* Early end asked for: the floor begins now. ERR_USAGE if it is over. */
struct err *window_ask_end(struct window *w, const char *reason, int64_t plan_ms) MUST_CHECK;
/* The credit from before the gap is given back. ERR_USAGE if there was none. */
struct err *window_give_back(struct window *w, const char *reason) MUST_CHECK;

struct window_numbers {
    int64_t started, credited_ms, gaps_ms, longest_gap_ms, lost_ms /* credit that restarts took */,
        aside_ms /* of that: what a typed reason gives back */, earliest_end /* plan ms */, last_sample;
    unsigned restarts, failures, leader_changes, samples;
};
void window_numbers(const struct window *w, struct window_numbers *ret);
/* One character per bucket of a gate since the beginning, newest last, at most 96 buckets whatever the duration (the bucket's length is
 * returned): 'p' pass, 'l' late, '-' no data (clock stopped), 'x' fail (clock restarted), 's' clock stopped by it, ' ' not asked. */
int64_t window_strip(const struct window *w, enum window_gate g, struct buf *out);
/* Why it does not pass; while it passes, the last time that it did not ("" if there was none). */
const char *window_gate_reason(const struct window *w, enum window_gate g);
/* As it is shown: what fails, not for longer than it may yet, is late. */
enum window_answer window_gate_answer(const struct window *w, enum window_gate g);
const char *window_pod(const struct window *w);
const struct window_rules *window_rules_in_force(const struct window *w);
int64_t window_begun(const struct window *w); /* plan ms: of all, whatever restarted it since */
const char *window_end_reason(const struct window *w); /* as typed; NULL: no early end was asked for */

/* State as a document of at most a few kB, and back. read: NULL if it is none of ours. After reading, the time since the last sample is
 * a gap like any other; where the rules are others than it began with, the stricter of both hold. */
struct json_t *window_write(const struct window *w) MUST_CHECK;
struct window *window_read(const struct json_t *d, const struct window_rules *rules) MUST_CHECK;

#endif
