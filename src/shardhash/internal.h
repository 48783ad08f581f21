/* What the .c files share and callers do not see. */
#ifndef SHARDHASH_INTERNAL_H
#define SHARDHASH_INTERNAL_H

#include <string.h>

#include "shardhash.h"

#if defined(__GNUC__) || defined(__clang__)
#define SH_PREFETCH(address) __builtin_prefetch(address)
#else
#define SH_PREFETCH(address) ((void)(address))
#endif

/* Compilers turn the byte-wise loads and stores into one instruction where the machine is
 * little-endian. */
static inline uint32_t sh_load32(const uint8_t *p) {
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static inline uint64_t sh_load64(const uint8_t *p) {
    return (uint64_t)sh_load32(p) | (uint64_t)sh_load32(p + 4) << 32;
}

static inline void sh_store64(uint8_t *p, uint64_t value) {
    for (int i = 0; i < 8; i++) {
        p[i] = (uint8_t)(value >> (8 * i));
    }
}

static inline uint32_t sh_rotl32(uint32_t value, int bits) {
    return value << bits | value >> (32 - bits);
}

static inline uint64_t sh_rotl64(uint64_t value, int bits) {
    return value << bits | value >> (64 - bits);
}

/* Number of zero bytes below the lowest byte that is not zero; value != 0. */
static inline unsigned sh_low_zero_bytes(uint64_t value) {
#if defined(__GNUC__) || defined(__clang__)
    return (unsigned)__builtin_ctzll(value) / 8;
#else
    unsigned count = 0;
    while ((value & 0xFF) == 0) {
        value >>= 8;
        count++;
    }
    return count;
#endif
}

/* One function for each hash: hashes of a block of spans. */
void sh_crc32_spans(const sh_span *keys, size_t count, uint64_t *hashes);
void sh_crc16_spans(const sh_span *keys, size_t count, uint64_t *hashes);
void sh_xxh64_spans(const sh_span *keys, size_t count, uint64_t seed, uint64_t *hashes);
void sh_murmur2_spans(const sh_span *keys, size_t count, uint64_t *hashes);
void sh_md5_ketama_spans(const sh_span *keys, size_t count, uint64_t *hashes);
void sh_fnv_twemproxy_spans(const sh_span *keys, size_t count, uint64_t *hashes);
void sh_redis_spans(const sh_span *keys, size_t count, uint64_t *hashes);

/* MD5 in steps: start; whole blocks of 64 bytes, whose size is returned; then the rest of any
 * size, with which `total` bytes were hashed in all. `state` is the digest at the end. */
void sh_md5_start(uint32_t state[4]);
size_t sh_md5_blocks(uint32_t state[4], const uint8_t *data, size_t size);
void sh_md5_end(uint32_t state[4], const uint8_t *rest, size_t size, uint64_t total);

#endif
