/* The least that C tests need: CHECK prints what failed and lets the program go on; a test program
 * ends with `return check_failures != 0`. */
#ifndef SHARDHASH_TESTS_CHECK_H
#define SHARDHASH_TESTS_CHECK_H

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shardhash.h"

static int check_failures;

#define CHECK(claim)                                                                \
    do {                                                                            \
        if (!(claim)) {                                                             \
            check_failures++;                                                       \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #claim);     \
        }                                                                           \
    } while (0)

static inline sh_span span_of_text(const char *text) {
    return (sh_span){(const uint8_t *)text, strlen(text)};
}

/* A heap copy without a byte to spare, so that the address sanitizer sees any overrun. */
static inline void *exact_copy(const void *data, size_t size) {
    void *copy = malloc(size > 0 ? size : 1);
    if (copy == NULL) {
        abort();
    }
    if (size > 0) {
        memcpy(copy, data, size);
    }
    return copy;
}

#endif
