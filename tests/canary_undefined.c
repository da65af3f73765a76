/* Overflows a signed number on purpose: a build with sanitizers that lets this program end well proves nothing. */
#include <limits.h>
#include <stdio.h>

int main(int argc, char **argv) {
    (void)argv;
    volatile int most = INT_MAX;
    printf("%d\n", most + argc);
    return 0;
}
