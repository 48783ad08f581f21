/* MD5 (RFC 1321). Not for secrets: ketama and others place by it. */
#include "internal.h"
#include "md5_steps.h"

static const uint32_t START[4] = {0x67452301u, 0xEFCDAB89u, 0x98BADCFEu, 0x10325476u};

static void transform(uint32_t state[4], const uint8_t *block) {
    uint32_t a[1] = {state[0]}, b[1] = {state[1]}, c[1] = {state[2]}, d[1] = {state[3]};
#define WORD(i, g) sh_load32(block + 4 * (i))
    SH_MD5_STEPS(1, WORD)
#undef WORD
    state[0] += a[0];
    state[1] += b[0];
    state[2] += c[0];
    state[3] += d[0];
}

void sh_md5_start(uint32_t state[4]) {
    memcpy(state, START, sizeof START);
}

size_t sh_md5_blocks(uint32_t state[4], const uint8_t *data, size_t size) {
    size_t done = 0;
    for (; size - done >= 64; done += 64) {
        transform(state, data + done);
    }
    return done;
}

void sh_md5_end(uint32_t state[4], const uint8_t *rest, size_t size, uint64_t total) {
    size_t done = sh_md5_blocks(state, rest, size);
    size_t left = size - done;
    uint8_t tail[128] = {0};
    if (left > 0) {
        memcpy(tail, rest + done, left);
    }
    tail[left] = 0x80;
    size_t tail_size = left < 56 ? 64 : 128;
    sh_store64(tail + tail_size - 8, total * 8);
    sh_md5_blocks(state, tail, tail_size);
}

void sh_md5(const uint8_t *data, size_t size, uint32_t words[4]) {
    sh_md5_start(words);
    sh_md5_end(words, data, size, size);
}

/* ---- The first word, which is all that ketama takes ----------------------------------------- */

/* The longest message of one block: it needs a byte more, and eight for its size. */
#define SH_MD5_SHORT 55

/* Write the message of a short key as words `stride` items apart, without the zeros between its end
 * and its size; return how many words that is without the size. */
static inline size_t fill_lane(sh_span key, size_t stride, uint32_t *words) {
    const uint8_t *p = key.data;
    size_t whole = key.size / 4, left = key.size % 4;
    for (size_t i = 0; i < whole; i++) {
        words[i * stride] = sh_load32(p + 4 * i);
    }
    uint32_t end = 0x80;
    if (left > 0 && whole > 0) {
        end = end << 8 * left | sh_load32(p + key.size - 4) >> 8 * (4 - left);
    } else {
        /* All of the key, if there is any: no step leads from a NULL. */
        while (left > 0) {
            end = end << 8 | p[--left];
        }
    }
    words[whole * stride] = end;
    words[14 * stride] = (uint32_t)key.size * 8;
    return whole + 1;
}

/* Compilers leave out the last three steps, which change the other words only, and what the start
 * makes constant of the first. */
static uint32_t first_word_of_short(sh_span key) {
    uint32_t words[16] = {0};
    fill_lane(key, 1, words);
    uint32_t a[1] = {START[0]}, b[1] = {START[1]}, c[1] = {START[2]}, d[1] = {START[3]};
#define WORD(i, g) words[i]
    SH_MD5_STEPS(1, WORD)
#undef WORD
    return a[0] + START[0];
}

static void ketama_one_by_one(const sh_span *keys, size_t count, uint64_t *hashes) {
    for (size_t i = 0; i < count; i++) {
        if (keys[i].size <= SH_MD5_SHORT) {
            hashes[i] = first_word_of_short(keys[i]);
        } else {
            uint32_t words[4];
            sh_md5(keys[i].data, keys[i].size, words);
            hashes[i] = words[0];
        }
    }
}

#if defined(__GNUC__) || defined(__clang__)

/* Measured on a Zen 4: 76 ns a key one by one, 19 with these, 12 with AVX2, 10 with AVX-512, which is
 * not worth a third copy. */
#define NAME ketama_lanes
#define TARGET
#define LANE_BYTES 16
#define GROUPS 2
#include "md5_lanes.h"

#if defined(__x86_64__)
#define NAME ketama_lanes_avx2
#define TARGET __attribute__((target("avx2")))
#define LANE_BYTES 32
#define GROUPS 2
#include "md5_lanes.h"
#endif

typedef void short_ketama(const sh_span *keys, size_t count, uint64_t *hashes);

/* Return what hashes short keys the fastest here. */
static short_ketama *widest_lanes(void) {
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2")) {
        return ketama_lanes_avx2;
    }
#endif
    return ketama_lanes;
}

void sh_md5_ketama_spans(const sh_span *keys, size_t count, uint64_t *hashes) {
    short_ketama *hash_short = count > 1 ? widest_lanes() : ketama_one_by_one;
    for (size_t start = 0; start < count;) {
        size_t end = start;
        while (end < count && keys[end].size <= SH_MD5_SHORT) {
            end++;
        }
        hash_short(keys + start, end - start, hashes + start);
        if (end < count) {
            ketama_one_by_one(keys + end, 1, hashes + end);
            end++;
        }
        start = end;
    }
}

#else

void sh_md5_ketama_spans(const sh_span *keys, size_t count, uint64_t *hashes) {
    ketama_one_by_one(keys, count, hashes);
}

#endif
