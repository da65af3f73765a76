#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/inflate.h"
#include "base/mem.h"
#include "migrate/snapshot_proof.h"
#include "tests/unit/snapshot_archive.h"

/* Fed in pieces; the error's text (to be freed), or NULL when it is proved. */
static char *judge(struct slice bytes, size_t piece, struct snapshot_said *ret) {
    struct snapshot_proof *p = snapshot_proof_new();
    struct snapshot_said said = {0};
    bool going = true;
    for (size_t at = 0; going && at < bytes.n; at += piece)
        going = snapshot_proof_feed(p, (struct slice){bytes.p + at, bytes.n - at < piece ? bytes.n - at : piece});
    struct err *e = snapshot_proof_end(p, &said);
    assert_true(going || e);
    char *text = NULL;
    if (e) {
        assert_int_equal(err_kind(e), ERR_DATA);
        text = mem_strdup(err_text(e));
        err_free(e);
    }
    snapshot_proof_free(p);
    if (ret && !text) *ret = said;
    else snapshot_said_clear(&said);
    return text;
}

static void assert_proved(struct slice bytes) {
    char *text = judge(bytes, 4096, NULL);
    if (text) fail_msg("%s", text);
}

static void assert_damaged(struct slice bytes, const char *part) {
    for (int i = 0; i < 3; i++) {
        char *text = judge(bytes, i == 0 ? 1 : i == 1 ? 777 : bytes.n + 1, NULL);
        if (!text) fail_msg("proved, but it should say: %s", part);
        if (!strstr(text, part)) fail_msg("'%s' has no '%s'", text, part);
        mem_free(text);
    }
}

/* The four members as they are in `a` now. */
static void assert_packed(struct archive *a, const char *part) {
    buf_clear(&a->tar);
    buf_clear(&a->gz);
    archive_pack(a);
    if (part) assert_damaged(buf_slice(&a->gz), part);
    else assert_proved(buf_slice(&a->gz));
}

/* What is in a->tar. */
static void assert_tar(struct archive *a, const char *part) {
    buf_clear(&a->gz);
    archive_gzip(&a->gz, buf_slice(&a->tar), 6);
    if (part) assert_damaged(buf_slice(&a->gz), part);
    else assert_proved(buf_slice(&a->gz));
}

static void test_well(void **state) {
    struct archive a = {0};
    struct snapshot_said said = {0};
    (void)state;
    archive_members(&a);
    archive_pack(&a);
    for (size_t piece = 1; piece < 3000; piece = piece * 3 + 1) {
        assert_null(judge(buf_slice(&a.gz), piece, &said));
        assert_int_equal(said.index, 2730012);
        assert_int_equal(said.term, 33);
        assert_int_equal(said.state_bytes, a.member[ARCHIVE_STATE].len);
        assert_int_equal(said.archive_bytes, a.gz.len);
        assert_int_equal(said.servers, 3);
        assert_int_equal(said.voters, 2);
        assert_string_equal(buf_str(&said.nodes), "vault-0, vault-1, vault-2");
        snapshot_said_clear(&said);
    }
    archive_sums(&a, false); /* the lines come in any order */
    assert_packed(&a, NULL);
    buf_clear(&a.gz);
    archive_gzip(&a.gz, buf_slice(&a.tar), 0); /* stored blocks, as OpenBao 2.6 writes them */
    assert_proved(buf_slice(&a.gz));
    archive_free(&a);
}

/* Every length but the whole one, with two kinds of block. */
static void test_cut(void **state) {
    (void)state;
    for (int level = 0; level <= 6; level += 6) {
        struct archive a = {0};
        archive_members(&a);
        archive_pack(&a);
        buf_clear(&a.gz);
        archive_gzip(&a.gz, buf_slice(&a.tar), level);
        for (size_t n = 0; n < a.gz.len; n += n < a.gz.len - 1100 && n > 40 ? 97 : 1) {
            char *text = judge((struct slice){a.gz.p, n}, 4096, NULL);
            if (!text) fail_msg("%zu of %zu bytes are proved", n, a.gz.len);
            if (!strstr(text, n == 0 ? "it is empty" : "cut off")) fail_msg("%zu bytes: %s", n, text);
            mem_free(text);
        }
        assert_damaged((struct slice){a.gz.p, a.gz.len - 1}, "cut off: the gzip trailer is missing");
        assert_damaged((struct slice){a.gz.p, a.gz.len - 8}, "cut off: the gzip trailer is missing");
        archive_free(&a);
    }
}

