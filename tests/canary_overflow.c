/* Reads and writes behind an allocation on purpose: a build with sanitizers that lets this program end well proves
 * nothing. The pointer is volatile so that its bounds are known at run time only, to ASan. */
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv) {
    (void)argv;
    char *volatile small = malloc(8);
    if (small == NULL) {
        return 0;
    }
    small[7 + argc] = 'x';
    printf("overflowed: %c\n", small[7 + argc]);
    free(small);
    return 0;
}
