/* Files of dumps against the program openssl, and everything that can happen to them on a disk. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/cipher.h"
#include "base/file.h"
#include "base/json_doc.h"
#include "base/mem.h"
#include "base/secret.h"
#include "base/str.h"
#include "migrate/dump_file.h"
#include "migrate/dump_keys.h"

enum { ITERATIONS = 1000, ROWS = 5000 };

static char dir[] = "/tmp/ferryman-test-dumpfile-XXXXXX";
static char *passphrase, *dumps;

static char *shell(const char *fmt, ...) PRINTF_LIKE(1, 2);

static char *shell(const char *fmt, ...) {
    va_list ap;
    struct buf out = {0};
    char chunk[4096];
    va_start(ap, fmt);
    char *command = str_vprintf(fmt, ap);
    va_end(ap);
    FILE *f = popen(command, "r");
    for (size_t n; (n = fread(chunk, 1, sizeof chunk, f)) > 0;) buf_add(&out, chunk, n);
    if (pclose(f) != 0) print_error("failed: %s\n", command);
    mem_free(command);
    while (out.len && out.p[out.len - 1] == '\n') out.p[--out.len] = '\0';
    return buf_steal(&out);
}

static int setup(void **state) {
    (void)state;
    if (!mkdtemp(dir)) abort();
    passphrase = str_printf("%s/p", dir);
    dumps = str_printf("%s/dumps", dir);
    assert_null(file_write_durable(passphrase, "pass word\xc3\xa4\n", 12, 0600));
    return 0;
}

static int teardown(void **state) {
    (void)state;
    mem_free(shell("rm -rf %s", dir));
    mem_free(passphrase);
    mem_free(dumps);
    return 0;
}

static char *text_of(int rows) {
    struct buf b = {0};
    buf_adds(&b, "--\n-- PostgreSQL database cluster dump\n--\n\n\\connect immich\n\n--\n-- PostgreSQL database dump\n--\n\nCOPY public.asset (id, t) FROM "
                 "stdin;\n");
    for (int i = 0; i < rows; i++) buf_printf(&b, "%d\tsome text of row %d\n", i, i);
    buf_adds(&b, "\\.\n\n--\n-- PostgreSQL database dump complete\n--\n\n--\n-- PostgreSQL database cluster dump complete\n--\n\n");
    return buf_steal(&b);
}

/* Written in odd pieces. */
static char *write_dump(const char *text, bool enciphered) {
    struct dump_writer *w = NULL;
    struct dump_writer_options o = {.dir = dumps, .prefix = "t", .passphrase_file = enciphered ? passphrase : NULL, .iterations = ITERATIONS};
    struct dump_manifest m = {.server_version = 150020, .started_ms = 1000, .ended_ms = 2000};
    assert_null(dump_writer_open(&o, &w));
    for (size_t at = 0, n = strlen(text), step = 1; at < n; at += step, step = step * 7 % 70001 + 1)
        assert_null(dump_writer_add(w, text + at, n - at < step ? n - at : step));
    assert_null(dump_writer_commit(w, &m));
    char *file = mem_strdup(dump_writer_file(w));
    dump_manifest_clear(&m);
    dump_writer_free(w);
    return file;
}

static bool proved(const char *file, const char *passphrase_file, char **ret_reason) {
    struct dump_reader_options o = {.file = file, .passphrase_file = passphrase_file};
    struct dump_verdict v = {0};
    struct err *e = dump_verify(&o, &v);
    bool well = !e && dump_verdict_well(&v);
    if (!e) e = dump_verdict_error(&v, file);
    if (ret_reason) *ret_reason = mem_strdup(e ? err_text(e) : "");
    err_free(e);
    dump_verdict_clear(&v);
    return well;
}

static void assert_refused(const char *file, const char *passphrase_file, const char *part) {
    char *reason = NULL;
    assert_false(proved(file, passphrase_file, &reason));
    if (!strstr(reason, part)) print_error("%s\n", reason);
    assert_non_null(strstr(reason, part));
    mem_free(reason);
}