/* A tar that ends too early in a gzip member that is whole: what a server that failed in the middle could write. */
static void test_cut_at_members(void **state) {
    struct archive a = {0};
    struct buf gz = {0};
    (void)state;
    archive_members(&a);
    archive_pack(&a);
    for (int i = 0; i <= ARCHIVE_MEMBERS; i++)
        for (int more = 0; more < 3; more++) {
            static const size_t by[] = {0, 300, 512};
            buf_clear(&gz);
            archive_gzip(&gz, (struct slice){a.tar.p, a.tar_at[i] + by[more]}, 6);
            assert_damaged(buf_slice(&gz), "without the two blocks that end one");
            if (i == ARCHIVE_MEMBERS) continue;
            struct buf tar = {0};
            buf_add(&tar, a.tar.p, a.tar_at[i]);
            archive_tar_end(&tar);
            buf_clear(&gz);
            archive_gzip(&gz, buf_slice(&tar), 6);
            assert_damaged(buf_slice(&gz), "it is missing");
            buf_free(&tar);
        }
    buf_free(&gz);
    archive_free(&a);
}

static bool keep(void *arg, struct slice bytes) {
    buf_add_slice(arg, bytes);
    return true;
}

/* Bits of the gzip head (its time) and between deflate blocks mean nothing: what comes out is the same then, and nothing is damaged. */
static bool same_content(struct slice gz, const struct buf *tar) {
    struct inflate *z = inflate_new();
    struct buf out = {0};
    struct err *e = inflate_feed(z, gz, keep, &out);
    bool same = !e && inflate_ended(z) && slice_eq(buf_slice(&out), buf_slice(tar));
    err_free(e);
    inflate_free(z);
    buf_free(&out);
    return same;
}

static void test_bits(void **state) {
    (void)state;
    for (int level = 0; level <= 6; level += 6) {
        struct archive a = {0};
        unsigned harmless = 0, flips = 0;
        archive_members(&a);
        archive_pack(&a);
        buf_clear(&a.gz);
        archive_gzip(&a.gz, buf_slice(&a.tar), level);
        for (size_t bit = 0; bit < a.gz.len * 8; bit += bit < 2000 || bit + 200 > a.gz.len * 8 ? 1 : 61) {
            a.gz.p[bit / 8] = (char)(a.gz.p[bit / 8] ^ 1 << bit % 8);
            char *text = judge(buf_slice(&a.gz), 4096, NULL);
            if (!text && !same_content(buf_slice(&a.gz), &a.tar)) fail_msg("proved with the bit %zu of %zu turned", bit, a.gz.len * 8);
            harmless += !text;
            flips++;
            mem_free(text);
            a.gz.p[bit / 8] = (char)(a.gz.p[bit / 8] ^ 1 << bit % 8);
        }
        assert_in_range(harmless, 1, 65); /* the time, extra flags, system and the text flag of the head; what fills up a byte */
        assert_true(flips > 1000);
        archive_free(&a);
    }
}

