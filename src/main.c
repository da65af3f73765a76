/* ferryman's entry: reads the global options, finds the subcommand, runs it. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/secret.h"
#include "base/str.h"
#include "base/utf8.h"
#include "cli.h"
#include "sandbox_child.h"

static const struct subcommand *const subcommands[] = {
    &command_console, &command_status,   &command_watch,   &command_attach, &command_plan,
    &command_run,     &command_rollback, &command_journal, &command_dump, &command_snapshot, &command_sandbox, &command_engine,
    &command_commands, NULL,
};

enum option_id {
    OPT_PLAN = 256, OPT_KUBECONFIG, OPT_CONTEXT, OPT_JSON, OPT_THEME, OPT_ASCII, OPT_COLOR, OPT_LOG, OPT_VERSION, OPT_SANDBOX,
    OPT_HEADLESS, OPT_TIMEOUT, OPT_DIR, OPT_SOCKET, OPT_MOUSE,
    OPT_ARM, OPT_CONFIRM, OPT_SKIP, OPT_OVERRIDE, OPT_THROUGH_WINDOWS, OPT_PIN, OPT_PASSPHRASE_FILE,
    OPT_FOR, OPT_BELL, OPT_PLAIN,
};

static const struct option options[] = {
    {"plan", required_argument, NULL, OPT_PLAN},
    {"kubeconfig", required_argument, NULL, OPT_KUBECONFIG},
    {"context", required_argument, NULL, OPT_CONTEXT},
    {"namespace", required_argument, NULL, 'n'},
    {"json", no_argument, NULL, OPT_JSON},
    {"theme", required_argument, NULL, OPT_THEME},
    {"ascii", no_argument, NULL, OPT_ASCII},
    {"color", required_argument, NULL, OPT_COLOR},
    {"mouse", no_argument, NULL, OPT_MOUSE},
    {"log", required_argument, NULL, OPT_LOG},
    {"timeout", required_argument, NULL, OPT_TIMEOUT},
    {"headless", no_argument, NULL, OPT_HEADLESS},
    {"for", required_argument, NULL, OPT_FOR},
    {"bell", no_argument, NULL, OPT_BELL},
    {"plain", no_argument, NULL, OPT_PLAIN},
    {"sandbox", no_argument, NULL, OPT_SANDBOX},
    {"dir", required_argument, NULL, OPT_DIR},
    {"arm", required_argument, NULL, OPT_ARM},
    {"confirm", required_argument, NULL, OPT_CONFIRM},
    {"skip", required_argument, NULL, OPT_SKIP},
    {"override", required_argument, NULL, OPT_OVERRIDE},
    {"through-windows", no_argument, NULL, OPT_THROUGH_WINDOWS},
    {"pin", no_argument, NULL, OPT_PIN},
    {"passphrase-file", required_argument, NULL, OPT_PASSPHRASE_FILE},
    {"output", required_argument, NULL, 'o'},
    {"socket", required_argument, NULL, OPT_SOCKET},
    {"version", no_argument, NULL, OPT_VERSION},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

const struct subcommand *const *cli_subcommands(void) {
    return subcommands;
}

const struct option *cli_options(void) {
    return options;
}

static void print_help(FILE *out) {
    fputs("usage: ferryman [COMMAND] [OPTION…]\n\n"
          "Carries stateful workloads off storage that cannot keep its promises. Read-only until it is armed.\n\ncommands:\n", out);
    for (size_t i = 0; subcommands[i]; i++)
        if (subcommands[i]->summary) fprintf(out, "  %-24s %s\n", subcommands[i]->usage, subcommands[i]->summary);
    fputs("\noptions:\n"
          "  --plan FILE            the plan (doc/plan.md); without one, storage works from the kubeconfig alone\n"
          "  --kubeconfig FILE      instead of $KUBECONFIG or ~/.kube/config\n"
          "  --context NAME         kubeconfig context; the plan's otherwise\n"
          "  -n, --namespace NAME   show this namespace first\n"
          "  --sandbox              run the command against a fresh embedded cluster\n"
          "  --json                 machine-readable output\n"
          "  --timeout DURATION     how long to wait for first answers (status 10s, run and rollback 60s)\n"
          "  --arm CONTEXT          run, rollback: the context's name, as typed in the console\n"
          "  --confirm PHASE=TEXT   run, rollback: what that phase's dialog asks for (plan show); for each phase\n"
          "  --skip PHASE=REASON    run: leave out a phase that may be left out\n"
          "  --through-windows      run: begin windows, too, and go on after them; without it a run ends where one comes next\n"
          "  --override GATE=REASON run, rollback: go on although the gate on alerts or backups does not pass\n"
          "  --pin                  plan check: write the identities of cluster and databases into the plan\n"
          "  --passphrase-file FILE dump, snapshot: holds the passphrase of an enciphered one\n"
          "  -o, --output FILE      dump decrypt: where to (standard output)\n"
          "  --headless             watch: no terminal; a line for each change, a summary, an exit status; --json: the stream\n"
          "  --for DURATION         watch --headless: at most so long\n"
          "  --bell                 watch: ring when something bad happens\n"
          "  --plain                console, attach, watch: no screen, everything that happens as lines\n"
          "  --theme NAME           colour-blind (default), dark, light, high-contrast, mono, or a file\n"
          "  --color WHEN           auto, always, never; NO_COLOR is honoured\n"
          "  --ascii                no characters beyond ASCII\n"
          "  --mouse                let the console take the mouse\n"
          "  --log FILE             write a log; it never holds secrets\n"
          "  --version, --help\n\n"
          "exit status: 0 well; 1 a gate fails or waits; 2 something could not be observed; 64 usage; 65 bad plan or kubeconfig;\n"
          "69 nothing answered; 75 another holds the lock; 77 permission. See ferryman(1).\n", out);
}

int cli_report(struct err *e) {
    if (!e) return 0;
    struct buf line = {0};
    struct slice rest = slice_of(err_text(e)), part;
    while (slice_cut(&rest, '\n', &part)) {
        buf_adds(&line, "ferryman: ");
        utf8_clean(&line, part);
        buf_addc(&line, '\n');
    }
    fputs(buf_str(&line), stderr);
    log_error("%s", err_text(e));
    int status = err_exit_status(e);
    buf_free(&line);
    err_free(e);
    return status;
}

static const struct subcommand *find(const char *name) {
    for (size_t i = 0; subcommands[i]; i++)
        if (str_eq(subcommands[i]->name, name)) return subcommands[i];
    return NULL;
}

static struct err *unknown_command(const char *name) {
    const char *names[ARRAY_LEN(subcommands)];
    size_t n = 0;
    for (size_t i = 0; subcommands[i]; i++)
        if (subcommands[i]->summary) names[n++] = subcommands[i]->name;
    names[n] = NULL;
    const char *near = str_nearest(name, names);
    if (near) return err_new(ERR_USAGE, "unknown command '%s'; did you mean '%s'? See ferryman --help", name, near);
    return err_new(ERR_USAGE, "unknown command '%s'; see ferryman --help", name);
}

static struct err *set_timeout(struct cli *cli, const char *text) {
    int64_t ns;
    if (!str_duration_ns(slice_of(text), &ns) || ns <= 0)
        return err_new(ERR_USAGE, "--timeout: '%s' is not a duration like 10s", text);
    cli->timeout_ms = ns / CLOCK_NS_PER_MS;
    cli->timeout_given = true;
    return NULL;
}

static struct err *set_for(struct cli *cli, const char *text) {
    int64_t ns;
    if (!str_duration_ns(slice_of(text), &ns) || ns < CLOCK_NS_PER_MS) return err_new(ERR_USAGE, "--for: '%s' is not a duration like 25h", text);
    cli->for_ms = ns / CLOCK_NS_PER_MS;
    return NULL;
}

static struct err *set_color(struct cli *cli, const char *text) {
    if (!str_eq(text, "auto") && !str_eq(text, "always") && !str_eq(text, "never"))
        return err_new(ERR_USAGE, "--color: '%s' is none of auto, always, never", text);
    cli->color = text;
    return NULL;
}

static void add_word(struct cli_words *list, const char *word) {
    list->v = mem_reallocarray(list->v, list->n + 1, sizeof *list->v);
    list->v[list->n++] = word;
}

/* Sets one option; *ret_done when the program is to end well. */
static struct err *set_option(struct cli *cli, int id, bool *ret_done) {
    switch (id) {
    case OPT_PLAN: cli->plan = optarg; break;
    case OPT_KUBECONFIG: cli->kubeconfig = optarg; break;
    case OPT_CONTEXT: cli->context = optarg; break;
    case 'n': cli->ns = optarg; break;
    case OPT_JSON: cli->json = true; break;
    case OPT_THEME: cli->theme = optarg; break;
    case OPT_ASCII: cli->ascii = true; break;
    case OPT_MOUSE: cli->mouse = true; break;
    case OPT_COLOR: return set_color(cli, optarg);
    case OPT_LOG: cli->log = optarg; break;
    case OPT_TIMEOUT: return set_timeout(cli, optarg);
    case OPT_HEADLESS: cli->headless = true; break;
    case OPT_FOR: return set_for(cli, optarg);
    case OPT_BELL: cli->bell = true; break;
    case OPT_PLAIN: cli->plain = true; break;
    case OPT_SANDBOX: cli->sandbox = true; break;
    case OPT_DIR: str_set(&cli->dir, optarg); break;
    case OPT_SOCKET: cli->socket = optarg; break;
    case OPT_ARM: cli->arm = optarg; break;
    case OPT_CONFIRM: add_word(&cli->confirm, optarg); break;
    case OPT_SKIP: add_word(&cli->skip, optarg); break;
    case OPT_THROUGH_WINDOWS: cli->through_windows = true; break;
    case OPT_OVERRIDE: add_word(&cli->override, optarg); break;
    case OPT_PIN: cli->pin = true; break;
    case OPT_PASSPHRASE_FILE: cli->passphrase_file = optarg; break;
    case 'o': cli->output = optarg; break;
    case OPT_VERSION:
        puts("ferryman " FERRYMAN_VERSION);
        *ret_done = true;
        break;
    case 'h': cli->help = true; break;
    default: break;
    }
    return NULL;
}

