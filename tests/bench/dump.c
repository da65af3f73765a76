/* The dump as the engine makes it (counted, hashed, enciphered, fsync'd, with its manifest) against plain `pg_dumpall > file; fsync`: five
 * interleaved pairs on one database, medians. And the speed of its parts on what was dumped, from memory.
 *
 *   dump [MEGABYTES [PAIRS]]     prints "KEY VALUE" lines; tests/bench/run reads them */
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cipher.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "loop/loop.h"
#include "migrate/dump_job.h"
#include "migrate/dump_scan.h"
#include "job_stage.h"

enum { PAIRS_MAX = 25, ROW_BYTES = 330 };

extern char **environ;

static struct plan_postgres plan;
static char workload_name[] = "bench", dir[] = "/tmp/ferryman-bench-dump-XXXXXX";
static struct plan_workload workload = {.name = workload_name, .spec = &plan};
static struct run run = {.workload = &workload, .id = "bench", .dir = dir};

static double seconds_since(int64_t ns) {
    return (double)(clock_mono_ns() - ns) / 1e9;
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *v, int n) {
    qsort(v, (size_t)n, sizeof *v, by_value);
    return v[n / 2];
}

/* Rows as an application has them: numbers, texts, times, NULLs, some JSON. */
static void seed(struct pg_fixture *f, int megabytes) {
    char *sql = str_printf("CREATE TABLE asset AS SELECT gen_random_uuid() AS id, g AS number, 'upload/library/' || md5(g::text) || '/' || "
                           "md5((g+1)::text) || '.jpg' AS path, decode(md5((g*7)::text), 'hex') AS checksum, now() - g * interval '1 s' AS taken, "
                           "CASE WHEN g %% 3 = 0 THEN NULL ELSE 'a description of ' || g END AS description, jsonb_build_object('make', 'x', 'iso', "
                           "g %% 6400, 'lat', g * 0.001) AS exif FROM generate_series(1, %d) g",
                           (int)((int64_t)megabytes * 1048576 / ROW_BYTES * 4 / 3));
    pg_fixture_sql(f, "postgres", sql, false);
    pg_fixture_sql(f, "postgres", "VACUUM ANALYZE asset", false);
    pg_fixture_sql(f, "postgres", "CHECKPOINT", false);
    mem_free(sql);
}

static double plain(struct pg_fixture *f) {
    char *file = str_printf("%s/plain.sql", dir), *port = str_printf("%u", f->port);
    char *const argv[] = {(char[]){"pg_dumpall"}, (char[]){"-h"}, (char[]){"127.0.0.1"}, (char[]){"-p"}, port, (char[]){"-U"}, (char[]){"postgres"}, NULL};
    posix_spawn_file_actions_t actions;
    pid_t pid;
    int status;
    int64_t began = clock_mono_ns();
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 1, file, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (posix_spawnp(&pid, argv[0], &actions, NULL, argv, environ)) abort();
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) continue;
    int fd = open(file, O_RDWR);
    if (status || fd < 0 || fsync(fd)) abort();
    double took = seconds_since(began);
    close(fd);
    posix_spawn_file_actions_destroy(&actions);
    mem_free(file);
    mem_free(port);
    return took;
}

/* One dump as a phase makes it; its file goes again. */
static double ours(void) {
    int64_t began = clock_mono_ns();
    job_stage_carry_out(&run, script_dump(NULL, "dump", "dump", DB_SERVER, NULL));
    double took = seconds_since(began);
    if (stage.e) {
        fprintf(stderr, "%s\n", err_text(stage.e));
        exit(1);
    }
    unlink(job_stage_fact(&run, "dump.file"));
    return took;
}

/* The parts, over what was dumped, as the writer calls them. */
static void parts(void) {
    enum { PIECE = 256 * 1024 };
    unsigned char key[CIPHER_KEY_SIZE] = "k", iv[CIPHER_IV_SIZE] = "i";
    char *file = str_printf("%s/plain.sql", dir), *out = mem_alloc(PIECE), hex[HASH_HEX_SIZE];
    struct buf text = {0};
    struct err *e = file_read(file, (size_t)512 << 20, &text);
    err_ignore(e, "what is longer is cut below");
    if (!text.len) {
        buf_reserve(&text, (size_t)512 << 20);
        int fd = open(file, O_RDONLY);
        for (ssize_t n; text.len < (size_t)512 << 20 && (n = read(fd, text.p + text.len, ((size_t)512 << 20) - text.len)) > 0;) text.len += (size_t)n;
        close(fd);
    }
    for (int part = 0; part < 4; part++) {
        static const char *const names[] = {"scan", "sha256", "cipher", "hmac"};
        struct dump_scan *scan = dump_scan_new();
        struct hash_stream *hash = hash_stream_new();
        struct hmac_stream *hmac = hmac_stream_new(key);
        struct cipher_stream *cipher = cipher_stream_new(key, iv);
        int64_t began = clock_mono_ns();
        for (size_t at = 0; at < text.len; at += PIECE) {
            size_t n = text.len - at < PIECE ? text.len - at : PIECE;
            if (part == 0) dump_scan_add(scan, text.p + at, n);
            if (part == 1) hash_stream_add(hash, text.p + at, n);
            if (part == 2) cipher_stream_apply(cipher, text.p + at, out, n);
            if (part == 3) hmac_stream_add(hmac, text.p + at, n);
        }
        printf("dump_%s_mb_s %.0f\n", names[part], (double)text.len / 1e6 / seconds_since(began));
        hash_stream_hex(hash, hex);
        dump_scan_free(scan);
        hash_stream_free(hash);
        hmac_stream_free(hmac);
        cipher_stream_free(cipher);
    }
    buf_free(&text);
    mem_free(out);
    mem_free(file);
}

int main(int argc, char **argv) {
    int megabytes = argc > 1 ? atoi(argv[1]) : 700, pairs = argc > 2 ? atoi(argv[2]) : 5;
    double plains[PAIRS_MAX], ourss[PAIRS_MAX];
    if (pairs < 1 || pairs > PAIRS_MAX || !pg_fixture_available() || !mkdtemp(dir)) return 2;
    char *passphrase = str_printf("%s/passphrase", dir);
    err_ignore(file_write_durable(passphrase, "correct horse\n", 14, 0600), "the dump says what is missing");
    plan = (struct plan_postgres){.dump = {.directory = dir, .encrypt = {.passphrase_file = passphrase}}};
    struct pg_fixture *f = pg_fixture_new();
    seed(f, megabytes);
    job_stage_begin(&run, f);
    plain(f); /* what is read now comes from the cache for all */
    for (int i = 0; i < pairs; i++) {
        plains[i] = plain(f);
        ourss[i] = ours();
        fprintf(stderr, "pair %d: plain %.2f s, ours %.2f s\n", i + 1, plains[i], ourss[i]);
    }
    double p = median(plains, pairs), o = median(ourss, pairs);
    printf("dump_mb %.0f\n", (double)run_fact_int(&run, "dump.bytes", 0) / 1e6);
    printf("dump_plain_s %.3f\ndump_s %.3f\ndump_ratio %.3f\n", p, o, p / o);
    parts();
    job_stage_end();
    pg_fixture_free(f);
    char *command = str_printf("rm -rf %s", dir);
    if (system(command)) return 2;
    mem_free(command);
    mem_free(passphrase);
    return 0;
}
