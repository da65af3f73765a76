/* Signals as callbacks on the loop. Start them after curses has started (facts/c-programs.md §6.1). */
#ifndef FERRYMAN_LOOP_SIGNALS_H
#define FERRYMAN_LOOP_SIGNALS_H

struct loop;
struct signals;

struct signals *signals_new(struct loop *l, const int *signums, int count, void (*fn)(void *arg, int signum),
                            void *arg);
void signals_free(struct signals *s);

#endif
