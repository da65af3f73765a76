/* Leaks on purpose: a build with sanitizers whose leak check does not end this program proves nothing. */
#include <stdio.h>
#include <stdlib.h>

int main(void) {
    volatile char *lost = malloc(64);
    if (lost == NULL) {
        return 0;
    }
    lost[0] = 'x';
    printf("leaking %c\n", lost[0]);
    lost = NULL;
    return 0;
}
