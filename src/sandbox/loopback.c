/* See loopback.h. A bound socket without SO_REUSEADDR, on a port that nobody uses, marks an address as taken. */
#include "sandbox/loopback.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/str.h"

#define MARK_PORT 61127
#define TRIES 64

/* A socket bound to the address's port; -1 if that is taken. */
static int bind_to(const char *address, unsigned port, bool reuse)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = reuse;

    if (fd < 0)
        return -1;
    if (inet_pton(AF_INET, address, &a.sin_addr) == 1 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
        bind(fd, (struct sockaddr *)&a, sizeof a) == 0)
        return fd;
    close(fd);
    return -1;
}

bool loopback_port_free(const char *address, unsigned port)
{
    int fd = bind_to(address, port, true);

    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

bool loopback_mark_port(unsigned port)
{
    char address[LOOPBACK_SIZE];

    snprintf(address, sizeof address, "127.15.%u.%u", port >> 8 & 255, port & 255);
#ifdef __linux__
    return bind_to(address, MARK_PORT, false) >= 0; /* the descriptor ends with the process */
#else
    return true;
#endif
}

static bool take(const char *address, char ret[LOOPBACK_SIZE], int *ret_fd)
{
    int fd = bind_to(address, MARK_PORT, false);

    if (fd < 0)
        return false;
    snprintf(ret, LOOPBACK_SIZE, "%s", address);
    *ret_fd = fd;
    return true;
}

bool loopback_take(const char *wanted, const char *seed, char ret[LOOPBACK_SIZE], int *ret_fd)
{
    if (wanted && str_starts(wanted, "127.") && !str_eq(wanted, "127.0.0.1") && take(wanted, ret, ret_fd))
        return true;
    for (int i = 0; i < TRIES; i++) {
        char text[96], hex[HASH_HEX_SIZE], address[LOOPBACK_SIZE];
        unsigned part[3];
        snprintf(text, sizeof text, "%s %d", seed, i);
        hash_hex(text, strlen(text), hex);
        if (sscanf(hex, "%2x%2x%2x", &part[0], &part[1], &part[2]) != 3)
            return false;
        snprintf(address, sizeof address, "127.%u.%u.%u", 16 + part[0] % 200, part[1], 1 + part[2] % 254);
        if (take(address, ret, ret_fd))
            return true;
    }
    return false;
}