static void test_junk(void **state) {
    struct archive a = {0};
    (void)state;
    archive_members(&a);
    archive_pack(&a);
    buf_addc(&a.gz, '\0');
    assert_damaged(buf_slice(&a.gz), "bytes follow the end of the gzip member");
    a.gz.len--;
    struct buf twice = {0};
    buf_add_slice(&twice, buf_slice(&a.gz));
    buf_add_slice(&twice, buf_slice(&a.gz));
    assert_damaged(buf_slice(&twice), "bytes follow the end of the gzip member");
    buf_clear(&twice); /* one tar in two members: gunzip takes it, Go's reader of snapshots does not */
    archive_gzip(&twice, (struct slice){a.tar.p, a.tar_at[ARCHIVE_SUMS]}, 6);
    archive_gzip(&twice, (struct slice){a.tar.p + a.tar_at[ARCHIVE_SUMS], a.tar.len - a.tar_at[ARCHIVE_SUMS]}, 6);
    assert_damaged(buf_slice(&twice), "bytes follow the end of the gzip member");
    buf_free(&twice);
    buf_addc(&a.tar, 'x');
    assert_tar(&a, "bytes follow the end of the tar");
    a.tar.len--;
    archive_tar_end(&a.tar);
    assert_tar(&a, "bytes follow the end of the tar");
    a.tar.len -= 1024 + 512;
    archive_tar_add(&a.tar, "more", SLICE_LIT("x"), '0');
    assert_tar(&a, "a member follows the end of the tar");
    archive_free(&a);
}

static void test_wrong_file(void **state) {
    struct buf other = {0};
    struct archive a = {0};
    (void)state;
    assert_damaged(SLICE_LIT(""), "it is empty");
    assert_damaged(SLICE_LIT("{\"errors\":[\"Vault is sealed\"]}\n"), "it is no gzip file");
    assert_damaged(SLICE_LIT("Salted__12345678 and what follows it"), "it is no gzip file");
    archive_gzip(&other, SLICE_LIT("-- PostgreSQL database cluster dump\n"), 6);
    assert_damaged(buf_slice(&other), "at its beginning without the two blocks");
    buf_clear(&other);
    for (int i = 0; i < 600; i++) buf_adds(&a.tar, "x");
    archive_gzip(&other, buf_slice(&a.tar), 6);
    assert_damaged(buf_slice(&other), "the checksum of a tar header is wrong");
    buf_clear(&a.tar);
    archive_tar_add(&a.tar, "etc/passwd", SLICE_LIT("root"), '0');
    archive_tar_end(&a.tar);
    assert_tar(&a, "etc/passwd: a member that no snapshot has");
    buf_free(&other);
    archive_free(&a);
}

/* Members added, doubled, of other kinds. */
static void test_members(void **state) {
    struct archive a = {0};
    (void)state;
    static const struct {
        const char *name, *bytes, *part;
        char type;
    } more[] = {
        {"state.bin.old", "x", "state.bin.old: a member that no snapshot has", '0'},
        {"meta.json", "{}", "meta.json: it is there twice", '0'},
        {"SHA256SUMS.sealed", "x", "SHA256SUMS.sealed: it is there twice", '0'},
        {"link", "", "another kind than a file", '2'},
        {"folder", "", "another kind than a file", '5'},
        {"global", "16 comment=here\n", "another kind than a file", 'g'},
        {"PaxHeaders.0/x", "9 path=x\n", "a PAX header that no snapshot has", 'x'},
        {"PaxHeaders.0/x", "10 size=3\n", "no member follows it", 'x'},
        {"PaxHeaders.0/x", "99 size=3\n", "malformed", 'x'},
        {"PaxHeaders.0/x", "3 =\n", "malformed", 'x'},
        {"PaxHeaders.0/x", "11 size=-3\n", "no number", 'x'},
    };
    for (size_t i = 0; i < ARRAY_LEN(more); i++) {
        archive_members(&a);
        archive_pack(&a);
        a.tar.len -= 1024;
        archive_tar_add(&a.tar, more[i].name, slice_of(more[i].bytes), more[i].type);
        archive_tar_end(&a.tar);
        assert_tar(&a, more[i].part);
        archive_free(&a);
        a = (struct archive){0};
    }
}

