/* XXH64. Names of the steps are those of the specification:
 * https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md */
#include "internal.h"
#include "xxh64_steps.h"

static inline uint64_t round64(uint64_t accumulator, uint64_t lane) {
    return sh_rotl64(accumulator + lane * P2, 31) * P1;
}

static inline uint64_t merge(uint64_t accumulator, uint64_t value) {
    return (accumulator ^ round64(0, value)) * P1 + P4;
}

/* Steps 1 to 3 for 32 bytes and more: consume the whole stripes of 32. */
static uint64_t stripes(const uint8_t *p, size_t size, uint64_t seed) {
    uint64_t a = seed + P1 + P2, b = seed + P2, c = seed, d = seed - P1;
    for (const uint8_t *end = p + (size & ~(size_t)31); p < end; p += 32) {
        a = round64(a, sh_load64(p));
        b = round64(b, sh_load64(p + 8));
        c = round64(c, sh_load64(p + 16));
        d = round64(d, sh_load64(p + 24));
    }
    uint64_t h = sh_rotl64(a, 1) + sh_rotl64(b, 7) + sh_rotl64(c, 12) + sh_rotl64(d, 18);
    return merge(merge(merge(merge(h, a), b), c), d);
}

static inline uint64_t avalanche(uint64_t h) {
    h = (h ^ h >> 33) * P2;
    h = (h ^ h >> 29) * P3;
    return h ^ h >> 32;
}

static inline uint64_t xxh64(const uint8_t *p, size_t size, uint64_t seed) {
    uint64_t h = seed + P5;
    size_t left = size;
    if (size >= 32) {
        h = stripes(p, size, seed);
        left = size & 31;
        p += size - left;
    }
    h += size;
    for (; left >= 8; p += 8, left -= 8) {
        h = sh_rotl64(h ^ round64(0, sh_load64(p)), 27) * P1 + P4;
    }
    if (left >= 4) {
        h = sh_rotl64(h ^ sh_load32(p) * P1, 23) * P2 + P3;
        p += 4;
        left -= 4;
    }
    for (; left > 0; p++, left--) {
        h = sh_rotl64(h ^ *p * P5, 11) * P1;
    }
    return avalanche(h);
}

uint64_t sh_xxh64(const uint8_t *data, size_t size, uint64_t seed) {
    return xxh64(data, size, seed);
}

void sh_xxh64_spans_narrow(const sh_span *keys, size_t count, uint64_t seed, uint64_t *hashes) {
    for (size_t i = 0; i < count; i++) {
        hashes[i] = xxh64(keys[i].data, keys[i].size, seed);
    }
}

void sh_xxh64_spans(const sh_span *keys, size_t count, uint64_t seed, uint64_t *hashes) {
#if SH_HAS_X86_TARGETS
    if (sh_cpu_is_wide()) {
        sh_xxh64_spans_wide(keys, count, seed, hashes);
        return;
    }
#endif
    sh_xxh64_spans_narrow(keys, count, seed, hashes);
}
