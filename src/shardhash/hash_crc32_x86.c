/* CRC-32 by multiplication without carry: keys are polynomials over GF(2), divided by the CRC's.
 *
 * Bits are in the reflected order of this CRC: the lowest bit of the first byte is the highest
 * coefficient. Zeros before a key add nothing to its remainder, so all keys are laid to end at the
 * same place, and their size matters only to what the inverted start of the register adds: that is
 * the CRC-32 of as many zero bytes.
 *
 * Source of the method: Gopal et al., "Fast CRC Computation for Generic Polynomials Using PCLMULQDQ
 * Instruction", 2009. */
#include "internal.h"

#if SH_HAS_X86_TARGETS
#include <immintrin.h>

#define TARGET __attribute__((target(SH_CLMUL_FEATURES)))
#define WIDE_TARGET __attribute__((target(SH_WIDE_FEATURES)))

/* x^n mod P, reflected. A product of reflected numbers comes out one place too low; those that are
 * to be multiplied by 32 bits make up for it by a shift, those by 64 bits by a power less. */
#define X64 (0xB1E6B092LL << 1)
#define X96 (0x6655004FLL << 1)
#define X127 ((long long)0x9BA54C6F00000000u)
#define X191 0x65673B4600000000LL
/* P itself, and the whole part of x^96 / P, which has 65 bits, the last of them 0. */
#define P 0x1DB710641LL
#define X96_OVER_P ((long long)0xB4E5B025F7011641u)

/* ZEROS[n] is the CRC-32 of n zero bytes. */
static const uint32_t ZEROS[64] = {
    0x00000000u, 0xD202EF8Du, 0x41D912FFu, 0xFF41D912u, 0x2144DF1Cu, 0xC622F71Du, 0xB1C2A1A3u, 0x9D6CDF7Eu,
    0x6522DF69u, 0xE60914AEu, 0xE38A6876u, 0x6B87B1ECu, 0x7BD5C66Fu, 0x0F744682u, 0xD1BB79C7u, 0xD7D303E7u,
    0xECBB4B55u, 0xC9EFF1BDu, 0x671BCF4Du, 0xDA08C96Fu, 0x0FD59B8Du, 0x4104C58Bu, 0xA829B1E0u, 0x72A02444u,
    0xA3C1CA20u, 0xE9CF0E8Fu, 0xAFECBE32u, 0x1A7A52B3u, 0x807077E9u, 0x0B54C526u, 0x00043EB5u, 0x6909ACB0u,
    0x190A55ADu, 0x7A7C3A8Du, 0x41716C2Au, 0x09F85737u, 0x6AB6B2D5u, 0x24D17F64u, 0x98F99BB3u, 0x80F2F420u,
    0xE9EC3DB1u, 0x6E8D80AAu, 0xE46F28FBu, 0xF889AB31u, 0x8324661Cu, 0xC68097A4u, 0x037F08EBu, 0xE5D9AB75u,
    0xF288B395u, 0x529500F5u, 0x1F877C1Eu, 0x28125592u, 0xCC2B0FB0u, 0x19AF770Eu, 0x35A36DFDu, 0x113BC241u,
    0xD3C8A549u, 0xDDD1DE1Cu, 0xC6DE621Cu, 0xC6C56DA0u, 0x04128908u, 0xDCDD7536u, 0x1D64A761u, 0xE8AADAE4u,
};

/* Return the 16 bytes after those of `before`, with what these leave as a remainder added. */
TARGET static inline __m128i fold(__m128i before, __m128i next) {
    const __m128i powers = _mm_set_epi64x(X127, X191);
    __m128i high = _mm_clmulepi64_si128(before, powers, 0x00);
    __m128i low = _mm_clmulepi64_si128(before, powers, 0x11);
    return _mm_xor_si128(_mm_xor_si128(high, low), next);
}

/* Return the register after 16 bytes, if it was 0 before: bytes * x^32 mod P.
 *
 * First the quarters of the first half move to the second half, by x^96 and x^64. The division of
 * these 64 bits is a multiplication by the inverse, which gives the quotient, and one by P. */
TARGET static inline uint32_t remainder_of(__m128i bytes) {
    const __m128i powers = _mm_set_epi64x(X64, X96);
    const __m128i division = _mm_set_epi64x(P, X96_OVER_P);
    __m128i quarters = _mm_unpacklo_epi32(bytes, _mm_setzero_si128());
    __m128i half = _mm_xor_si128(_mm_clmulepi64_si128(quarters, powers, 0x00),
                                 _mm_clmulepi64_si128(quarters, powers, 0x11));
    half = _mm_xor_si128(half, _mm_unpackhi_epi64(bytes, bytes));
    __m128i quotient = _mm_clmulepi64_si128(half, division, 0x00);
    return (uint32_t)_mm_extract_epi32(_mm_clmulepi64_si128(quotient, division, 0x10), 2);
}

/* Return `size` <= 16 bytes with zeros before them. */
TARGET static inline __m128i load_end(const uint8_t *p, size_t size) {
    uint64_t first = 0, second = 0;
    if (size > 8) {
        first = sh_load64(p) << 8 * (16 - size);
        second = sh_load64(p + size - 8);
    } else if (size >= 4) {
        uint64_t end = sh_load32(p + size - 4);
        second = end << 32 | (uint64_t)sh_load32(p) << 8 * (8 - size);
    } else if (size > 0) {
        uint64_t end = p[size - 1], middle = p[size / 2];
        second = end << 56 | middle << 8 * (8 - size + size / 2) | (uint64_t)p[0] << 8 * (8 - size);
    }
    return _mm_set_epi64x((long long)second, (long long)first);
}

