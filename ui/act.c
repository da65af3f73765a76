#include "ui/act.h"

#include <stdarg.h>
#include <string.h>

#include "base/clock.h"
#include "base/json_writer.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "ui/console_private.h"

#define ARMED_FOR "15 minutes"

struct arming act_arming(const struct console *c) {
    const struct row *r = world_first(c->o.world, T_ARMING);
    struct arming a = {.state = ARMED_NOBODY};
    if (!r || !c->connected) return a;
    a.typed = row_text(r, ARMING_TYPED);
    if (!slice_is(row_text(r, ARMING_STATE), "ARMED")) return a;
    bool ours = c->ui.peer && row_int(r, ARMING_PEER, 0) == (int64_t)c->ui.peer;
    a.state = ours ? ARMED_OURS : ARMED_ELSEWHERE;
    a.by = row_text(r, ARMING_BY);
    a.left_ms = row_int(r, ARMING_UNTIL, 0) - world_now(c->o.world);
    if (a.left_ms < 0) a.left_ms = 0;
    return a;
}

static const char *key_of(const struct console *c, enum command command, struct buf *out) {
    buf_clear(out);
    keymap_keys(c->keys, command, true, out);
    return buf_str(out);
}

/* Why nobody can act through this console at all, armed or not. */
static bool cut_off(const struct console *c, struct buf *why) {
    struct buf key = {0};
    if (c->o.watch) buf_adds(why, "watch only looks");
    else if (c->o.read_only_attach) buf_adds(why, "an attached console only looks; ferryman console acts");
    else if (!c->connected) buf_adds(why, "the engine is gone: nothing can be asked of it");
    else if (c->frozen) buf_printf(why, "the view is frozen: %s catches up first", key_of(c, COMMAND_FREEZE, &key));
    else if (!world_first(c->o.world, T_ARMING))
        buf_adds(why, c->ui.plan ? "this engine only looks: it acts on nothing" : "there is no plan to act on: start with ferryman --plan FILE");
    buf_free(&key);
    return why->len > 0;
}

bool act_refused(const struct console *c, enum command command, struct buf *why) {
    if (!command_info(command)->arming) return false;
    if (cut_off(c, why)) return true;
    struct arming a = act_arming(c);
    struct buf key = {0};
    key_of(c, COMMAND_ARM, &key);
    if (a.state == ARMED_NOBODY) buf_printf(why, "read-only: %s arms", buf_str(&key));
    else if (a.state == ARMED_ELSEWHERE)
        buf_printf(why, "read-only: %.*s is armed elsewhere", SLICE_FMT(a.by.n ? a.by : SLICE_LIT("somebody")));
    buf_free(&key);
    return why->len > 0;
}

bool act_allowed(struct ui *ui, enum command command) {
    struct buf why = {0};
    bool refused = act_refused(console_of(ui), command, &why);
    buf_free(&why);
    return !refused;
}

/* ---- Telling the engine ------------------------------------------------------------------------------------------ */

void act_send(struct console *c, const char *verb, ...) {
    struct buf line = {0};
    struct json_writer w;
    va_list ap;
    jw_init(&w, &line);
    jw_object(&w);
    jw_key(&w, "verb");
    jw_str(&w, verb);
    va_start(ap, verb);
    for (const char *name = va_arg(ap, const char *); name; name = va_arg(ap, const char *)) {
        const char *text = va_arg(ap, const char *);
        if (!text) continue;
        jw_key(&w, name);
        jw_str(&w, text);
    }
    va_end(ap);
    jw_end_object(&w);
    const struct row *r = world_first(c->o.world, T_ARMING);
    c->answered = r ? row_int(r, ARMING_ANSWERED, 0) : 0;
    c->awaiting = true;
    ui_send(&c->ui, buf_str(&line));
    buf_free(&line);
}

/* What the answer of a prompt will be about. */
static void remember(struct console *c, struct slice workload, struct slice phase) {
    mem_free(c->about_workload);
    mem_free(c->about_phase);
    c->about_workload = workload.p ? slice_dup(workload) : NULL;
    c->about_phase = phase.p ? slice_dup(phase) : NULL;
}

static void typed_to_arm(struct console *c, const char *text) {
    if (*text) act_send(c, "arm", "typed", text, (const char *)NULL);
}

void act_disarm(struct console *c) {
    if (act_arming(c).state == ARMED_OURS) act_send(c, "disarm", (const char *)NULL);
    else ui_message(&c->ui, STYLE_DIM, "this console is read-only already");
}

