/* Everything is prepared beforehand; the handler itself only copies descriptors, sets the terminal and writes. SIGKILL
 * alone leaves a terminal as it was. Signals that the loop takes (TERM, HUP, INT) end the program in order and are not
 * listed. */
#include "ui/term_fatal.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"

#include <curses.h>
#include <term.h> /* last: its macros take many names */

static const int fatal[] = {SIGQUIT, SIGILL,  SIGTRAP, SIGABRT, SIGBUS,  SIGFPE, SIGSEGV,
                            SIGSYS,  SIGUSR1, SIGUSR2, SIGALRM, SIGXCPU, SIGXFSZ};

static struct {
    volatile sig_atomic_t armed;
    int fd, stderr_fd;
    struct termios saved;
    char bytes[256];
    size_t len;
    struct sigaction before[ARRAY_LEN(fatal)];
} state;

/* Appends a terminfo string without its padding ("$<5>"), whole or not at all. */
static void add(const char *s) {
    size_t start = state.len;
    while (s && *s) {
        const char *end = s[0] == '$' && s[1] == '<' ? strchr(s, '>') : NULL;
        if (end) {
            s = end + 1;
            continue;
        }
        if (state.len == sizeof state.bytes) {
            state.len = start;
            return;
        }
        state.bytes[state.len++] = *s++;
    }
}

static void add_capability(const char *name) {
    char copy[32]; /* tigetstr takes no const before ncurses 6 */
    if (!str_copy(copy, sizeof copy, name)) return;
    char *s = tigetstr(copy);
    if (s && s != (char *)-1) add(s);
}

static void on_fatal(int signum) {
    int saved_errno = errno;
    if (state.armed) {
        state.armed = 0;
        ssize_t n = write(state.fd, state.bytes, state.len);
        (void)n; /* nobody is left to be told */
        tcsetattr(state.fd, TCSANOW, &state.saved);
        if (state.stderr_fd >= 0) dup2(state.stderr_fd, STDERR_FILENO);
    }
    for (size_t i = 0; i < ARRAY_LEN(fatal); i++)
        if (fatal[i] == signum) sigaction(signum, &state.before[i], NULL);
    errno = saved_errno;
    raise(signum); /* blocked until we return; then what stood before us ends the program */
}

void term_fatal_arm(int fd, const struct termios *saved, const char *more, int stderr_fd) {
    static const char *const capabilities[] = {"rmkx", "sgr0", "cnorm", "rmcup"};
    struct sigaction action = {.sa_handler = on_fatal};
    sigemptyset(&action.sa_mask);
    state.fd = fd;
    state.stderr_fd = stderr_fd;
    state.saved = *saved;
    state.len = 0;
    for (size_t i = 0; i < ARRAY_LEN(capabilities); i++) add_capability(capabilities[i]);
    add(more);
    state.armed = 1;
    for (size_t i = 0; i < ARRAY_LEN(fatal); i++) sigaction(fatal[i], &action, &state.before[i]);
}

void term_fatal_disarm(void) {
    if (!state.armed) return;
    state.armed = 0;
    for (size_t i = 0; i < ARRAY_LEN(fatal); i++) sigaction(fatal[i], &state.before[i], NULL);
}
