/* What the harnesses share: taking an input apart, and stopping at a wrong answer.
 *
 * A harness is one LLVMFuzzerTestOneInput. It reads its case from the input, asks the core and the
 * slow twin (twins.h), and aborts where they differ. libFuzzer gives the input as a heap block
 * without a byte to spare; results go to blocks from `room`, so the address sanitizer sees any
 * byte read or written outside. */
#ifndef SHARDHASH_FUZZ_H
#define SHARDHASH_FUZZ_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shardhash.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(claim)                                                             \
    do {                                                                        \
        if (!(claim)) {                                                         \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #claim); \
            abort();                                                            \
        }                                                                       \
    } while (0)

typedef struct fuzz_input {
    const uint8_t *data;
    size_t size;
} fuzz_input;

/* Return the next `width` <= 8 bytes as a little-endian number; what is missing at the end is 0. */
static inline uint64_t take(fuzz_input *input, size_t width) {
    uint64_t value = 0;
    for (size_t i = 0; i < width && input->size > 0; i++) {
        value |= (uint64_t)*input->data << (8 * i);
        input->data++;
        input->size--;
    }
    return value;
}

/* Return the next byte as a number in [0, limit); limit <= 256. */
static inline uint32_t take_below(fuzz_input *input, uint32_t limit) {
    return (uint32_t)take(input, 1) % limit;
}

/* Return a span of the next bytes: at most `most`, at most what is left. */
static inline sh_span take_span(fuzz_input *input, size_t most) {
    size_t size = most < input->size ? most : input->size;
    sh_span span = {input->data, size};
    input->data += size;
    input->size -= size;
    return span;
}

/* Return a heap block of exactly so many bytes, filled with a pattern; free it. */
static inline void *room(size_t size) {
    void *block = malloc(size);
    MUST(block != NULL || size == 0);
    if (size > 0) {
        memset(block, 0xA5, size);
    }
    return block;
}

/* All hashes, to choose from by a number. */
static const sh_hash HASHES[] = {
    SH_HASH_CRC32,      SH_HASH_CRC16,         SH_HASH_XXH64, SH_HASH_MURMUR2,
    SH_HASH_MD5_KETAMA, SH_HASH_FNV_TWEMPROXY, SH_HASH_REDIS,
};

static inline sh_hash take_hash(fuzz_input *input) {
    return HASHES[take_below(input, sizeof HASHES / sizeof *HASHES)];
}

#endif
