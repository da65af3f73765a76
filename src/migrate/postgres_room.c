#include "migrate/postgres_room.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>

#include "base/file.h"
#include "base/mem.h"
#include "migrate/postgres.h"

static void add_bytes(struct buf *out, int64_t n)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
    double v = (double)n;
    size_t u = 0;
    while (v >= 1024 && u + 1 < ARRAY_LEN(units)) {
        v /= 1024;
        u++;
    }
    buf_printf(out, u == 0 ? "%.0f %s" : "%.1f %s", v, units[u]);
}

bool room_enough(int64_t size, int64_t available, int64_t need, struct buf *out)
{
    int64_t floor = size / 10, after = available - (need > 0 ? need : 0);
    add_bytes(out, available);
    buf_adds(out, " free");
    if (need >= 0) {
        buf_adds(out, ", a dump takes about ");
        add_bytes(out, need);
    }
    if (after >= floor)
        return true;
    buf_adds(out, "; 10 % of the disk (");
    add_bytes(out, floor);
    buf_adds(out, ") must stay free");
    return false;
}

/* A dump is text without indexes: rarely larger than the databases are. */
static int64_t dump_size(const struct run *r)
{
    int64_t rehearsed = run_fact_int(r, "rehearse.dump.bytes", 0);
    return rehearsed > 0 ? rehearsed + rehearsed / 10 : run_fact_int(r, "pg.bytes", -1);
}

/* The first folder on the way up that is there: the dump's own is made by the dump. */
static char *existing(const char *path)
{
    char *p = mem_strdup(path);
    struct statvfs s;
    while (statvfs(p, &s) != 0 && errno == ENOENT && strcmp(p, "/") != 0 && strcmp(p, ".") != 0) {
        char *up = file_dirname(p);
        mem_free(p);
        p = up;
    }
    return p;
}

enum op_answer postgres_see_room(struct run *r, struct op *op, const struct seen *seen, struct buf *reason)
{
    const char *folder = postgres_spec(r)->dump.directory;
    struct statvfs s;
    (void)op;
    (void)seen;
    if (r->preview)
        return OP_DONE;
    char *path = existing(folder ? folder : r->dir);
    bool known = statvfs(path, &s) == 0;
    bool enough = false;
    buf_printf(reason, "%s: ", folder ? folder : r->dir);
    if (known)
        enough = room_enough((int64_t)s.f_blocks * (int64_t)s.f_frsize, (int64_t)s.f_bavail * (int64_t)s.f_frsize, dump_size(r), reason);
    else
        buf_printf(reason, "%s", strerror(errno));
    if (!enough)
        buf_adds(reason, ". Set dump.directory to another disk");
    mem_free(path);
    return enough ? OP_DONE : OP_REFUSE;
}
