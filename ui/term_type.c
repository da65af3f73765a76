/* Asked before newterm, which does not free what it has begun with when it fails. <term.h> stands alone here: it takes
 * the name `struct term`. */
#include "ui/term_type.h"

#include <stdbool.h>

#include <curses.h>
#include <term.h>

struct err *term_type_check(int fd, const char *type) {
    int known = 0;
    if (!type || !*type)
        return err_new(ERR_USAGE, "TERM is not set: it names the terminal's type; try TERM=xterm-256color ferryman");
    if (setupterm(type, fd, &known) != OK)
        return err_new(ERR_USAGE, "this machine does not know the terminal type '%s'; try TERM=xterm-256color ferryman",
                       type);
    bool able = cursor_address != NULL;
    del_curterm(cur_term);
    if (able) return NULL;
    return err_new(ERR_USAGE,
                   "a terminal of type '%s' cannot place its cursor; if it can, try TERM=xterm-256color ferryman", type);
}
