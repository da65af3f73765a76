/* Taking a journal over from another machine. Nothing that this machine did is ever lost by it: the journal that is there must
 * be the beginning of the one that comes. It is written beside, synced, and renamed into place under the flock. */
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json_doc.h"
#include "base/map.h"
#include "base/mem.h"
#include "migrate/journal_scan.h"

struct side {
    struct buf bytes;
    struct journal_scanned s;
    struct map *hashes;
};

static void on_record(void *arg, const struct json_t *record) {
    struct side *side = arg;
    map_puts(side->hashes, jd_str(record, "hash"), side);
}

static void side_clear(struct side *side) {
    buf_free(&side->bytes);
    mem_free(side->s.plan);
    map_free(side->hashes, NULL);
}

static struct err *check_file(const struct side *theirs, const char *file, const char *plan) {
    if (!theirs->s.records) return err_new(ERR_DATA, "%s has no record", file);
    if (!str_eq(theirs->s.plan, plan)) return err_new(ERR_DATA, "%s:1: this is the journal of plan %s, not of %s", file, theirs->s.plan, plan);
    return NULL;
}

/* Whether what is there may give way. *ret_nothing: it holds everything already. */
static struct err *check_ours(const struct side *ours, const struct side *theirs, const char *path, const char *file, bool *ret_nothing) {
    *ret_nothing = ours->s.records && map_gets(ours->hashes, theirs->s.head);
    if (!ours->s.records || *ret_nothing || map_gets(theirs->hashes, ours->s.head)) return NULL;
    return err_new(ERR_DATA, "%s is not a continuation of the journal that is here: record %zu of %s is not in it; both machines went on after "
                   "they parted. If nothing here may be kept, move %s away first", file, ours->s.records, path, path);
}

struct err *journal_import(const char *dir, const char *plan, const char *file, size_t *ret_records, char ret_head[JOURNAL_HASH_SIZE]) {
    struct side ours = {.hashes = map_new()}, theirs = {.hashes = map_new()};
    char *path = str_printf("%s/journal.jsonl", dir);
    int fd = -1;
    bool nothing = false;
    struct err *e = file_read(file, JOURNAL_FILE_MAX, &theirs.bytes);
    if (!e) e = journal_scan(buf_slice(&theirs.bytes), file, on_record, &theirs, &theirs.s);
    if (!e) e = check_file(&theirs, file, plan);
    if (!e) e = journal_open_locked(dir, path, &fd);
    if (!e) e = journal_read_fd(fd, path, &ours.bytes);
    if (!e) e = journal_scan(buf_slice(&ours.bytes), path, on_record, &ours, &ours.s);
    if (!e) e = check_ours(&ours, &theirs, path, file, &nothing);
    if (!e && !nothing) e = file_write_durable(path, theirs.bytes.p, theirs.s.good, 0600);
    if (!e) {
        *ret_records = nothing ? 0 : theirs.s.records;
        memcpy(ret_head, nothing ? ours.s.head : theirs.s.head, JOURNAL_HASH_SIZE);
    }
    if (fd >= 0) close(fd);
    side_clear(&ours);
    side_clear(&theirs);
    mem_free(path);
    return e;
}
