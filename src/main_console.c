/* The console process, the second composition root: terminal, console, and the line to the engine. `attach` is the same without
 * starting an engine. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli.h"
#include "console_link.h"
#include "loop/loop.h"
#include "loop/signals.h"
#include "main_console.h"
#include "setup.h"
#include "ui/console.h"
#include "ui/term.h"
#include "watch_text.h"
#include "world/world.h"

struct process {
    struct loop *loop;
    struct world *world;
    struct term *term;
    struct console *console;
    struct console_link *link;
};

static void on_commit(void *arg) {
    struct process *p = arg;
    console_commit(p->console);
}

static void on_tick(void *arg) {
    struct process *p = arg;
    console_tick(p->console);
}

static void on_hello(void *arg, const char *version, const char *plan, const char *context, unsigned peer) {
    struct process *p = arg;
    (void)version;
    console_hello(p->console, plan, context, peer);
}

static void on_lagged(void *arg, int64_t ms) {
    struct process *p = arg;
    console_lagged(p->console, ms);
}

static void on_bye(void *arg, const char *reason) {
    struct process *p = arg;
    console_engine(p->console, false, reason);
}

static void on_link(void *arg, bool connected, const char *why) {
    struct process *p = arg;
    console_engine(p->console, connected, why);
}

static void send_intent(void *arg, const char *line) {
    struct process *p = arg;
    if (p->link) console_link_send(p->link, line);
}

static void quit(void *arg) {
    struct process *p = arg;
    loop_stop(p->loop);
}

static void on_key(void *arg, struct key key) {
    struct process *p = arg;
    if (p->console) console_key(p->console, key);
}

static void on_signal(void *arg, int signum) {
    struct process *p = arg;
    if (signum == SIGWINCH) console_resize(p->console);
    else if (signum == SIGCONT) console_resume(p->console);
    else quit(p);
}

static struct err *run_loop(struct process *p, const struct cli *cli, const char *path, enum console_mode mode) {
    static const int signums[] = {SIGWINCH, SIGCONT, SIGTERM, SIGHUP, SIGINT};
    const struct console_link_events events = {
        .stream = {.on_commit = on_commit, .on_tick = on_tick, .on_hello = on_hello, .on_lagged = on_lagged, .on_bye = on_bye},
        .on_link = on_link,
    };
    char *state_dir = file_state_dir();
    struct err *e = console_new(&(struct console_options){
        .loop = p->loop, .world = p->world, .term = p->term, .theme = cli->theme, .color = cli->color, .ascii = cli->ascii,
        .mouse = cli->mouse, .read_only_attach = mode != CONSOLE_ACTS, .watch = mode == CONSOLE_WATCH, .bell = cli->bell, .ns = cli->ns, .state_dir = state_dir, .send = send_intent, .quit = quit, .arg = p,
    }, &p->console);
    if (!e) {
        struct signals *signals = signals_new(p->loop, signums, (int)ARRAY_LEN(signums), on_signal, p);
        term_start(p->term, p->loop);
        p->link = console_link_new(p->loop, cli, path, p->world, mode != CONSOLE_ATTACH, &events, p);
        loop_run(p->loop);
        console_link_free(p->link);
        p->link = NULL;
        signals_free(signals);
        console_free(p->console);
    }
    mem_free(state_dir);
    return e;
}

static struct err *open_console(struct cli *cli, const char *path, enum console_mode mode) {
    struct process p = {0};
    struct err *e = term_open(&(struct term_options){.mouse = cli->mouse, .on_key = on_key, .on_lost = quit, .arg = &p}, &p.term);
    if (e) return e;
    p.loop = loop_new();
    p.world = world_new();
    e = run_loop(&p, cli, path, mode);
    term_close(p.term);
    world_free(p.world);
    loop_free(p.loop);
    return e;
}

/* Told here, on the plain terminal, before an engine is started that could only fail on them. */
struct err *main_console_prepare(struct cli *cli, const char *path, bool may_spawn) {
    struct setup setup = {0};
    if (console_link_listening(path)) return NULL;
    if (!may_spawn)
        return err_new(ERR_UNAVAILABLE, "no engine runs for this plan, kubeconfig and context; start one with: ferryman console");
    struct err *e = setup_load(cli, &setup);
    setup_free(&setup);
    return e ? e : console_link_spawn(cli, path);
}

int main_console(struct cli *cli, enum console_mode mode) {
    char *path = NULL;
    struct err *e = cli->nargs ? err_new(ERR_USAGE, "unexpected argument '%s'; see ferryman --help", cli->args[0]) : NULL;
    if (!e && cli->plain) return watch_text(cli, &(struct watch_text_options){.may_spawn = mode != CONSOLE_ATTACH, .timeline = true});
    if (!e && (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO)))
        e = err_new(ERR_USAGE, mode == CONSOLE_WATCH ? "watch on the whole screen needs a terminal; without one use ferryman watch --headless"
                                                     : "the console needs a terminal; without one use ferryman status or ferryman watch --headless");
    if (!e) e = setup_socket_path(cli, &path);
    if (!e) e = main_console_prepare(cli, path, mode != CONSOLE_ATTACH);
    if (!e) e = open_console(cli, path, mode);
    mem_free(path);
    return cli_report(e);
}

static int run(struct cli *cli) {
    return main_console(cli, CONSOLE_ACTS);
}

const struct subcommand command_console = {
    .name = "console",
    .usage = "[console]",
    .summary = "the console; read-only until it is armed",
    .run = run,
};
