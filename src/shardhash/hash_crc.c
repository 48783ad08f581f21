/* CRC-32 and CRC-16/XMODEM by tables (slicing by 8), and the latter as Redis Cluster applies it. */
#include "internal.h"
#include "xor_table.h"

/*
 * TABLE[k][b] is the register after byte b and k zero bytes, starting from 0. Its entries for
 * single bits are one sequence of the polynomial's shift register, x -> x >> 1 ^ (x & 1 ? P : 0)
 * from P = 0xEDB88320 on: eight for each k, the highest bit first.
 *
 * Source of the method: Kounavis and Berry, "A Systematic Approach to Building High Performance
 * Software-based CRC Generators", 2005.
 */
static const uint32_t CRC32[8][256] = {
    SH_XOR_TABLE(0xEDB88320u, 0x76DC4190u, 0x3B6E20C8u, 0x1DB71064u,
                 0x0EDB8832u, 0x076DC419u, 0xEE0E612Cu, 0x77073096u),
    SH_XOR_TABLE(0x3B83984Bu, 0xF0794F05u, 0x958424A2u, 0x4AC21251u,
                 0xC8D98A08u, 0x646CC504u, 0x32366282u, 0x191B3141u),
    SH_XOR_TABLE(0xE1351B80u, 0x709A8DC0u, 0x384D46E0u, 0x1C26A370u,
                 0x0E1351B8u, 0x0709A8DCu, 0x0384D46Eu, 0x01C26A37u),
    SH_XOR_TABLE(0xED59B63Bu, 0x9B14583Du, 0xA032AF3Eu, 0x5019579Fu,
                 0xC5B428EFu, 0x8F629757u, 0xAA09C88Bu, 0xB8BC6765u),
    SH_XOR_TABLE(0xB1E6B092u, 0x58F35849u, 0xC1C12F04u, 0x60E09782u,
                 0x30704BC1u, 0xF580A6C0u, 0x7AC05360u, 0x3D6029B0u),
    SH_XOR_TABLE(0x1EB014D8u, 0x0F580A6Cu, 0x07AC0536u, 0x03D6029Bu,
                 0xEC53826Du, 0x9B914216u, 0x4DC8A10Bu, 0xCB5CD3A5u),
    SH_XOR_TABLE(0x8816EAF2u, 0x440B7579u, 0xCFBD399Cu, 0x67DE9CCEu,
                 0x33EF4E67u, 0xF44F2413u, 0x979F1129u, 0xA6770BB4u),
    SH_XOR_TABLE(0x533B85DAu, 0x299DC2EDu, 0xF9766256u, 0x7CBB312Bu,
                 0xD3E51BB5u, 0x844A0EFAu, 0x4225077Du, 0xCCAA009Eu),
};

/* The same for CRC-16, whose register shifts the other way: x -> x << 1 ^ (x & 0x8000 ? P : 0) from
 * P = 0x1021 on, the lowest bit first. */
static const uint16_t CRC16[8][256] = {
    SH_XOR_TABLE(0x9188u, 0x48C4u, 0x2462u, 0x1231u, 0x8108u, 0x4084u, 0x2042u, 0x1021u),
    SH_XOR_TABLE(0x1B98u, 0x0DCCu, 0x06E6u, 0x0373u, 0x89A9u, 0xCCC4u, 0x6662u, 0x3331u),
    SH_XOR_TABLE(0x3B5Au, 0x1DADu, 0x86C6u, 0x4363u, 0xA9A1u, 0xDCC0u, 0x6E60u, 0x3730u),
    SH_XOR_TABLE(0xDD38u, 0x6E9Cu, 0x374Eu, 0x1BA7u, 0x85C3u, 0xCAF1u, 0xED68u, 0x76B4u),
    SH_XOR_TABLE(0x22D0u, 0x1168u, 0x08B4u, 0x045Au, 0x022Du, 0x8906u, 0x4483u, 0xAA51u),
    SH_XOR_TABLE(0xD420u, 0x6A10u, 0x3508u, 0x1A84u, 0x0D42u, 0x06A1u, 0x8B40u, 0x45A0u),
    SH_XOR_TABLE(0xABF9u, 0xDDECu, 0x6EF6u, 0x377Bu, 0x93ADu, 0xC1C6u, 0x60E3u, 0xB861u),
    SH_XOR_TABLE(0xFD81u, 0xF6D0u, 0x7B68u, 0x3DB4u, 0x1EDAu, 0x0F6Du, 0x8FA6u, 0x47D3u),
};