static void test_streams_say_what_openssl_says(void **state) {
    (void)state;
    char text[5000], hex[HASH_HEX_SIZE], whole[HASH_HEX_SIZE];
    for (size_t i = 0; i < sizeof text; i++) text[i] = (char)(i * 31);
    struct hash_stream *h = hash_stream_new();
    for (size_t at = 0; at < sizeof text; at += 13) hash_stream_add(h, text + at, sizeof text - at < 13 ? sizeof text - at : 13);
    hash_stream_hex(h, hex);
    hash_stream_hex(h, whole);
    assert_string_equal(hex, whole); /* asking ends nothing */
    hash_hex(text, sizeof text, whole);
    assert_string_equal(hex, whole);
    hash_stream_free(h);
    /* RFC 4231, test case 2, with its key filled up to 32 bytes by zeros (HMAC's own padding). */
    unsigned char key[CIPHER_KEY_SIZE] = "Jefe";
    struct hmac_stream *mac = hmac_stream_new(key);
    hmac_stream_add(mac, "what do ya want ", 16);
    hmac_stream_add(mac, "for nothing?", 12);
    hmac_stream_hex(mac, hex);
    assert_string_equal(hex, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    assert_true(hmac_hex_equal(hex, hex));
    assert_false(hmac_hex_equal(hex, "5b"));
    hmac_stream_free(mac);
}

static void test_openssl_opens_and_authenticates_it(void **state) {
    (void)state;
    char *text = text_of(ROWS), *file = write_dump(text, true);
    assert_true(str_ends(file, ".sql.enc"));
    char *plain = shell("openssl enc -d -aes-256-ctr -pbkdf2 -iter %d -pass file:%s -in %s | sha256sum | cut -c1-64", ITERATIONS, passphrase, file);
    char hex[HASH_HEX_SIZE];
    hash_hex(text, strlen(text), hex);
    assert_string_equal(plain, hex);
    /* The lines of doc/dump.md. */
    char *mac = shell("key=$(openssl enc -aes-256-ctr -pbkdf2 -iter %d -S 66657272796d616e -pass file:%s -P | sed -n 's/^key=//p'); "
                      "openssl dgst -sha256 -mac HMAC -macopt hexkey:$key %s | sed 's/.*= //'", ITERATIONS, passphrase, file);
    char *noted = shell("cat %s.hmac", file);
    assert_string_equal(mac, noted);
    char *modes = shell("stat -c %%a %s %s.hmac %s.json | sort -u", file, file, file);
    assert_string_equal(modes, "600");
    assert_true(proved(file, passphrase, NULL));
    mem_free(text), mem_free(file), mem_free(plain), mem_free(mac), mem_free(noted), mem_free(modes);
}

/* What openssl wrote is read, too. */
static void test_reads_what_openssl_wrote(void **state) {
    (void)state;
    char *text = text_of(100), *file = write_dump(text, true);
    mem_free(shell("openssl enc -d -aes-256-ctr -pbkdf2 -iter %d -pass file:%s -in %s > %s/again && openssl enc -aes-256-ctr -pbkdf2 -iter %d -salt "
                   "-pass file:%s -in %s/again -out %s && key=$(openssl enc -aes-256-ctr -pbkdf2 -iter %d -S 66657272796d616e -pass file:%s -P | "
                   "sed -n 's/^key=//p') && openssl dgst -sha256 -mac HMAC -macopt hexkey:$key %s | sed 's/.*= //' > %s.hmac",
                   ITERATIONS, passphrase, file, dir, ITERATIONS, passphrase, dir, file, ITERATIONS, passphrase, file, file));
    assert_true(proved(file, passphrase, NULL));
    mem_free(text), mem_free(file);
}

static void flip(const char *file, int64_t at, int bit) {
    unsigned char c;
    int fd = open(file, O_RDWR);
    assert_int_equal(pread(fd, &c, 1, at), 1);
    c = (unsigned char)(c ^ 1u << bit);
    assert_int_equal(pwrite(fd, &c, 1, at), 1);
    close(fd);
}

static int64_t size_of(const char *file) {
    struct stat st;
    assert_int_equal(stat(file, &st), 0);
    return st.st_size;
}

static void test_every_change_is_seen(void **state) {
    (void)state;
    char *text = text_of(300);
    for (int enciphered = 0; enciphered < 2; enciphered++) {
        char *file = write_dump(text, enciphered);
        int64_t size = size_of(file);
        for (int64_t at = 0; at < size; at += at < 20 || at > size - 60 ? 1 : 97) {
            flip(file, at, (int)(at % 8));
            assert_false(proved(file, passphrase, NULL));
            flip(file, at, (int)(at % 8));
        }
        assert_true(proved(file, passphrase, NULL));
        for (int64_t cut = size - 1; cut >= 0; cut -= cut > size - 70 ? 1 : 613) {
            assert_int_equal(truncate(file, cut), 0);
            assert_false(proved(file, passphrase, NULL));
        }
        mem_free(file);
    }
    mem_free(text);
}

static void test_plain_text_that_was_never_whole(void **state) {
    (void)state;
    char *text = text_of(10), *end = strstr(text, "--\n-- PostgreSQL database cluster dump complete");
    *end = '\0';
    char *file = write_dump(text, true);
    assert_refused(file, passphrase, "trailer: the last line \"PostgreSQL database cluster dump complete\" is missing");
    mem_free(text), mem_free(file);
}

static void test_manifest_of_other_rows(void **state) {
    (void)state;
    char *text = text_of(10), *file = write_dump(text, true);
    mem_free(shell("sed -i 's/\"public.asset\": 10/\"public.asset\": 11/' %s.json", file));
    assert_refused(file, passphrase, "rows: immich public.asset: 11 rows by the manifest, 10 in the dump");
    mem_free(shell("sed -i 's/\"public.asset\": 11/\"public.asset\": 10/; s/\"sha256\": \"..../\"sha256\": \"0000/' %s.json", file));
    assert_refused(file, passphrase, "sha256: ");
    mem_free(shell("sed -i 's/\"cipher\": \"aes-256-ctr\"/\"cipher\": \"none\"/' %s.json", file));
    assert_refused(file, passphrase, "its SHA-256 is not the one in");
    mem_free(shell("echo '{}' > %s.json", file));
    assert_refused(file, passphrase, "it is not the manifest of a dump");
    unlink(file);
    assert_refused(file, passphrase, "it is not the manifest of a dump");
    mem_free(text), mem_free(file);
}

static void test_passphrases(void **state) {
    (void)state;
    char *text = text_of(10), *file = write_dump(text, true), *other = str_printf("%s/other", dir);
    assert_null(file_write_durable(other, "pass word\n", 10, 0600));
    assert_refused(file, other, "or the passphrase is another");
    assert_refused(file, NULL, "its passphrase is needed");
    assert_refused(file, "/nowhere/at/all", "/nowhere/at/all");
    assert_null(file_write_durable(other, "two\nlines\n", 10, 0600));
    assert_refused(file, other, "a passphrase is one line");
    assert_null(file_write_durable(other, "\n", 1, 0600));
    assert_refused(file, other, "the passphrase is empty");
    mem_free(text), mem_free(file);
    /* Before it is needed. */
    assert_null(dump_keys_check(passphrase));
    static const struct {
        const char *text, *part;
        unsigned mode;
    } bad[] = {{"\n", "empty", 0600}, {"a\nb\n", "one line", 0600}, {"fine\n", "can be read by others", 0640}};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_null(file_write_durable(other, bad[i].text, strlen(bad[i].text), bad[i].mode));
        struct err *e = dump_keys_check(other);
        assert_non_null(e);
        assert_non_null(strstr(err_text(e), bad[i].part));
        err_free(e);
    }
    struct err *e = dump_keys_check(dir);
    assert_non_null(strstr(err_text(e), "is not a file"));
    err_free(e);
    e = dump_keys_check("/nowhere/at/all");
    assert_non_null(strstr(err_text(e), "/nowhere/at/all"));
    err_free(e);
    mem_free(other);
}

