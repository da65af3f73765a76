/* Each secret has a mapping of its own: malloc would mix it with other data on pages that cannot be locked, kept out of
 * core dumps and given back one by one. Locking is best effort, since RLIMIT_MEMLOCK may forbid it. */
#include "base/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/prctl.h>
#endif

#include <openssl/crypto.h>

#include "base/mem.h"

enum { SECRET_FILE_MAX = 64 * 1024 };

struct secret {
    unsigned refs;
    size_t len;
    size_t mapped;
    char *bytes; /* NUL-terminated */
};

/* A secret with room for n bytes, all zero. */
static struct secret *secret_room(size_t n)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    struct secret *s = MEM_NEW(struct secret);
    s->refs = 1;
    s->mapped = (n / page + 1) * page; /* the NUL has room too */
    void *p = mmap(NULL, s->mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) {
        fprintf(stderr, "ferryman: out of memory (%zu bytes asked for)\n", s->mapped);
        abort();
    }
    s->bytes = p;
    (void)mlock(s->bytes, s->mapped);
#if defined(MADV_DONTDUMP)
    (void)madvise(s->bytes, s->mapped, MADV_DONTDUMP);
#endif
    return s;
}

struct secret *secret_new(const char *p, size_t n)
{
    struct secret *s = secret_room(n);
    if (n > 0)
        memcpy(s->bytes, p, n);
    s->len = n;
    return s;
}

/* Reads at most `room` bytes; returns how many, or -1. */
static ssize_t read_up_to(int fd, char *p, size_t room)
{
    size_t done = 0;
    while (done < room) {
        ssize_t n = read(fd, p + done, room - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        if (n == 0)
            break;
        done += (size_t)n;
    }
    return (ssize_t)done;
}

struct err *secret_from_file(const char *path, struct secret **ret)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return err_sys(errno, "cannot open %s", path);
    /* Read straight into locked pages: no copy stays behind. */
    struct secret *room = secret_room(SECRET_FILE_MAX + 1);
    ssize_t n = read_up_to(fd, room->bytes, SECRET_FILE_MAX + 1);
    struct err *e = NULL;
    if (n < 0)
        e = err_sys(errno, "cannot read %s", path);
    else if (n > SECRET_FILE_MAX)
        e = err_new(ERR_DATA, "%s is larger than 64 KiB; a secret is expected there", path);
    close(fd);
    if (!e) {
        if (n > 0 && room->bytes[n - 1] == '\n')
            n--;
        *ret = secret_new(room->bytes, (size_t)n);
    }
    secret_free(room);
    return e;
}

struct secret *secret_ref(struct secret *s)
{
    if (s)
        s->refs++;
    return s;
}

void secret_free(struct secret *s)
{
    if (!s || --s->refs > 0)
        return;
    secret_wipe(s->bytes, s->mapped);
    munmap(s->bytes, s->mapped);
    mem_free(s);
}

const char *secret_bytes(const struct secret *s)
{
    return s->bytes;
}

size_t secret_len(const struct secret *s)
{
    return s->len;
}

bool secret_eq(const struct secret *a, const struct secret *b)
{
    if (a->len != b->len)
        return false;
    unsigned char difference = 0;
    for (size_t i = 0; i < a->len; i++)
        difference |= (unsigned char)(a->bytes[i] ^ b->bytes[i]);
    return difference == 0;
}

void secret_wipe(void *p, size_t n)
{
    if (n > 0)
        OPENSSL_cleanse(p, n);
}

void secret_no_core(void)
{
    struct rlimit none = {0, 0};
    (void)setrlimit(RLIMIT_CORE, &none);
#if defined(__linux__) && !defined(__SANITIZE_ADDRESS__) /* the leak check at exit must be able to look */
    (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
#endif
}