/* Above 8 GiB Go writes the size into a PAX header and 0 into the other. */
static void test_pax_size(void **state) {
    struct archive a = {0};
    char record[64];
    (void)state;
    archive_members(&a);
    archive_pack(&a);
    struct slice state_bin = buf_slice(&a.member[ARCHIVE_STATE]);
    int n = snprintf(record, sizeof record, "%zu size=%zu\n", (size_t)14, state_bin.n);
    assert_int_equal(n, 14);
    struct buf tar = {0}, header = {0};
    buf_add(&tar, a.tar.p, a.tar_at[ARCHIVE_STATE]);
    archive_tar_add(&tar, "PaxHeaders.0/state.bin", slice_of(record), 'x');
    archive_tar_add(&header, "state.bin", SLICE_LIT(""), '0');
    buf_add(&tar, header.p, 512);
    buf_add(&tar, a.tar.p + a.tar_at[ARCHIVE_STATE] + 512, a.tar.len - a.tar_at[ARCHIVE_STATE] - 512);
    buf_free(&a.tar);
    a.tar = tar;
    assert_tar(&a, NULL);
    buf_free(&header);
    archive_free(&a);
}

/* The first of its kind. */
static void replace(struct buf *b, const char *from, const char *to) {
    char *at = strstr(buf_str(b), from);
    assert_non_null(at);
    struct buf out = {0};
    buf_add(&out, b->p, (size_t)(at - b->p));
    buf_adds(&out, to);
    buf_adds(&out, at + strlen(from));
    buf_free(b);
    *b = out;
}