/* Nothing of a file that is not the one that was written is given away. */
static void test_reader_gives_nothing_unauthenticated(void **state) {
    (void)state;
    char *text = text_of(ROWS), *file = write_dump(text, true);
    struct dump_reader *r = NULL;
    struct dump_reader_options o = {.file = file, .passphrase_file = passphrase};
    flip(file, size_of(file) - 1, 0);
    struct err *e = dump_reader_open(&o, &r);
    assert_non_null(e);
    assert_int_equal(err_kind(e), ERR_FAILED);
    assert_null(r);
    err_free(e);
    mem_free(text), mem_free(file);
}

static bool never(void *arg, int64_t done, int64_t total) {
    (void)done;
    (void)total;
    *(bool *)arg = true;
    return false;
}

static void test_reading_is_given_up(void **state) {
    (void)state;
    bool asked = false;
    char *text = text_of(200000), *file = write_dump(text, false);
    struct dump_reader_options o = {.file = file, .watch = {never, &asked}};
    struct dump_verdict v = {0};
    struct err *e = dump_verify(&o, &v);
    assert_true(asked);
    assert_int_equal(err_kind(e), ERR_CANCELLED);
    err_free(e);
    mem_free(text), mem_free(file);
}

static void test_interrupted_writer_leaves_nothing(void **state) {
    (void)state;
    struct dump_writer *w = NULL;
    struct dump_writer_options o = {.dir = dumps, .prefix = "gone"};
    char *left = str_printf("%s/gone-20200101T000000Z.sql.part", dumps), *other = str_printf("%s/other-20200101T000000Z.sql.part", dumps);
    assert_null(file_write_durable(left, "x", 1, 0600));
    assert_null(file_write_durable(other, "x", 1, 0600));
    assert_null(dump_writer_open(&o, &w));
    assert_false(file_exists(left)); /* of one that was killed */
    assert_true(file_exists(other));
    assert_null(dump_writer_add(w, "abc", 3));
    struct dump_writer *second = NULL; /* begun while the first is not gone yet: it leaves that one's file alone */
    assert_null(dump_writer_open(&o, &second));
    char *both = shell("ls %s | grep -c '^gone-'", dumps);
    assert_string_equal(both, "2");
    dump_writer_free(second);
    mem_free(both);
    char *count = shell("ls %s | grep -c '^gone-'", dumps);
    assert_string_equal(count, "1");
    dump_writer_free(w);
    mem_free(count);
    count = shell("ls %s | grep -c '^gone-' || true", dumps);
    assert_string_equal(count, "0");
    mem_free(count), mem_free(left), mem_free(other);
}

