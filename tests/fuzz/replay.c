/* Run a harness without libFuzzer: on the files that are named, and on inputs drawn at random.
 * Any compiler and sanitizer will do; an input that once crashed is one of the files for ever. */
#include "fuzz.h"

#define DRAWN 3000
#define MOST_BYTES 300

static uint64_t next_random(uint64_t *state) {
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return *state >> 33;
}

static void run_drawn(void) {
    uint64_t state = 1;
    for (int i = 0; i < DRAWN; i++) {
        size_t size = next_random(&state) % (MOST_BYTES + 1);
        uint8_t *input = room(size);
        for (size_t at = 0; at < size; at++) {
            /* Small numbers choose most branches; all bytes must come. */
            uint64_t drawn = next_random(&state);
            input[at] = (uint8_t)(drawn & 1 ? drawn >> 1 & 15 : drawn >> 1);
        }
        LLVMFuzzerTestOneInput(input, size);
        free(input);
    }
}

static void run_file(const char *path) {
    FILE *file = fopen(path, "rb");
    MUST(file != NULL && fseek(file, 0, SEEK_END) == 0);
    long size = ftell(file);
    MUST(size >= 0 && fseek(file, 0, SEEK_SET) == 0);
    uint8_t *input = room((size_t)size);
    MUST(fread(input, 1, (size_t)size, file) == (size_t)size);
    fclose(file);
    LLVMFuzzerTestOneInput(input, (size_t)size);
    free(input);
}

int main(int argc, char **argv) {
    for (int i = 1; i < argc; i++) {
        run_file(argv[i]);
    }
    run_drawn();
    return 0;
}