/* What getopt would print itself, as one error with the remedy. */
static struct err *bad_option(int id, char **argv) {
    const char *word = argv[optind - 1];
    if (id == ':') return err_new(ERR_USAGE, "option %s needs a value; see ferryman --help", word);
    if (str_starts(word, "--")) {
        const char *names[ARRAY_LEN(options)];
        char name[64];
        for (size_t i = 0; i < ARRAY_LEN(options); i++) names[i] = options[i].name;
        str_copy(name, sizeof name, word + 2);
        name[strcspn(name, "=")] = '\0';
        const char *near = str_nearest(name, names);
        if (near) return err_new(ERR_USAGE, "unknown option '%s'; did you mean '--%s'?", word, near);
        return err_new(ERR_USAGE, "unknown option '%s'; see ferryman --help", word);
    }
    return err_new(ERR_USAGE, "unknown option '-%c'; see ferryman --help", optopt);
}

/* An empty file name would be taken for the current folder by some calls and for nothing by others. */
static struct err *check_names(const struct cli *cli) {
    const struct {
        const char *option, *value;
    } names[] = {{"--plan", cli->plan}, {"--kubeconfig", cli->kubeconfig}, {"--context", cli->context}, {"--log", cli->log}, {"--dir", cli->dir},
                 {"--arm", cli->arm}, {"--passphrase-file", cli->passphrase_file}, {"--output", cli->output}};
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (names[i].value && !*names[i].value) return err_new(ERR_USAGE, "%s: the value is empty", names[i].option);
    return NULL;
}

