/* Gives the terminal back when a signal ends the program: curses' own way is not safe inside a signal handler. */
#ifndef FERRYMAN_UI_TERM_FATAL_H
#define FERRYMAN_UI_TERM_FATAL_H

struct termios;

/* From now on a fatal signal first sets the terminal `fd` back to `saved`, writes what ends curses' mode (asked of
 * terminfo now, so after newterm) and `more`, and makes `stderr_fd` (-1: leave it) stderr again; then the signal ends
 * the program as it would have. */
void term_fatal_arm(int fd, const struct termios *saved, const char *more, int stderr_fd);
/* Before the terminal is closed. */
void term_fatal_disarm(void);

#endif