static void test_meta(void **state) {
    (void)state;
    static const struct {
        const char *from, *to, *part;
    } cases[] = {
        {"\"Index\":2730012", "\"Index\":0", "of no raft log"},
        {"\"Index\":2730012,", "", "of no raft log"},
        {"\"Term\":33", "\"Term\":0", "of no raft log"},
        {"\"Version\":1", "\"Version\":0", "version 0"},
        {"\"Size\":", "\"Size\":1", "bytes, meta.json says 1"},
        {"\"Size\":", "\"size\":", "bytes, meta.json says -1"},
        {"{\"Version", "[\"Version", "meta.json"},
        {"\"Servers\"", "\"Nobody\"", "no server of its configuration votes"},
        {"\"ID\":\"vault-1\",", "", "has no id"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct archive a = {0};
        archive_members(&a);
        replace(&a.member[ARCHIVE_META], cases[i].from, cases[i].to);
        archive_sums(&a, i & 1);
        assert_packed(&a, cases[i].part);
        archive_free(&a);
    }
}

static void test_sums(void **state) {
    (void)state;
    static const char *const cases[][2] = {
        {"", "SHA256SUMS: its last line is cut off"},
        {"\n", "SHA256SUMS: a line is malformed"},
        {"short  meta.json\n", "SHA256SUMS: a line is malformed"},
        {"0123456789012345678901234567890123456789012345678901234567890123  meta.json\n", "meta.json: its SHA-256 is"},
        {"0123456789012345678901234567890123456789012345678901234567890123  state.bin\n", "state.bin: its SHA-256 is"},
        {"0123456789012345678901234567890123456789012345678901234567890123  other\n", "it names other"},
        {"0123456789012345678901234567890123456789012345678901234567890123 meta.json\n", "malformed"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct archive a = {0};
        archive_members(&a);
        buf_clear(&a.member[ARCHIVE_SUMS]);
        buf_adds(&a.member[ARCHIVE_SUMS], cases[i][0]);
        assert_packed(&a, cases[i][1]);
        archive_free(&a);
    }
    struct archive a = {0};
    archive_members(&a);
    size_t line = (size_t)(strchr(buf_str(&a.member[ARCHIVE_SUMS]), '\n') - a.member[ARCHIVE_SUMS].p) + 1;
    char *copy = mem_strndup(a.member[ARCHIVE_SUMS].p, line);
    a.member[ARCHIVE_SUMS].len = line;
    assert_packed(&a, "it does not name meta.json");
    buf_adds(&a.member[ARCHIVE_SUMS], copy);
    assert_packed(&a, "it names state.bin twice");
    mem_free(copy);
    archive_free(&a);
}

static void test_small_members(void **state) {
    struct archive a = {0};
    (void)state;
    archive_members(&a);
    buf_clear(&a.member[ARCHIVE_SEALED]);
    assert_packed(&a, "SHA256SUMS.sealed: it is empty");
    for (int i = 0; i < 8192; i++) buf_addc(&a.member[ARCHIVE_SEALED], 'x');
    assert_packed(&a, "more than Vault reads of it");
    a.member[ARCHIVE_SEALED].len--;
    assert_packed(&a, NULL);
    archive_free(&a);
}

/* Hashes are right, but it is not what Vault writes. */
static void test_state(void **state) {
    (void)state;
    for (int i = 0; i < 4; i++) {
        struct archive a = {0};
        archive_members(&a);
        struct buf *s = &a.member[ARCHIVE_STATE];
        char size[64];
        static const char *const parts[] = {"it ends within its entry 62", "it ends within its entry 63", "is malformed", "none of its 1 entries is core/keyring"};
        if (i == 0) s->len--;
        else if (i == 1) buf_addc(s, (char)0x80);
        else if (i == 2) buf_add(s, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 12);
        else {
            buf_clear(s);
            archive_entry(s, "core/keyrinG", 10);
        }
        snprintf(size, sizeof size, "\"Size\":%zu}\n", s->len);
        a.member[ARCHIVE_META].len = (size_t)(strstr(a.member[ARCHIVE_META].p, "\"Size\"") - a.member[ARCHIVE_META].p);
        buf_adds(&a.member[ARCHIVE_META], size);
        archive_sums(&a, false);
        assert_packed(&a, parts[i]);
        archive_free(&a);
    }
}

/* Foreign text is cleaned. */
static void test_clean(void **state) {
    struct archive a = {0};
    struct snapshot_said said = {0};
    (void)state;
    archive_members(&a);
    buf_clear(&a.member[ARCHIVE_META]);
    buf_printf(&a.member[ARCHIVE_META], "{\"Version\":1,\"Index\":1,\"Term\":1,\"Configuration\":{\"Servers\":[{\"Suffrage\":0,\"ID\":\"va\\u001bult\"}]},\"Size\":%zu}",
               a.member[ARCHIVE_STATE].len);
    archive_sums(&a, false);
    archive_pack(&a);
    assert_null(judge(buf_slice(&a.gz), 100, &said));
    assert_null(strchr(buf_str(&said.nodes), '\x1b'));
    snapshot_said_clear(&said);
    archive_free(&a);
}

/* A bomb is given away in pieces; refusing one ends it. */
static bool count(void *arg, struct slice bytes) {
    size_t *n = arg;
    assert_in_range(bytes.n, 1, INFLATE_PIECE);
    *n += bytes.n;
    return *n < (size_t)4 * 1024 * 1024;
}

static void test_bomb(void **state) {
    struct buf zeros = {0}, gz = {0};
    size_t n = 0;
    (void)state;
    for (int i = 0; i < 1024 * 1024; i++) buf_add(&zeros, "\0\0\0\0\0\0\0\0", 8);
    archive_gzip(&gz, buf_slice(&zeros), 9);
    struct inflate *z = inflate_new();
    struct err *e = inflate_feed(z, buf_slice(&gz), count, &n);
    assert_non_null(e);
    assert_int_equal(err_kind(e), ERR_CANCELLED);
    assert_in_range(n, 4 * 1024 * 1024, 4 * 1024 * 1024 + INFLATE_PIECE);
    assert_false(inflate_ended(z));
    err_free(e);
    inflate_free(z);
    assert_damaged(buf_slice(&gz), "bytes follow the end of the tar");
    buf_free(&zeros);
    buf_free(&gz);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_well),   cmocka_unit_test(test_cut),      cmocka_unit_test(test_cut_at_members),
        cmocka_unit_test(test_bits),   cmocka_unit_test(test_junk),     cmocka_unit_test(test_wrong_file),
        cmocka_unit_test(test_members), cmocka_unit_test(test_pax_size), cmocka_unit_test(test_meta),
        cmocka_unit_test(test_sums),   cmocka_unit_test(test_small_members), cmocka_unit_test(test_state),
        cmocka_unit_test(test_clean),  cmocka_unit_test(test_bomb),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
