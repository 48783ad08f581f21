/* XXH64 of eight keys at a time, for CPUs whose vectors multiply 64 bits. Names of the steps are
 * those of the specification: https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md */
#include "internal.h"
#include "xxh64_steps.h"

#if SH_HAS_X86_TARGETS
#include "lanes.h"

#define ROTL(x, bits) ((x) << (bits) | (x) >> (64 - (bits)))

LANES_TARGET static inline lanes round64(lanes accumulator, lanes lane) {
    accumulator += lane * P2;
    return ROTL(accumulator, 31) * P1;
}

LANES_TARGET static inline lanes merge(lanes accumulator, lanes value) {
    return (accumulator ^ round64(all(0), value)) * P1 + P4;
}

LANES_TARGET static inline lanes sizes_of(const sh_span keys[8]) {
    const __m512i second_of_pairs = _mm512_set_epi64(15, 13, 11, 9, 7, 5, 3, 1);
    return (lanes)_mm512_permutex2var_epi64(_mm512_loadu_si512(keys), second_of_pairs,
                                            _mm512_loadu_si512(keys + 4));
}

/* Write bytes [start, start + 32) of eight keys of at most 63 bytes as four words each,
 * words[w][key]; what is beyond a key is not read and is 0. `start` is 0 or 32. */
LANES_TARGET static inline void load_words(const sh_span keys[8], size_t start, lanes words[4]) {
    __m256i key[8];
    for (int i = 0; i < 8; i++) {
        uint64_t has_byte = ((uint64_t)1 << keys[i].size) - 1;
        const void *from = (const void *)((uintptr_t)keys[i].data + start);
        key[i] = _mm256_maskz_loadu_epi8((__mmask32)(has_byte >> start), from);
    }
    __m512i pair[4]; /* of keys that are four apart */
    for (int i = 0; i < 4; i++) {
        pair[i] = _mm512_inserti64x4(_mm512_castsi256_si512(key[i]), key[i + 4], 1);
    }
    /* Words 0 and 2, or 1 and 3, of keys 0 and 1 or 2 and 3, and then of those four further on. */
    __m512i even01 = _mm512_unpacklo_epi64(pair[0], pair[1]);
    __m512i odd01 = _mm512_unpackhi_epi64(pair[0], pair[1]);
    __m512i even23 = _mm512_unpacklo_epi64(pair[2], pair[3]);
    __m512i odd23 = _mm512_unpackhi_epi64(pair[2], pair[3]);
    const __m512i first = _mm512_set_epi64(13, 12, 5, 4, 9, 8, 1, 0);
    const __m512i second = _mm512_set_epi64(15, 14, 7, 6, 11, 10, 3, 2);
    words[0] = (lanes)_mm512_permutex2var_epi64(even01, first, even23);
    words[1] = (lanes)_mm512_permutex2var_epi64(odd01, first, odd23);
    words[2] = (lanes)_mm512_permutex2var_epi64(even01, second, even23);
    words[3] = (lanes)_mm512_permutex2var_epi64(odd01, second, odd23);
}

/* Steps 1 to 3 for one stripe of 32 bytes. */
LANES_TARGET static inline lanes stripe(const lanes words[4], uint64_t seed) {
    lanes a = round64(all(seed + P1 + P2), words[0]), b = round64(all(seed + P2), words[1]);
    lanes c = round64(all(seed), words[2]), d = round64(all(seed - P1), words[3]);
    lanes h = ROTL(a, 1) + ROTL(b, 7) + ROTL(c, 12) + ROTL(d, 18);
    return merge(merge(merge(merge(h, a), b), c), d);
}

/* Step 5 for the last 0 to 31 bytes, which start at words[0]. What no key has is left out. */
LANES_TARGET static inline lanes consume_rest(lanes h, lanes sizes, const lanes words[4]) {
    lanes rest = words[0]; /* the word with the last 0 to 7 bytes, then what is left of it */
    for (unsigned i = 0; i < 3; i++) {
        __mmask8 has_word = at_least(sizes & 31, 8 * (i + 1));
        if (has_word == 0) {
            break;
        }
        h = choose(has_word, ROTL(h ^ round64(all(0), words[i]), 27) * P1 + P4, h);
        rest = choose(has_word, words[i + 1], rest);
    }
    __mmask8 has_half = at_least(sizes & 7, 4);
    if (has_half != 0) {
        h = choose(has_half, ROTL(h ^ (rest & 0xFFFFFFFFu) * P1, 23) * P2 + P3, h);
        rest = choose(has_half, rest >> 32, rest);
    }
    for (unsigned i = 0; i < 3; i++) {
        __mmask8 has_byte = at_least(sizes & 3, i + 1);
        if (has_byte == 0) {
            break;
        }
        h = choose(has_byte, ROTL(h ^ (rest & 0xFF) * P5, 11) * P1, h);
        rest >>= 8;
    }
    return h;
}

LANES_TARGET static inline lanes avalanche(lanes h) {
    h = (h ^ h >> 33) * P2;
    h = (h ^ h >> 29) * P3;
    return h ^ h >> 32;
}

/* Hash eight keys of at most 63 bytes. */
LANES_TARGET static inline lanes hash_eight(const sh_span keys[8], lanes sizes, uint64_t seed) {
    lanes words[4], h = all(seed + P5);
    load_words(keys, 0, words);
    __mmask8 has_stripe = at_least(sizes, 32);
    if (has_stripe != 0) {
        lanes rest[4];
        h = choose(has_stripe, stripe(words, seed), h);
        load_words(keys, 32, rest);
        for (int i = 0; i < 4; i++) {
            words[i] = choose(has_stripe, rest[i], words[i]);
        }
    }
    return avalanche(consume_rest(h + sizes, sizes, words));
}

LANES_TARGET void sh_xxh64_spans_wide(const sh_span *keys, size_t count, uint64_t seed,
                                uint64_t *hashes) {
    size_t i = 0;
    for (; count - i >= 8; i += 8) {
        lanes sizes = sizes_of(keys + i);
        if (at_least(sizes, 64) != 0) {
            sh_xxh64_spans_narrow(keys + i, 8, seed, hashes + i);
        } else {
            _mm512_storeu_si512(hashes + i, (__m512i)hash_eight(keys + i, sizes, seed));
        }
    }
    sh_xxh64_spans_narrow(keys + i, count - i, seed, hashes + i);
}
#endif
