/* The ways in which the core may compute hashes or texts of many keys, for tests that run each of
 * them: which one it takes depends on the CPU. */
#ifndef SHARDHASH_TESTS_WAYS_H
#define SHARDHASH_TESTS_WAYS_H

#include "internal.h"

typedef void hash_way(const sh_span *keys, size_t count, uint64_t seed, uint64_t *hashes);

static inline void crc32_by_tables(const sh_span *keys, size_t count, uint64_t seed,
                                   uint64_t *hashes) {
    (void)seed;
    sh_crc32_spans_tables(keys, count, hashes);
}

#if SH_HAS_X86_TARGETS
static inline void crc32_by_clmul(const sh_span *keys, size_t count, uint64_t seed,
                                  uint64_t *hashes) {
    (void)seed;
    sh_crc32_spans_clmul(keys, count, hashes);
}

static inline void crc32_wide(const sh_span *keys, size_t count, uint64_t seed, uint64_t *hashes) {
    (void)seed;
    sh_crc32_spans_wide(keys, count, hashes);
}
#endif

#define MOST_WAYS 3

/* Write the ways that this CPU has to ways[0 .. MOST_WAYS) and return how many they are; none if
 * there is only sh_hash_spans itself. */
static inline size_t ways_of(sh_hash hash, hash_way *ways[MOST_WAYS]) {
    size_t count = 0;
    if (hash == SH_HASH_CRC32) {
        ways[count++] = crc32_by_tables;
    } else if (hash == SH_HASH_XXH64) {
        ways[count++] = sh_xxh64_spans_narrow;
    }
#if SH_HAS_X86_TARGETS
    if (hash == SH_HASH_CRC32 && sh_cpu_has_clmul()) {
        ways[count++] = crc32_by_clmul;
    }
    if (hash == SH_HASH_CRC32 && sh_cpu_is_wide()) {
        ways[count++] = crc32_wide;
    }
    if (hash == SH_HASH_XXH64 && sh_cpu_is_wide()) {
        ways[count++] = sh_xxh64_spans_wide;
    }
#endif
    return count;
}

typedef void texts_way(const uint64_t *values, bool is_signed, size_t count, sh_texts *texts,
                       sh_span *spans);

/* The same for decimal texts. */
static inline size_t ways_of_texts(texts_way *ways[MOST_WAYS]) {
    size_t count = 0;
    ways[count++] = sh_decimal_spans_narrow;
#if SH_HAS_X86_TARGETS
    if (sh_cpu_is_wide()) {
        ways[count++] = sh_decimal_spans_wide;
    }
#endif
    return count;
}

#endif