void act_arm(struct console *c) {
    struct arming a = act_arming(c);
    struct buf why = {0};
    if (a.state == ARMED_OURS && !c->o.read_only_attach) {
        act_disarm(c);
    } else if (cut_off(c, &why)) {
        ui_message(&c->ui, STYLE_WARN, "%s", buf_str(&why));
    } else if (a.state == ARMED_ELSEWHERE) {
        ui_message(&c->ui, STYLE_WARN, "another console of this engine is armed (%.*s): it is disarmed there", SLICE_FMT(a.by));
    } else {
        char *label = str_printf("to arm for " ARMED_FOR " type the context's name (%.*s): ", SLICE_FMT(a.typed));
        prompt_ask(c, &(struct ask){.label = label, .help = "Esc leaves", .done = typed_to_arm});
        mem_free(label);
    }
    buf_free(&why);
}

static void typed_note(struct console *c, const char *text) {
    if (*text) act_send(c, "note", "text", text, (const char *)NULL);
}

void act_note(struct console *c) {
    struct buf why = {0};
    if (cut_off(c, &why)) ui_message(&c->ui, STYLE_WARN, "%s", buf_str(&why));
    else prompt_ask(c, &(struct ask){.label = "note: ", .help = "Enter writes it into the timeline  Esc leaves", .done = typed_note});
    buf_free(&why);
}

void act_open(struct console *c, struct slice workload, struct slice phase) {
    remember(c, workload, phase);
    act_send(c, "open", "workload", c->about_workload, "phase", c->about_phase, (const char *)NULL);
    ui_message(&c->ui, STYLE_BUSY, "asked the engine to prepare %s of %s", c->about_phase, c->about_workload);
}

void act_pause(struct console *c, struct slice workload, bool paused) {
    remember(c, workload, (struct slice){NULL, 0});
    act_send(c, paused ? "resume" : "pause", "workload", c->about_workload, (const char *)NULL);
    ui_message(&c->ui, STYLE_BUSY, paused ? "%s goes on" : "%s pauses after its present request", c->about_workload);
}

static void typed_abort(struct console *c, const char *text) {
    if (str_eq(text, "y")) act_send(c, "abort", "workload", c->about_workload, (const char *)NULL);
    else ui_message(&c->ui, STYLE_DIM, "not aborted: %s of %s goes on", c->about_phase, c->about_workload);
}

void act_abort(struct console *c, struct slice workload, struct slice phase) {
    remember(c, workload, phase);
    char *label = str_printf("abort %s of %s? What was done stays. y aborts: ", c->about_phase, c->about_workload);
    prompt_ask(c, &(struct ask){.label = label, .help = "Enter: no", .done = typed_abort, .one_key = true});
    mem_free(label);
}

static void typed_reason(struct console *c, const char *text) {
    if (*text) act_send(c, "override", "workload", c->about_workload, "gate", c->about_phase, "reason", text, (const char *)NULL);
    else ui_message(&c->ui, STYLE_WARN, "not passed over: that takes a reason");
}

static void typed_gate(struct console *c, const char *text) {
    if (!*text) return;
    char *workload = mem_strdup(c->about_workload), *label = str_printf("why may '%s' be passed over: ", text);
    remember(c, slice_of(workload), slice_of(text));
    prompt_ask(c, &(struct ask){.label = label, .help = "it stands in the report", .done = typed_reason});
    mem_free(label);
    mem_free(workload);
}

static bool says(struct slice text, const char *words) {
    size_t n = strlen(words);
    for (size_t i = 0; i + n <= text.n; i++)
        if (memcmp(text.p + i, words, n) == 0) return true;
    return false;
}

/* Whether that gate is named as what stands in the way: of a phase, or of a dialog of ours. */
static bool in_the_way(const struct console *c, const char *gate) {
    const struct world *w = c->o.world;
    char *words = str_printf("gate %s", gate);
    bool found = false;
    for (const struct row *r = world_first(w, T_PHASES); r && !found; r = world_next(w, r))
        found = slice_is(row_text(r, PHASES_WORKLOAD), c->about_workload) && says(row_text(r, PHASES_REASON), words);
    for (const struct row *r = world_first(w, T_DIALOGS); r && !found; r = world_next(w, r)) found = says(row_text(r, DIALOGS_REASON), words);
    mem_free(words);
    return found;
}

