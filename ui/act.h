/* Acting: whether this console may, how it comes to, and how what the operator wants is told to the engine. Nothing here
 * decides: the engine does, and answers in rows (T_ARMING.answer, T_DIALOGS). */
#ifndef FERRYMAN_UI_ACT_H
#define FERRYMAN_UI_ACT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/str.h"
#include "ui/command.h"

struct console;
struct ui;

enum armed { ARMED_NOBODY, ARMED_OURS, ARMED_ELSEWHERE };

struct arming {
    enum armed state;
    int64_t left_ms;    /* until it ends */
    struct slice by;    /* who armed; of ARMED_ELSEWHERE and ARMED_OURS */
    struct slice typed; /* what has to be typed; absent: nothing can be armed */
};

/* By the present world, also while the view is frozen. Views of rows: valid until the world changes. */
struct arming act_arming(const struct console *c);
/* Why a command that needs arming cannot be given now, with the remedy, is appended; false: it can be given. */
bool act_refused(const struct console *c, enum command command, struct buf *why);
/* The same from a screen's side, by the command's own flag: true for what never needs arming. */
bool act_allowed(struct ui *ui, enum command command);

/* An intent: names and texts in turn, ending in NULL; members whose text is NULL are left out. */
void act_send(struct console *c, const char *verb, ...);

void act_arm(struct console *c);    /* asks for the context's name, or disarms */
void act_disarm(struct console *c);
void act_note(struct console *c);
/* What the phase screen's keys do, for the workload and phase that it shows. */
void act_open(struct console *c, struct slice workload, struct slice phase);
void act_pause(struct console *c, struct slice workload, bool paused);
void act_abort(struct console *c, struct slice workload, struct slice phase);
void act_override(struct console *c, struct slice workload);
void act_skip(struct console *c, struct slice workload, struct slice phase);

void act_end_window(struct console *c, struct slice workload); /* both ask for the reason */
void act_credit_gap(struct console *c, struct slice workload);

/* "r start dump": a key and what it does, dim where it cannot be done (may: and this console does not refuse it). Returns where the next
 * one begins; nothing where it does not fit before `end`. */
int act_draw_key(struct ui *ui, int y, int x, int end, enum command command, const char *words, struct slice object, bool may);

/* After each commit: the engine's answers become messages. */
void act_commit(struct console *c);

#endif
