/* Stands in for libFuzzer in ordinary builds: gives a target each seed as it is, cut at every length, and with bytes
 * changed in a reproducible way. So each `make check` fuzzes a little, without a clock and without chance.
 *
 * usage: fuzz_x SEED… */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHANGED_COPIES 2000
#define CUTS_MAX 4096

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* xorshift64: the same numbers in every run. */
static uint64_t random_next(uint64_t *state) {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static uint8_t *file_read(const char *path, size_t *ret_size) {
    FILE *f = fopen(path, "rb");
    if (f == NULL) {
        perror(path);
        exit(1);
    }
    uint8_t *bytes = NULL;
    size_t size = 0;
    size_t got = 0;
    do {
        bytes = realloc(bytes, size + 65536);
        if (bytes == NULL) {
            perror(path);
            exit(1);
        }
        got = fread(bytes + size, 1, 65536, f);
        size += got;
    } while (got > 0);
    fclose(f);
    *ret_size = size;
    return bytes;
}

/* Gives the target a copy of exactly `size` bytes, so that ASan sees a read behind them. */
static void run(const uint8_t *bytes, size_t size) {
    uint8_t *exact = malloc(size > 0 ? size : 1);
    if (exact == NULL) {
        abort();
    }
    memcpy(exact, bytes, size);
    (void)LLVMFuzzerTestOneInput(exact, size);
    free(exact);
}

/* Changes one to four bytes: to anything, to a structural character, or by one bit. */
static void change(uint8_t *bytes, size_t size, uint64_t *state) {
    static const char structural[] = "{}[]\",:\\-#&*!|>'%@ \n\t\r\0u0e.+~";
    for (uint64_t n = random_next(state) % 4 + 1; n > 0; n--) {
        uint8_t *at = &bytes[random_next(state) % size];
        switch (random_next(state) % 3) {
        case 0: *at = (uint8_t)random_next(state); break;
        case 1: *at = (uint8_t)structural[random_next(state) % (sizeof(structural) - 1)]; break;
        default: *at = (uint8_t)(*at ^ (1u << random_next(state) % 8)); break;
        }
    }
}

static void replay(const char *path) {
    size_t size = 0;
    uint8_t *seed = file_read(path, &size);
    run(seed, size);
    for (size_t cut = 0; cut < size && cut < CUTS_MAX; cut++) {
        run(seed, cut);
    }
    uint8_t *changed = malloc(size > 0 ? size : 1);
    if (changed == NULL) {
        abort();
    }
    uint64_t state = 0x9e3779b97f4a7c15u;
    for (int i = 0; size > 0 && i < CHANGED_COPIES; i++) {
        memcpy(changed, seed, size);
        change(changed, size, &state);
        run(changed, size);
    }
    free(changed);
    free(seed);
}

int main(int argc, char **argv) {
    if (argc < 2) {
        fprintf(stderr, "usage: %s SEED...\n", argv[0]);
        return 64;
    }
    for (int i = 1; i < argc; i++) {
        replay(argv[i]);
    }
    return 0;
}
