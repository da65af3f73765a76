/* ferryman dump verify | decrypt FILE: proofs and files that need no cluster (doc/dump.md). */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/json_doc.h"
#include "base/str.h"
#include "cli.h"
#include "migrate/dump_file.h"

enum { EXIT_NOT_PROVED = 1 };

static const char *state_word(enum dump_state s) {
    return s == DUMP_PASS ? "pass" : s == DUMP_FAIL ? "fail" : "not asked";
}

static void print_json(const struct dump_verdict *v, const char *file) {
    struct json_t *d = jd_object(), *checks = jd_object();
    struct buf out = {0};
    char at[32];
    for (int i = 0; i < DUMP_CHECKS; i++) {
        struct json_t *check = jd_object();
        jd_set(check, "state", jd_string(state_word(v->check[i].state)));
        jd_set(check, "text", jd_string(v->check[i].text));
        jd_set(checks, dump_check_names[i], check);
    }
    jd_set(d, "schema", jd_string("ferryman/dump-verify/1"));
    jd_set(d, "file", jd_string(file));
    jd_set(d, "proved", jd_bool(dump_verdict_well(v)));
    jd_set(d, "checks", checks);
    jd_set(d, "workload", jd_string(v->manifest.workload));
    jd_set(d, "run", jd_string(v->manifest.run));
    jd_set(d, "ended", jd_string(clock_format_utc(v->manifest.ended_ms, at, sizeof at)));
    jd_set(d, "encrypted", jd_bool(v->manifest.iterations > 0));
    jd_put(d, "server.version", jd_int(v->manifest.server_version));
    jd_put(d, "server.identifier", jd_string(v->manifest.identifier));
    jd_set(d, "tables", v->tables ? jd_copy(v->tables) : jd_null());
    jd_dump_pretty(d, &out);
    puts(buf_str(&out));
    buf_free(&out);
    jd_free(d);
}

static void print_text(const struct dump_verdict *v, const char *file) {
    const struct dump_manifest *m = &v->manifest;
    char at[32];
    printf("%s: %s, dumped %s from PostgreSQL %lld.%lld, system identifier %s\n", file, m->workload ? m->workload : "unknown workload",
           clock_format_utc(m->ended_ms, at, sizeof at), (long long)m->server_version / 10000, (long long)m->server_version % 10000,
           m->identifier ? m->identifier : "unknown");
    for (int i = 0; i < DUMP_CHECKS; i++) {
        const char *text = v->check[i].text ? v->check[i].text : i == DUMP_CHECK_HMAC && !m->iterations ? "it is not enciphered" : "";
        printf("  %-8s %-10s %s\n", dump_check_names[i], state_word(v->check[i].state), text);
    }
    puts(dump_verdict_well(v) ? "proved" : "NOT PROVED");
}

static int verify(struct cli *cli, const char *file) {
    struct dump_reader_options o = {.file = file, .passphrase_file = cli->passphrase_file};
    struct dump_verdict v = {0};
    struct err *e = dump_verify(&o, &v);
    if (e) return cli_report(e);
    if (cli->json) print_json(&v, file);
    else print_text(&v, file);
    int status = dump_verdict_well(&v) ? 0 : EXIT_NOT_PROVED;
    dump_verdict_clear(&v);
    return status;
}

static struct err *write_all(int fd, const char *p, size_t n, const char *where) {
    while (n > 0) {
        ssize_t done = write(fd, p, n);
        if (done < 0 && errno == EINTR) continue;
        if (done < 0) return err_sys(errno, "dump decrypt: %s cannot be written", where);
        p += done;
        n -= (size_t)done;
    }
    return NULL;
}

/* A dump holds password hashes and everybody's rows: not onto a screen, and into no file that others read or that is there. */
static struct err *open_output(const char *name, int *ret) {
    bool standard = !name || str_eq(name, "-");
    if (standard && isatty(STDOUT_FILENO))
        return err_new(ERR_USAGE, "dump decrypt: standard output is a terminal; use -o FILE, or a pipe: … | psql");
    *ret = standard ? STDOUT_FILENO : open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (*ret >= 0) return NULL;
    if (errno == EEXIST) return err_new(ERR_USAGE, "dump decrypt: %s is there already; remove it, or name another", name);
    return err_sys(errno, "dump decrypt: %s cannot be created", name);
}

static struct err *copy(struct dump_reader *r, int fd, const char *where) {
    const char *p;
    size_t n;
    struct err *e;
    while (!(e = dump_reader_next(r, &p, &n)) && n > 0)
        if ((e = write_all(fd, p, n, where))) return e;
    return e ? e : dump_reader_finish(r);
}

static int decrypt(struct cli *cli, const char *file) {
    struct dump_reader_options o = {.file = file, .passphrase_file = cli->passphrase_file, .without_manifest = true};
    struct dump_reader *r = NULL;
    const char *where = cli->output && !str_eq(cli->output, "-") ? cli->output : "standard output";
    int fd = -1;
    struct err *e = dump_reader_open(&o, &r);
    if (!e) e = open_output(cli->output, &fd);
    if (!e) e = copy(r, fd, where);
    if (fd > STDERR_FILENO) {
        if (!e && fsync(fd)) e = err_sys(errno, "dump decrypt: %s cannot be made durable", where);
        if (e) (void)unlink(cli->output);
        close(fd);
    }
    dump_reader_free(r);
    if (e && err_kind(e) == ERR_FAILED) err_set_kind(e, ERR_DATA);
    return cli_report(e);
}

static int run(struct cli *cli) {
    const char *what = cli->nargs > 0 ? cli->args[0] : "";
    bool is_verify = str_eq(what, "verify");
    if (!is_verify && !str_eq(what, "decrypt"))
        return cli_report(err_new(ERR_USAGE, "dump: what to do is missing: ferryman dump verify FILE, or ferryman dump decrypt FILE"));
    if (cli->nargs != 2) return cli_report(err_new(ERR_USAGE, "dump %s: one file at a time: ferryman dump %s FILE", what, what));
    return is_verify ? verify(cli, cli->args[1]) : decrypt(cli, cli->args[1]);
}

const struct subcommand command_dump = {
    .name = "dump",
    .usage = "dump verify|decrypt FILE",
    .summary = "prove a dump by its files alone; open an enciphered one",
    .run = run,
};
