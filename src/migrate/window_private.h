/* What window.c (the judgement) and window_state.c (its document, its strips) share. */
#ifndef FERRYMAN_MIGRATE_WINDOW_PRIVATE_H
#define FERRYMAN_MIGRATE_WINDOW_PRIVATE_H

#include "migrate/window.h"

#define WINDOW_STRIP_MAX 96
#define WINDOW_REASON_MAX 160
#define WINDOW_TYPED_MAX 400

struct window_gate_now {
    enum window_answer answer;
    char reason[WINDOW_REASON_MAX];
    bool bad, confirmed;         /* it fails; for longer than it may */
    int64_t bad_ms;              /* how long, as far as samples cover it */
    char last[WINDOW_REASON_MAX]; /* the last time that it did not pass, when that is over */
    int64_t since, lasted;       /* the time that it does not pass: its beginning (plan), its length so far */
    char strip[WINDOW_STRIP_MAX + 1];
};

struct window {
    struct window_rules rules;
    char pod[256], leader[256];
    int64_t begun, started;       /* plan: of all; since the last restart */
    bool sampled;                 /* the last sample: */
    int64_t last_plan, last_mono;
    double last_scale;
    bool covers, suspect, known;  /* it may be credited; a gate fails, not for long yet; voters, leader and the like had data */
    bool running;                 /* there was a sample since the last restart in which everything passed */
    int64_t credited, pending;    /* pending: a gate fails since, credited if it passes again in time */
    int64_t aside;                /* credit from before a gap that was too long */
    int64_t gaps, longest, lost;
    int64_t elapsed;              /* since the beginning, whatever the clock was set to */
    int64_t blind;                /* how long nothing has been known */
    int64_t stood;                /* how long the clock has been standing */
    bool judged, inconclusive;    /* this blindness was judged too long; and nobody has given the credit back */
    bool probed;
    int64_t probe_age;            /* of the last write probe */
    unsigned restarts, failures, leader_changes, samples;
    enum window_state state;
    bool ending;                  /* early */
    char typed[WINDOW_TYPED_MAX];
    int64_t end_ms;
    unsigned end_checks;
    bool end_probed, untold;      /* untold: something happened that is not recorded yet */
    int64_t recorded;             /* elapsed at the last record */
    struct window_gate_now gates[WINDOW_GATES];
    int64_t bucket;               /* ms */
    size_t buckets;
};

/* ---- window_state.c */
/* Marks the time from elapsed `from` to `to` with one character. */
void window_mark(struct window *w, enum window_gate g, int64_t from, int64_t to, char c);
/* Cuts at a character. */
void window_copy(char *dst, size_t size, const char *src);

#endif