TARGET static inline uint32_t crc32(const uint8_t *p, size_t size) {
    size_t head = size <= 16 ? size : (size - 1) % 16 + 1;
    __m128i bytes = load_end(p, head);
    uint32_t start = ~ZEROS[head]; /* what the start of the register is after the head */
    for (size_t at = head; at < size; at += 16) {
        __m128i next = _mm_loadu_si128((const __m128i *)(const void *)(p + at));
        bytes = fold(bytes, _mm_xor_si128(next, _mm_cvtsi32_si128((int)start)));
        start = 0;
    }
    return ~(remainder_of(bytes) ^ start);
}

TARGET uint32_t sh_crc32_clmul(const uint8_t *data, size_t size) {
    return crc32(data, size);
}

TARGET void sh_crc32_spans_clmul(const sh_span *keys, size_t count, uint64_t *hashes) {
    for (size_t i = 0; i < count; i++) {
        hashes[i] = crc32(keys[i].data, keys[i].size);
    }
}

/* ---- Four keys at a time ------------------------------------------------------------------- */

/* Return the 16 bytes of a key of at most 63 that end `back` bytes before its end, with zeros for
 * those before its start, which are not read. `back` is 0, 16, 32 or 48. */
WIDE_TARGET static inline __m128i load_block(sh_span key, size_t back) {
    uint64_t before_key = ~(uint64_t)0 >> (48 - back) >> key.size; /* a bit for each byte */
    uintptr_t from = (uintptr_t)key.data + key.size - back - 16;
    return _mm_maskz_loadu_epi8((__mmask16)~before_key, (const void *)from);
}

WIDE_TARGET static inline __m512i load_blocks(const sh_span keys[4], size_t back) {
    __m512i blocks = _mm512_castsi128_si512(load_block(keys[0], back));
    blocks = _mm512_inserti32x4(blocks, load_block(keys[1], back), 1);
    blocks = _mm512_inserti32x4(blocks, load_block(keys[2], back), 2);
    return _mm512_inserti32x4(blocks, load_block(keys[3], back), 3);
}

#define THREE_XOR 0x96 /* for ternarylogic */

/* `fold` and `remainder_of` for four; the latter in the low half of each 64 bits. */
WIDE_TARGET static inline __m512i fold_four(__m512i before, __m512i next) {
    const __m512i powers = _mm512_broadcast_i32x4(_mm_set_epi64x(X127, X191));
    __m512i high = _mm512_clmulepi64_epi128(before, powers, 0x00);
    __m512i low = _mm512_clmulepi64_epi128(before, powers, 0x11);
    return _mm512_ternarylogic_epi64(high, low, next, THREE_XOR);
}

WIDE_TARGET static inline __m256i remainders_of(__m512i bytes) {
    const __m512i powers = _mm512_broadcast_i32x4(_mm_set_epi64x(X64, X96));
    const __m512i division = _mm512_broadcast_i32x4(_mm_set_epi64x(P, X96_OVER_P));
    const __m512i second_of_pairs = _mm512_set_epi64(7, 5, 3, 1, 7, 5, 3, 1);
    __m512i quarters = _mm512_unpacklo_epi32(bytes, _mm512_setzero_si512());
    __m512i half = _mm512_ternarylogic_epi64(_mm512_clmulepi64_epi128(quarters, powers, 0x00),
                                             _mm512_clmulepi64_epi128(quarters, powers, 0x11),
                                             _mm512_unpackhi_epi64(bytes, bytes), THREE_XOR);
    __m512i quotient = _mm512_clmulepi64_epi128(half, division, 0x00);
    __m512i remainder = _mm512_clmulepi64_epi128(quotient, division, 0x10);
    return _mm512_castsi512_si256(_mm512_permutexvar_epi64(second_of_pairs, remainder));
}

/* Return what to fold before the last blocks of four keys. */
WIDE_TARGET static inline __m512i fold_before(const sh_span four[4], size_t longest) {
    size_t back = (longest - 1) / 16 * 16;
    __m512i bytes = load_blocks(four, back);
    for (back -= 16; back > 0; back -= 16) {
        bytes = fold_four(bytes, load_blocks(four, back));
    }
    return bytes;
}

static inline size_t larger(size_t a, size_t b) {
    return a > b ? a : b;
}

WIDE_TARGET void sh_crc32_spans_wide(const sh_span *keys, size_t count, uint64_t *hashes) {
    size_t i = 0;
    for (; count - i >= 4; i += 4) {
        const sh_span *four = keys + i;
        size_t longest = larger(larger(four[0].size, four[1].size),
                                larger(four[2].size, four[3].size));
        if (longest > 63) {
            sh_crc32_spans_clmul(four, 4, hashes + i);
            continue;
        }
        __m512i bytes = load_blocks(four, 0);
        if (longest > 16) {
            bytes = fold_four(fold_before(four, longest), bytes);
        }
        __m256i zeros = _mm256_set_epi64x(ZEROS[four[3].size], ZEROS[four[2].size],
                                          ZEROS[four[1].size], ZEROS[four[0].size]);
        __m256i crcs = _mm256_xor_si256(remainders_of(bytes), zeros);
        crcs = _mm256_and_si256(crcs, _mm256_set1_epi64x(0xFFFFFFFFLL));
        _mm256_storeu_si256((__m256i *)(void *)(hashes + i), crcs);
    }
    sh_crc32_spans_clmul(keys + i, count - i, hashes + i);
}
#endif
