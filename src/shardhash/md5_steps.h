/* The 64 steps of MD5 (RFC 1321, 3.4), for one message or for several at once.
 *
 * SH_MD5_STEPS(GROUPS, WORD) works on four arrays a, b, c, d [GROUPS] of uint32_t or of vectors of
 * them, and takes word i of group g of the messages as WORD(i, g). The steps of a message wait for
 * one another; those of several groups fill the time. */
#ifndef SHARDHASH_MD5_STEPS_H
#define SHARDHASH_MD5_STEPS_H

#include <stdint.h>

/* floor(2^32 * abs(sin(i + 1))) */
static const uint32_t SH_MD5_SINES[64] = {
    0xD76AA478u, 0xE8C7B756u, 0x242070DBu, 0xC1BDCEEEu, 0xF57C0FAFu, 0x4787C62Au, 0xA8304613u, 0xFD469501u,
    0x698098D8u, 0x8B44F7AFu, 0xFFFF5BB1u, 0x895CD7BEu, 0x6B901122u, 0xFD987193u, 0xA679438Eu, 0x49B40821u,
    0xF61E2562u, 0xC040B340u, 0x265E5A51u, 0xE9B6C7AAu, 0xD62F105Du, 0x02441453u, 0xD8A1E681u, 0xE7D3FBC8u,
    0x21E1CDE6u, 0xC33707D6u, 0xF4D50D87u, 0x455A14EDu, 0xA9E3E905u, 0xFCEFA3F8u, 0x676F02D9u, 0x8D2A4C8Au,
    0xFFFA3942u, 0x8771F681u, 0x6D9D6122u, 0xFDE5380Cu, 0xA4BEEA44u, 0x4BDECFA9u, 0xF6BB4B60u, 0xBEBFBC70u,
    0x289B7EC6u, 0xEAA127FAu, 0xD4EF3085u, 0x04881D05u, 0xD9D4D039u, 0xE6DB99E5u, 0x1FA27CF8u, 0xC4AC5665u,
    0xF4292244u, 0x432AFF97u, 0xAB9423A7u, 0xFC93A039u, 0x655B59C3u, 0x8F0CCC92u, 0xFFEFF47Du, 0x85845DD1u,
    0x6FA87E4Fu, 0xFE2CE6E0u, 0xA3014314u, 0x4E0811A1u, 0xF7537E82u, 0xBD3AF235u, 0x2AD7D2BBu, 0xEB86D391u,
};

/* x is the word of the step before: what does not need it is written so that it can be ready. */
#define SH_MD5_F(x, y, z) ((z) ^ ((x) & ((y) ^ (z))))
#define SH_MD5_G(x, y, z) (((y) & ~(z)) + ((x) & (z)))
#define SH_MD5_H(x, y, z) ((x) ^ ((y) ^ (z)))
#define SH_MD5_I(x, y, z) ((y) ^ ((x) | ~(z)))

#define SH_MD5_ROTL(x, bits) ((x) << (bits) | (x) >> (32 - (bits)))

#define SH_MD5_STEP(GROUPS, WORD, mix, a, b, c, d, word, step, bits)  \
    for (int g = 0; g < (GROUPS); g++) {                              \
        a[g] += WORD((word) & 15, g) + SH_MD5_SINES[step];            \
        a[g] += mix(b[g], c[g], d[g]);                                \
        a[g] = SH_MD5_ROTL(a[g], bits) + b[g];                        \
    }

/* Four steps from i on, of the round that starts at step `first`. */
#define SH_MD5_FOUR(GROUPS, WORD, mix, first, i, times, plus, s0, s1, s2, s3)                     \
    SH_MD5_STEP(GROUPS, WORD, mix, a, b, c, d, (times) * (i) + (plus), (first) + (i), s0)         \
    SH_MD5_STEP(GROUPS, WORD, mix, d, a, b, c, (times) * ((i) + 1) + (plus), (first) + (i) + 1, s1) \
    SH_MD5_STEP(GROUPS, WORD, mix, c, d, a, b, (times) * ((i) + 2) + (plus), (first) + (i) + 2, s2) \
    SH_MD5_STEP(GROUPS, WORD, mix, b, c, d, a, (times) * ((i) + 3) + (plus), (first) + (i) + 3, s3)

#define SH_MD5_ROUND(GROUPS, WORD, mix, first, times, plus, s0, s1, s2, s3)            \
    SH_MD5_FOUR(GROUPS, WORD, mix, first, 0, times, plus, s0, s1, s2, s3)              \
    SH_MD5_FOUR(GROUPS, WORD, mix, first, 4, times, plus, s0, s1, s2, s3)              \
    SH_MD5_FOUR(GROUPS, WORD, mix, first, 8, times, plus, s0, s1, s2, s3)              \
    SH_MD5_FOUR(GROUPS, WORD, mix, first, 12, times, plus, s0, s1, s2, s3)

#define SH_MD5_STEPS(GROUPS, WORD)                                           \
    SH_MD5_ROUND(GROUPS, WORD, SH_MD5_F, 0, 1, 0, 7, 12, 17, 22)             \
    SH_MD5_ROUND(GROUPS, WORD, SH_MD5_G, 16, 5, 1, 5, 9, 14, 20)             \
    SH_MD5_ROUND(GROUPS, WORD, SH_MD5_H, 32, 3, 5, 4, 11, 16, 23)            \
    SH_MD5_ROUND(GROUPS, WORD, SH_MD5_I, 48, 7, 0, 6, 10, 15, 21)

#endif