/* Made by that run, or nobody knows by whom. */
static char *dump_of(const char *prefix, const char *run) {
    struct dump_writer *w = NULL;
    struct dump_writer_options o = {.dir = dumps, .prefix = prefix};
    struct dump_manifest m = {.run = mem_strdup(run)};
    char *text = text_of(3);
    assert_null(dump_writer_open(&o, &w));
    assert_null(dump_writer_add(w, text, strlen(text)));
    assert_null(dump_writer_commit(w, &m));
    char *file = mem_strdup(dump_writer_file(w));
    dump_manifest_clear(&m);
    dump_writer_free(w);
    mem_free(text);
    return file;
}

static void test_earlier_dumps_of_the_run_go(void **state) {
    (void)state;
    char *first = dump_of("sup", "r1"), *other_run = dump_of("sup", "r2"), *other_prefix = dump_of("sup-before-rollback", "r1"),
         *unknown = dump_of("sup", NULL), *last = dump_of("sup", "r1");
    assert_true(file_exists(first)); /* until the new one is proved */
    dump_supersede(last, "r1");
    assert_false(file_exists(first));
    assert_true(file_exists(other_run));
    assert_true(file_exists(other_prefix));
    assert_true(file_exists(unknown));
    assert_true(file_exists(last));
    assert_true(proved(last, NULL, NULL));
    mem_free(first), mem_free(other_run), mem_free(other_prefix), mem_free(unknown), mem_free(last);
}

static void test_file_that_may_not_grow(void **state) {
    (void)state;
    struct rlimit before, small;
    struct dump_writer *w = NULL;
    struct dump_writer_options o = {.dir = dumps, .prefix = "limited"};
    char *text = text_of(ROWS);
    getrlimit(RLIMIT_FSIZE, &before);
    small = before;
    small.rlim_cur = 50000;
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
    assert_null(dump_writer_open(&o, &w));
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    struct err *e = dump_writer_add(w, text, strlen(text));
    setrlimit(RLIMIT_FSIZE, &before);
    signal(SIGXFSZ, handler);
    assert_non_null(e);
    assert_non_null(strstr(err_text(e), "the file is as large as it may become"));
    assert_non_null(strstr(err_text(e), dumps));
    err_free(e);
    dump_writer_free(w);
    mem_free(text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_streams_say_what_openssl_says),    cmocka_unit_test(test_openssl_opens_and_authenticates_it),
        cmocka_unit_test(test_reads_what_openssl_wrote),         cmocka_unit_test(test_every_change_is_seen),
        cmocka_unit_test(test_plain_text_that_was_never_whole),  cmocka_unit_test(test_manifest_of_other_rows),
        cmocka_unit_test(test_passphrases),                      cmocka_unit_test(test_reader_gives_nothing_unauthenticated),
        cmocka_unit_test(test_reading_is_given_up),              cmocka_unit_test(test_interrupted_writer_leaves_nothing),
        cmocka_unit_test(test_file_that_may_not_grow),           cmocka_unit_test(test_earlier_dumps_of_the_run_go),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
