/* The applications as seen from outside, behind one plain HTTP port: /immich/… (200 while immich-server has a ready
 * pod that gets rows from its database) and /vault/… (what a Service in front of the active node gives). */
#ifndef FERRYMAN_SANDBOX_APPS_H
#define FERRYMAN_SANDBOX_APPS_H

struct sandbox_part;
extern const struct sandbox_part apps_part;

#endif