/* The last 0 to 3 bytes, in one step instead of one for each byte. */
static inline uint32_t crc32_tail(uint32_t crc, const uint8_t *p, size_t size) {
    switch (size) {
    case 3:
        return crc >> 24 ^ CRC32[2][(crc ^ p[0]) & 0xFF] ^ CRC32[1][(crc >> 8 ^ p[1]) & 0xFF] ^
               CRC32[0][(crc >> 16 ^ p[2]) & 0xFF];
    case 2:
        return crc >> 16 ^ CRC32[1][(crc ^ p[0]) & 0xFF] ^ CRC32[0][(crc >> 8 ^ p[1]) & 0xFF];
    case 1:
        return crc >> 8 ^ CRC32[0][(crc ^ p[0]) & 0xFF];
    default:
        return crc;
    }
}

static inline uint32_t crc32(const uint8_t *p, size_t size) {
    uint32_t crc = 0xFFFFFFFFu;
    for (; size >= 8; p += 8, size -= 8) {
        uint32_t low = crc ^ sh_load32(p);
        uint32_t high = sh_load32(p + 4);
        crc = CRC32[7][low & 0xFF] ^ CRC32[6][low >> 8 & 0xFF] ^ CRC32[5][low >> 16 & 0xFF] ^
              CRC32[4][low >> 24] ^ CRC32[3][high & 0xFF] ^ CRC32[2][high >> 8 & 0xFF] ^
              CRC32[1][high >> 16 & 0xFF] ^ CRC32[0][high >> 24];
    }
    if (size >= 4) {
        crc ^= sh_load32(p);
        crc = CRC32[3][crc & 0xFF] ^ CRC32[2][crc >> 8 & 0xFF] ^ CRC32[1][crc >> 16 & 0xFF] ^
              CRC32[0][crc >> 24];
        p += 4;
        size -= 4;
    }
    return ~crc32_tail(crc, p, size);
}

static inline uint16_t crc16(const uint8_t *p, size_t size) {
    uint32_t crc = 0;
    for (; size >= 8; p += 8, size -= 8) {
        crc = (uint32_t)CRC16[7][p[0] ^ crc >> 8] ^ CRC16[6][p[1] ^ (crc & 0xFF)] ^ CRC16[5][p[2]] ^
              CRC16[4][p[3]] ^ CRC16[3][p[4]] ^ CRC16[2][p[5]] ^ CRC16[1][p[6]] ^ CRC16[0][p[7]];
    }
    if (size >= 4) {
        crc = (uint32_t)CRC16[3][p[0] ^ crc >> 8] ^ CRC16[2][p[1] ^ (crc & 0xFF)] ^ CRC16[1][p[2]] ^
              CRC16[0][p[3]];
        p += 4;
        size -= 4;
    }
    for (; size > 0; p++, size--) {
        crc = (crc << 8 & 0xFF00) ^ CRC16[0][crc >> 8 ^ *p];
    }
    return (uint16_t)crc;
}

/* From this size on a multiplication is sooner done than tables are read. */
#define CLMUL_SIZE 16

uint32_t sh_crc32(const uint8_t *data, size_t size) {
#if SH_HAS_X86_TARGETS
    if (size >= CLMUL_SIZE && sh_cpu_has_clmul()) {
        return sh_crc32_clmul(data, size);
    }
#endif
    return crc32(data, size);
}

uint16_t sh_crc16(const uint8_t *data, size_t size) {
    return crc16(data, size);
}

void sh_crc32_spans_tables(const sh_span *keys, size_t count, uint64_t *hashes) {
    for (size_t i = 0; i < count; i++) {
        hashes[i] = crc32(keys[i].data, keys[i].size);
    }
}

void sh_crc32_spans(const sh_span *keys, size_t count, uint64_t *hashes) {
#if SH_HAS_X86_TARGETS
    if (sh_cpu_is_wide()) {
        sh_crc32_spans_wide(keys, count, hashes);
        return;
    }
    if (sh_cpu_has_clmul()) {
        sh_crc32_spans_clmul(keys, count, hashes);
        return;
    }
#endif
    sh_crc32_spans_tables(keys, count, hashes);
}

void sh_crc16_spans(const sh_span *keys, size_t count, uint64_t *hashes) {
    for (size_t i = 0; i < count; i++) {
        hashes[i] = crc16(keys[i].data, keys[i].size);
    }
}

/* Return the part of a key that Redis Cluster hashes. */
static inline sh_span redis_part(sh_span key) {
    const uint8_t *open = key.size > 0 ? memchr(key.data, '{', key.size) : NULL;
    if (open == NULL) {
        return key;
    }
    const uint8_t *tag = open + 1;
    const uint8_t *close = memchr(tag, '}', key.size - (size_t)(tag - key.data));
    if (close == NULL || close == tag) {
        return key;
    }
    return (sh_span){tag, (size_t)(close - tag)};
}

void sh_redis_spans(const sh_span *keys, size_t count, uint64_t *hashes) {
    for (size_t i = 0; i < count; i++) {
        sh_span part = redis_part(keys[i]);
        hashes[i] = crc16(part.data, part.size);
    }
}
