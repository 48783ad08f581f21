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

/* ---- Instructions that only some CPUs have ------------------------------------------------- */

/* Functions are built for a CPU of their own and called where it is: one build runs on all.
 * Compilers that do not know all of the CPUs' features, and other CPUs, get the plain C. */
#if defined(__clang__)
#define SH_KNOWS_TARGETS (__clang_major__ >= 11)
#elif defined(__GNUC__)
#define SH_KNOWS_TARGETS (__GNUC__ >= 9)
#else
#define SH_KNOWS_TARGETS 0
#endif
#if SH_KNOWS_TARGETS && defined(__x86_64__) && SIZE_MAX == UINT64_MAX
#define SH_HAS_X86_TARGETS 1
#else
#define SH_HAS_X86_TARGETS 0
#endif

#if SH_HAS_X86_TARGETS

/* Multiplication without carry: of nearly all since 2010. */
#define SH_CLMUL_FEATURES "pclmul,sse4.1"

static inline bool sh_cpu_has_clmul(void) {
    return __builtin_cpu_supports("pclmul") && __builtin_cpu_supports("sse4.1");
}

/* The same in vectors of 512 bits: Intel's Ice Lake, AMD's Zen 4, and servers since. Older CPUs
 * with AVX-512 slow down for it, and are left out by asking for vpclmulqdq. */
#define SH_WIDE_FEATURES \
    "pclmul,sse4.1,bmi2,avx512f,avx512bw,avx512cd,avx512dq,avx512vl,vpclmulqdq"

static inline bool sh_cpu_is_wide(void) {
    return sh_cpu_has_clmul() && __builtin_cpu_supports("bmi2") &&
           __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("vpclmulqdq");
}

#endif

/* ---- Bytes and bits ------------------------------------------------------------------------ */

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

/* ---- Decimal text -------------------------------------------------------------------------- */

/* Write the text of a number, two's complement if it is signed, to a row of sh_texts. */
static inline void sh_decimal_span(uint64_t value, bool is_signed, uint8_t *text, sh_span *span) {
    size_t size = is_signed ? sh_decimal_i64((int64_t)value, text) : sh_decimal_u64(value, text);
    *span = (sh_span){text, size};
}

/* Write the texts of `count` <= SH_BLOCK such numbers, and where they are. */
void sh_decimal_spans(const uint64_t *values, bool is_signed, size_t count, sh_texts *texts,
                      sh_span *spans);

/* What it chooses from, as for the hashes below. */
void sh_decimal_spans_narrow(const uint64_t *values, bool is_signed, size_t count,
                             sh_texts *texts, sh_span *spans);
#if SH_HAS_X86_TARGETS
void sh_decimal_spans_wide(const uint64_t *values, bool is_signed, size_t count, sh_texts *texts,
                           sh_span *spans);
#endif

/* ---- Hashes -------------------------------------------------------------------------------- */

/* One function for each hash: hashes of any number of spans. */
void sh_crc32_spans(const sh_span *keys, size_t count, uint64_t *hashes);
void sh_crc16_spans(const sh_span *keys, size_t count, uint64_t *hashes);
void sh_xxh64_spans(const sh_span *keys, size_t count, uint64_t seed, uint64_t *hashes);
void sh_murmur2_spans(const sh_span *keys, size_t count, uint64_t *hashes);
void sh_md5_ketama_spans(const sh_span *keys, size_t count, uint64_t *hashes);
void sh_fnv_twemproxy_spans(const sh_span *keys, size_t count, uint64_t *hashes);
void sh_redis_spans(const sh_span *keys, size_t count, uint64_t *hashes);

/* What sh_crc32_spans and sh_xxh64_spans choose from. All give the same; those behind the #if may
 * be called only where the CPU is said to be of their kind. */
void sh_crc32_spans_tables(const sh_span *keys, size_t count, uint64_t *hashes);
void sh_xxh64_spans_narrow(const sh_span *keys, size_t count, uint64_t seed, uint64_t *hashes);
#if SH_HAS_X86_TARGETS
uint32_t sh_crc32_clmul(const uint8_t *data, size_t size);
void sh_crc32_spans_clmul(const sh_span *keys, size_t count, uint64_t *hashes);
void sh_crc32_spans_wide(const sh_span *keys, size_t count, uint64_t *hashes);
void sh_xxh64_spans_wide(const sh_span *keys, size_t count, uint64_t seed, uint64_t *hashes);
#endif

/* MD5 in steps: start; whole blocks of 64 bytes, whose size is returned; then the rest of any
 * size, with which `total` bytes were hashed in all. `state` is the digest at the end. */
void sh_md5_start(uint32_t state[4]);
size_t sh_md5_blocks(uint32_t state[4], const uint8_t *data, size_t size);
void sh_md5_end(uint32_t state[4], const uint8_t *rest, size_t size, uint64_t total);

#endif
