/* Signals as callbacks on the loop. Start them after curses has started: newterm
 * takes SIGWINCH only if it is still free, and ours must be the one that stays. */
#ifndef FERRYMAN_LOOP_SIGNALS_H
#define FERRYMAN_LOOP_SIGNALS_H

struct loop;
struct signals;

struct signals *signals_new(struct loop *l, const int *signums, int count, void (*fn)(void *arg, int signum),
                            void *arg);
void signals_free(struct signals *s);

#endif
