/* The chain is verified over the bytes of each line, not over what they mean: whoever has sha256sum can do the same
 * (doc/journal.md). Only the end of the file may be unfinished, and only so as a crash leaves it: the beginning of the next
 * record, or bytes that were never written. A whole record that lost its end of line to something else is damage. */
#include "migrate/journal_scan.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/json_doc.h"
#include "base/mem.h"

char *journal_time(int64_t unix_ms, char *buf, size_t size) {
    char seconds[32];
    clock_format_utc(unix_ms, seconds, sizeof seconds);
    snprintf(buf, size, "%.19s.%03dZ", seconds, (int)(unix_ms % 1000));
    return buf;
}

static bool is_hash(const char *p) {
    for (int i = 0; i < 64; i++)
        if (!(p[i] >= '0' && p[i] <= '9') && !(p[i] >= 'a' && p[i] <= 'f')) return false;
    return true;
}

/* Whether the bytes at p are `,"NAME":"HASH"`; gives the hash. */
static bool link_at(const char *p, const char *name, const char **ret) {
    if (memcmp(p, ",\"", 2) != 0 || memcmp(p + 2, name, 4) != 0 || memcmp(p + 6, "\":\"", 3) != 0 || p[JOURNAL_LINK - 1] != '"') return false;
    *ret = p + 9;
    return is_hash(*ret);
}

/* Cuts a line into what is hashed and its two links; false if it does not end in them. */
static bool line_links(struct slice line, size_t *ret_hashed, const char **ret_prev, const char **ret_hash) {
    if (line.n < 2 * JOURNAL_LINK + 2 || line.p[line.n - 1] != '}') return false;
    *ret_hashed = line.n - 1 - JOURNAL_LINK;
    return link_at(line.p + *ret_hashed, "hash", ret_hash) && link_at(line.p + *ret_hashed - JOURNAL_LINK, "prev", ret_prev);
}

static struct err *check_first(const struct json_t *record, struct journal_scanned *s) {
    const char *id = jd_str(record, "id"), *plan = jd_str(record, "plan");
    if (!str_eq(jd_str(record, "t"), "journal") || !id || strlen(id) != 16 || !plan)
        return err_new(ERR_DATA, "this is no journal of ferryman's: its first record says neither its id nor its plan");
    str_copy(s->id, sizeof s->id, id);
    str_set(&s->plan, plan);
    return NULL;
}

static struct err *check_members(const struct json_t *record, struct journal_scanned *s) {
    int64_t at;
    if (!jd_is_object(record) || !jd_str(record, "t")) return err_new(ERR_DATA, "a record without a type");
    if (!clock_parse_rfc3339(slice_of(jd_str(record, "at")), &at)) return err_new(ERR_DATA, "a record without a time");
    int64_t seq = jd_num(record, "seq", -1);
    if (seq != (int64_t)s->records + 1)
        return err_new(ERR_DATA, "record %lld stands where %zu is expected: lines were removed, repeated or moved", (long long)seq, s->records + 1);
    return s->records ? NULL : check_first(record, s);
}

/* One whole line; records and head move on when it is right. */
static struct err *scan_line(struct slice line, struct journal_scanned *s, void (*each)(void *arg, const struct json_t *record), void *arg) {
    size_t hashed;
    const char *prev, *hash;
    char is[HASH_HEX_SIZE];
    struct json_t *record = NULL;
    if (!line_links(line, &hashed, &prev, &hash)) return err_new(ERR_DATA, "not a whole record with its hash at its end");
    hash_hex(line.p, hashed, is);
    if (memcmp(is, hash, 64) != 0) return err_new(ERR_DATA, "the record was changed: its hash is %.12s…, not the %.12s… that it says", is, hash);
    struct err *e = jd_parse(line.p, line.n, "the record", &record);
    if (e) {
        err_set_kind(e, ERR_DATA);
        return e;
    }
    e = check_members(record, s);
    if (!e && memcmp(prev, s->head, 64) != 0) e = err_new(ERR_DATA, "the record does not follow the one before it: lines were removed, repeated or moved");
    if (!e) {
        s->records++;
        memcpy(s->head, hash, 64);
        if (each) each(arg, record);
    }
    jd_free(record);
    return e;
}

static struct err *damaged_end(void) {
    return err_new(ERR_DATA, "the last line is damaged, and not as a crash leaves it");
}

/* Bytes after the last end of line: the beginning of the next record, or what a disk shows where nothing was written. */
static struct err *check_tail(struct slice tail, const struct journal_scanned *s) {
    char start[64];
    size_t hashed, n = (size_t)snprintf(start, sizeof start, "{\"seq\":%zu,\"at\":\"", s->records + 1);
    const char *prev, *hash, *nul = memchr(tail.p, '\0', tail.n);
    size_t written = nul ? (size_t)(nul - tail.p) : tail.n;
    if (memcmp(tail.p, start, written < n ? written : n) != 0) return damaged_end();
    for (size_t i = written; i < tail.n; i++)
        if (tail.p[i]) return damaged_end();
    /* A hash that is right inside means that the record was whole once. */
    for (size_t end = written; end > 0; end--) {
        struct slice line = {tail.p, end};
        char is[HASH_HEX_SIZE];
        if (end == written || !line_links(line, &hashed, &prev, &hash)) continue;
        hash_hex(line.p, hashed, is);
        if (memcmp(is, hash, 64) == 0) return damaged_end();
    }
    return NULL;
}

struct err *journal_scan(struct slice bytes, const char *file, void (*each)(void *arg, const struct json_t *record), void *arg,
                         struct journal_scanned *ret) {
    struct journal_scanned s = {.head = JOURNAL_GENESIS};
    struct err *e = NULL;
    while (!e && s.good < bytes.n) {
        const char *line = bytes.p + s.good, *end = memchr(line, '\n', bytes.n - s.good);
        if (!end) {
            s.torn = true;
            e = check_tail((struct slice){line, bytes.n - s.good}, &s);
            break;
        }
        e = scan_line((struct slice){line, (size_t)(end - line)}, &s, each, arg);
        if (!e) s.good += (size_t)(end - line) + 1;
    }
    if (e) {
        mem_free(s.plan);
        s.plan = NULL;
        e = err_wrap(e, "%s:%zu", file, s.records + 1);
    }
    *ret = s;
    return e;
}

struct err *journal_read(const char *path, void (*each)(void *arg, const struct json_t *record), void *arg, size_t *ret_records,
                         char ret_head[JOURNAL_HASH_SIZE], bool *ret_torn) {
    struct buf b = {0};
    struct journal_scanned s = {0};
    struct err *e = file_read(path, JOURNAL_FILE_MAX, &b);
    if (!e) e = journal_scan(buf_slice(&b), path, each, arg, &s);
    if (!e) {
        *ret_records = s.records;
        memcpy(ret_head, s.head, JOURNAL_HASH_SIZE);
        *ret_torn = s.torn;
    }
    mem_free(s.plan);
    buf_free(&b);
    return e;
}

char *journal_dir(const char *plan) {
    const char *own = getenv("FERRYMAN_STATE");
    char *state = own && *own == '/' ? mem_strdup(own) : file_state_dir(), *dir = str_printf("%s/%s", state, plan);
    mem_free(state);
    return dir;
}
