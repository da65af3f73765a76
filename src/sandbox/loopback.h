/* Addresses of pods: 127.x.y.z, one for each pod that something real stands behind, so that a server can tell its
 * clients apart and a client its server. */
#ifndef FERRYMAN_SANDBOX_LOOPBACK_H
#define FERRYMAN_SANDBOX_LOOPBACK_H

#include <stdbool.h>

struct sandbox;
struct pod_info;

#define LOOPBACK_SIZE 16

/* Takes an address that no other pod of any sandbox on this machine has: `wanted` if that is one and free, else one
 * that follows from `seed` (the same for the same seed, where free). *ret_fd keeps it until it is closed. False where
 * the system has 127.0.0.1 alone. */
bool loopback_take(const char *wanted, const char *seed, char ret[LOOPBACK_SIZE], int *ret_fd);
/* Marks a port of 127.0.0.1 as one that this sandbox will use, for as long as the process lives; false if another sandbox
 * has marked it. */
bool loopback_mark_port(unsigned port);
/* Whether nobody listens on that port of the address. */
bool loopback_port_free(const char *address, unsigned port);

#endif
