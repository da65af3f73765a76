/* ferryman snapshot verify FILE: the proof of a raft snapshot alone, without a cluster (doc/snapshot.md). For what a run took (FILE.snap.enc, with
 * its manifest and HMAC beside it) and for plain archives of `vault operator raft snapshot save`. */
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/json_doc.h"
#include "base/str.h"
#include "cli.h"
#include "migrate/snapshot_file.h"

enum { EXIT_DAMAGED = 1 };

static void print_json(const struct snapshot_verdict *v, const char *file) {
    const struct snapshot_manifest *m = &v->manifest;
    struct json_t *d = jd_object();
    struct buf out = {0};
    char at[32];
    jd_set(d, "schema", jd_string("ferryman/snapshot-verify/1"));
    jd_set(d, "file", jd_string(file));
    jd_set(d, "proved", jd_bool(!v->damage));
    jd_set(d, "damage", v->damage ? jd_string(err_text(v->damage)) : jd_null());
    jd_set(d, "encrypted", jd_bool(v->enciphered));
    jd_set(d, "file_bytes", jd_int(v->file_bytes));
    if (!v->damage) {
        jd_set(d, "file_sha256", jd_string(v->file_sha256));
        jd_set(d, "sha256", jd_string(v->sha256));
        jd_set(d, "bytes", jd_int(v->said.archive_bytes));
        jd_set(d, "state_bytes", jd_int(v->said.state_bytes));
        jd_set(d, "index", jd_int(v->said.index));
        jd_set(d, "term", jd_int(v->said.term));
        jd_set(d, "servers", jd_int((int64_t)v->said.servers));
        jd_set(d, "voters", jd_int((int64_t)v->said.voters));
        jd_set(d, "nodes", jd_string(buf_str(&v->said.nodes)));
    }
    if (v->has_manifest) {
        jd_put(d, "manifest.run", jd_string(m->run));
        jd_put(d, "manifest.workload", jd_string(m->workload));
        jd_put(d, "manifest.node", jd_string(m->node));
        jd_put(d, "manifest.at", jd_string(clock_format_utc(m->at_ms, at, sizeof at)));
    }
    jd_dump_pretty(d, &out);
    puts(buf_str(&out));
    buf_free(&out);
    jd_free(d);
}

static void print_text(const struct snapshot_verdict *v, const char *file) {
    const struct snapshot_manifest *m = &v->manifest;
    const struct snapshot_said *s = &v->said;
    char at[32];
    if (v->has_manifest)
        printf("%s: %s, taken %s from %s\n", file, m->workload ? m->workload : "unknown workload", clock_format_utc(m->at_ms, at, sizeof at),
               m->node ? m->node : "an unknown node");
    else printf("%s: %s\n", file, v->enciphered ? "enciphered, without a manifest" : "an archive");
    if (v->damage) {
        printf("NOT PROVED: %s\n", err_text(v->damage));
        return;
    }
    printf("  index    %lld, term %lld\n", (long long)s->index, (long long)s->term);
    printf("  servers  %zu, of which %zu vote: %s\n", s->servers, s->voters, buf_str(&s->nodes));
    printf("  archive  %lld bytes, SHA-256 %s\n", (long long)s->archive_bytes, v->sha256);
    printf("  state    %lld bytes, with a keyring\n", (long long)s->state_bytes);
    if (v->enciphered) printf("  file     %lld bytes, its HMAC is right, SHA-256 %s\n", (long long)v->file_bytes, v->file_sha256);
    puts("proved");
}

static int run(struct cli *cli) {
    const char *what = cli->nargs > 0 ? cli->args[0] : "";
    struct snapshot_verdict v = {0};
    if (!str_eq(what, "verify")) return cli_report(err_new(ERR_USAGE, "snapshot: what to do is missing: ferryman snapshot verify FILE"));
    if (cli->nargs != 2) return cli_report(err_new(ERR_USAGE, "snapshot verify: one file at a time: ferryman snapshot verify FILE"));
    struct snapshot_verify_options o = {.file = cli->args[1], .passphrase_file = cli->passphrase_file};
    struct err *e = snapshot_verify(&o, &v);
    if (e) return cli_report(e);
    if (cli->json) print_json(&v, o.file);
    else print_text(&v, o.file);
    int status = v.damage ? EXIT_DAMAGED : 0;
    snapshot_verdict_clear(&v);
    return status;
}

const struct subcommand command_snapshot = {
    .name = "snapshot",
    .usage = "snapshot verify FILE",
    .summary = "prove a raft snapshot by its file alone",
    .run = run,
};