static int run(struct cli *cli, const struct subcommand *command) {
    struct sandbox_child *sandbox = NULL;
    struct err *e = log_open(cli->log, LOG_INFO);
    if (e) return cli_report(e);
    if (cli->sandbox && command != &command_sandbox) {
        if ((e = sandbox_child_start(cli, &sandbox))) return cli_report(e);
    }
    int status = command->run(cli);
    sandbox_child_free(sandbox);
    log_close();
    return status;
}

/* A descriptor that was closed would be given to the next file, and what is printed would go there. */
static void open_standard_descriptors(void) {
    int fd;
    do
        fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd > STDERR_FILENO) close(fd);
}

/* What was printed has arrived, or nobody wants it any more; else the status is that nothing is known. */
static int flush_output(int status) {
    errno = 0;
    if ((fflush(stdout) == 0 && !ferror(stdout)) || errno == EPIPE) return status;
    return cli_report(err_new(ERR_SYSTEM, "not all could be written to standard output; is its disk full?"));
}

int main(int argc, char **argv) {
    struct cli cli = {.program = argv[0], .color = "auto", .timeout_ms = 10000};
    bool done = false;
    int id;
    open_standard_descriptors();
    secret_no_core();
    setlocale(LC_CTYPE, ""); /* LC_CTYPE alone: the decimal point stays a point */
    opterr = 0;
    while ((id = getopt_long(argc, argv, ":n:o:h", options, NULL)) != -1) {
        struct err *e = id == '?' || id == ':' ? bad_option(id, argv) : set_option(&cli, id, &done);
        if (e || done) return e ? cli_report(e) : flush_output(0);
    }
    const char *name = optind < argc ? argv[optind++] : "console";
    const struct subcommand *command = find(name);
    if (cli.help || str_eq(name, "help")) {
        print_help(stdout);
        return flush_output(0);
    }
    if (!command) return cli_report(unknown_command(name));
    struct err *e = check_names(&cli);
    if (e) return cli_report(e);
    cli.args = argv + optind;
    cli.nargs = argc - optind;
    int status = flush_output(run(&cli, command));
    mem_free(cli.dir);
    mem_free(cli.confirm.v);
    mem_free(cli.skip.v);
    mem_free(cli.override.v);
    return status;
}
