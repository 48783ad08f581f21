/* MD5 (RFC 1321). Not for secrets: ketama and others place by it. */
#include "internal.h"

/* floor(2^32 * abs(sin(i + 1))) */
static const uint32_t SINES[64] = {
    0xD76AA478u, 0xE8C7B756u, 0x242070DBu, 0xC1BDCEEEu, 0xF57C0FAFu, 0x4787C62Au, 0xA8304613u, 0xFD469501u,
    0x698098D8u, 0x8B44F7AFu, 0xFFFF5BB1u, 0x895CD7BEu, 0x6B901122u, 0xFD987193u, 0xA679438Eu, 0x49B40821u,
    0xF61E2562u, 0xC040B340u, 0x265E5A51u, 0xE9B6C7AAu, 0xD62F105Du, 0x02441453u, 0xD8A1E681u, 0xE7D3FBC8u,
    0x21E1CDE6u, 0xC33707D6u, 0xF4D50D87u, 0x455A14EDu, 0xA9E3E905u, 0xFCEFA3F8u, 0x676F02D9u, 0x8D2A4C8Au,
    0xFFFA3942u, 0x8771F681u, 0x6D9D6122u, 0xFDE5380Cu, 0xA4BEEA44u, 0x4BDECFA9u, 0xF6BB4B60u, 0xBEBFBC70u,
    0x289B7EC6u, 0xEAA127FAu, 0xD4EF3085u, 0x04881D05u, 0xD9D4D039u, 0xE6DB99E5u, 0x1FA27CF8u, 0xC4AC5665u,
    0xF4292244u, 0x432AFF97u, 0xAB9423A7u, 0xFC93A039u, 0x655B59C3u, 0x8F0CCC92u, 0xFFEFF47Du, 0x85845DD1u,
    0x6FA87E4Fu, 0xFE2CE6E0u, 0xA3014314u, 0x4E0811A1u, 0xF7537E82u, 0xBD3AF235u, 0x2AD7D2BBu, 0xEB86D391u,
};

static const uint8_t SHIFTS[4][4] = {{7, 12, 17, 22}, {5, 9, 14, 20}, {4, 11, 16, 23}, {6, 10, 15, 21}};

#define F(x, y, z) ((z) ^ ((x) & ((y) ^ (z))))
#define G(x, y, z) ((y) ^ ((z) & ((x) ^ (y))))
#define H(x, y, z) ((x) ^ (y) ^ (z))
#define I(x, y, z) ((y) ^ ((x) | ~(z)))

/* Sixteen steps of one round. `word(i)` is the message word of step i. */
#define ROUND(number, mix, word)                                                        \
    for (uint32_t i = 0; i < 16; i++) {                                                 \
        uint32_t sum = a + mix(b, c, d) + words[(word) & 15] + SINES[16 * (number) + i]; \
        a = d;                                                                          \
        d = c;                                                                          \
        c = b;                                                                          \
        b += sh_rotl32(sum, SHIFTS[number][i & 3]);                                     \
    }

static void transform(uint32_t state[4], const uint8_t *block) {
    uint32_t words[16];
    for (size_t i = 0; i < 16; i++) {
        words[i] = sh_load32(block + 4 * i);
    }
    uint32_t a = state[0], b = state[1], c = state[2], d = state[3];
    ROUND(0, F, i)
    ROUND(1, G, 5 * i + 1)
    ROUND(2, H, 3 * i + 5)
    ROUND(3, I, 7 * i)
    state[0] += a;
    state[1] += b;
    state[2] += c;
    state[3] += d;
}

void sh_md5_start(uint32_t state[4]) {
    state[0] = 0x67452301u;
    state[1] = 0xEFCDAB89u;
    state[2] = 0x98BADCFEu;
    state[3] = 0x10325476u;
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

void sh_md5_ketama_spans(const sh_span *keys, size_t count, uint64_t *hashes) {
    for (size_t i = 0; i < count; i++) {
        uint32_t words[4];
        sh_md5(keys[i].data, keys[i].size, words);
        hashes[i] = words[0];
    }
}