/* Those that may ever be passed over, the one in the way first; copies, quorum, identity and proof never may. */
static char **open_gates(struct console *c, const char *typed) {
    static const char *const names[] = {"alerts", "backups", "hours", "http", "image", "circle", "unseal", "foreign-files", "audit-logs", "plaintext"};
    char **list = mem_calloc(ARRAY_LEN(names) + 1, sizeof *list);
    size_t n = 0;
    for (int first = 1; first >= 0; first--)
        for (size_t i = 0; i < ARRAY_LEN(names); i++)
            if (str_starts(names[i], typed) && in_the_way(c, names[i]) == (first == 1)) list[n++] = mem_strdup(names[i]);
    return list;
}

void act_override(struct console *c, struct slice workload) {
    remember(c, workload, (struct slice){NULL, 0});
    prompt_ask(c, &(struct ask){.label = "gate to pass over: ", .help = "Tab: the one in the way, then the others  Esc leaves", .done = typed_gate,
                                .complete = open_gates});
}

static void typed_skip(struct console *c, const char *text) {
    if (*text) act_send(c, "skip", "workload", c->about_workload, "phase", c->about_phase, "reason", text, (const char *)NULL);
    else ui_message(&c->ui, STYLE_WARN, "not passed over: that takes a reason");
}

void act_skip(struct console *c, struct slice workload, struct slice phase) {
    remember(c, workload, phase);
    char *label = str_printf("why may %s be passed over: ", c->about_phase);
    prompt_ask(c, &(struct ask){.label = label, .help = "it stands in the report", .done = typed_skip});
    mem_free(label);
}

/* ---- The window -------------------------------------------------------------------------------------------------- */

static void typed_end(struct console *c, const char *text) {
    if (*text) act_send(c, "end", "workload", c->about_workload, "reason", text, (const char *)NULL);
    else ui_message(&c->ui, STYLE_WARN, "the window goes on: to end it early takes a reason");
}

void act_end_window(struct console *c, struct slice workload) {
    remember(c, workload, (struct slice){NULL, 0});
    prompt_ask(c, &(struct ask){.label = "why may the window end early: ", .help = "in the report; three checks follow",
                                .done = typed_end});
}

static void typed_credit(struct console *c, const char *text) {
    if (*text) act_send(c, "credit", "workload", c->about_workload, "reason", text, (const char *)NULL);
    else ui_message(&c->ui, STYLE_WARN, "nothing is given back: that takes a reason");
}

void act_credit_gap(struct console *c, struct slice workload) {
    remember(c, workload, (struct slice){NULL, 0});
    prompt_ask(c, &(struct ask){.label = "why does what was covered before the gap count: ", .help = "it stands in the report", .done = typed_credit});
}

int act_draw_key(struct ui *ui, int y, int x, int end, enum command command, const char *words, struct slice object, bool may) {
    struct buf key = {0}, text = {0};
    may = may && act_allowed(ui, command);
    keymap_keys(console_of(ui)->keys, command, true, &key);
    if (!key.len) buf_printf(&key, ":%s", command_info(command)->palette);
    buf_printf(&text, "%s%s%.*s", words, object.n ? " " : "", SLICE_FMT(object));
    int used = (int)(utf8_columns(buf_slice(&key)) + utf8_columns(buf_slice(&text))) + 1;
    if (x + used <= end) {
        x += draw_text(ui->draw, y, x, end - x, may ? STYLE_KEY : STYLE_DIM, buf_slice(&key)) + 1;
        x += draw_text(ui->draw, y, x, end - x, may ? STYLE_NORMAL : STYLE_DIM, buf_slice(&text)) + 3;
    }
    buf_free(&key);
    buf_free(&text);
    return x;
}

/* ---- Its answers ------------------------------------------------------------------------------------------------- */

static void tell_arming(struct console *c, enum armed now) {
    enum armed before = c->armed;
    c->armed = now;
    if (now == before) return;
    if (now == ARMED_OURS) {
        struct buf key = {0};
        ui_message(&c->ui, STYLE_WARN, "armed for " ARMED_FOR "; %s disarms", key_of(c, COMMAND_ARM, &key));
        buf_free(&key);
    } else if (before == ARMED_OURS) {
        ui_message(&c->ui, STYLE_DIM, "read-only again; a phase under way goes on");
    }
}

void act_commit(struct console *c) {
    const struct row *r = world_first(c->o.world, T_ARMING);
    tell_arming(c, act_arming(c).state);
    if (!r || !c->awaiting || row_int(r, ARMING_ANSWERED, 0) == c->answered) return;
    struct slice answer = row_text(r, ARMING_ANSWER);
    c->awaiting = false;
    if (answer.n) dialog_answered(c, answer);
    if (answer.n) ui_message(&c->ui, STYLE_WARN, "%.*s", SLICE_FMT(answer));
}
