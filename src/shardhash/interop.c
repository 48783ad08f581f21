/* Rules of others that are no hash of a key: jump hash, Kafka's partitions, Vitess's DES. */
#include "internal.h"
#include "xor_table.h"

/* ---- Jump hash ----------------------------------------------------------------------------- */

uint32_t sh_jump(uint64_t hash, uint32_t n) {
    int64_t owner = -1, next = 0;
    while (next < (int64_t)n) {
        owner = next;
        hash = hash * 2862933555777941757u + 1;
        /* The paper's arithmetic: both sides are doubles, and every bit of them counts. */
        double stretch = (double)((int64_t)1 << 31) / (double)((hash >> 33) + 1);
        next = (int64_t)((double)(owner + 1) * stretch);
    }
    return (uint32_t)owner;
}

sh_status sh_keys_jump(const sh_keys *hashes, uint32_t n, uint32_t *out, size_t *bad) {
    for (size_t i = 0; i < hashes->count; i++) {
        uint64_t hash = sh_keys_integer(hashes, i);
        if (hash >> 63 && sh_layout_is_signed(hashes->layout)) {
            *bad = i;
            return SH_ERR_NEGATIVE;
        }
        out[i] = sh_jump(hash, n);
    }
    return SH_OK;
}

/* ---- Kafka --------------------------------------------------------------------------------- */

static void finish_kafka(const void *table, const uint64_t *hashes, size_t count, void *out) {
    uint32_t partition_count = *(const uint32_t *)table;
    uint32_t *items = out;
    for (size_t i = 0; i < count; i++) {
        items[i] = ((uint32_t)hashes[i] & 0x7FFFFFFFu) % partition_count;
    }
}

sh_rule sh_rule_kafka(const uint32_t *partition_count) {
    return (sh_rule){SH_HASH_MURMUR2, 0, finish_kafka, partition_count, sizeof(uint32_t)};
}

/* ---- DES ----------------------------------------------------------------------------------- */

/* FIPS 46-3. With a key of zeros all keys of the rounds are zeros too, so there are none here. */

/* The S-boxes as the standard prints them: a word is a row of 16 numbers of 4 bits. */
static const uint64_t S[8][4] = {
    {0xE4D12FB83A6C5907u, 0x0F74E2D1A6CB9538u, 0x41E8D62BFC973A50u, 0xFC8249175B3EA06Du},
    {0xF18E6B34972DC05Au, 0x3D47F28EC01A69B5u, 0x0E7BA4D158C6932Fu, 0xD8A13F42B67C05E9u},
    {0xA09E63F51DC7B428u, 0xD709346A285ECBF1u, 0xD6498F30B12C5AE7u, 0x1AD069874FE3B52Cu},
    {0x7DE3069A1285BC4Fu, 0xD8B56F03472C1AE9u, 0xA690CB7DF13E5284u, 0x3F06A1D8945BC72Eu},
    {0x2C417AB6853FD0E9u, 0xEB2C47D150FA3986u, 0x421BAD78F9C5630Eu, 0xB8C71E2D6F09A453u},
    {0xC1AF92680D34E75Bu, 0xAF427C9561DE0B38u, 0x9EF528C3704A1DB6u, 0x432C95FABE17608Du},
    {0x4B2EF08D3C975A61u, 0xD0B7491AE35C2F86u, 0x14BDC37EAF680592u, 0x6BD814A7950FE23Cu},
    {0xD2846FB1A93E50C7u, 0x1FD8A374C56B0E92u, 0x7B419CE206ADF358u, 0x21E74A8DFC90356Bu},
};

/* P[b][v]: the bits to which permutation P takes the output v of S-box b. P is linear. */
static const uint32_t P[8][16] = {
    {SH_XOR4(0u, 0x00800000u, 0x00008000u, 0x00000200u, 0x00000002u)},
    {SH_XOR4(0u, 0x00080000u, 0x00000010u, 0x40000000u, 0x00004000u)},
    {SH_XOR4(0u, 0x00000100u, 0x00010000u, 0x00000004u, 0x04000000u)},
    {SH_XOR4(0u, 0x00000040u, 0x00001000u, 0x00400000u, 0x80000000u)},
    {SH_XOR4(0u, 0x01000000u, 0x00040000u, 0x00000080u, 0x20000000u)},
    {SH_XOR4(0u, 0x10000000u, 0x00000008u, 0x00200000u, 0x00002000u)},
    {SH_XOR4(0u, 0x00000001u, 0x00100000u, 0x00000400u, 0x02000000u)},
    {SH_XOR4(0u, 0x08000000u, 0x00000020u, 0x00020000u, 0x00000800u)},
};

/* The cipher function of a round: expansion E (each box sees its four bits and their neighbours),
 * S-boxes (outer two bits are the row, inner four the column), P. */
static inline uint32_t mixed(uint32_t half) {
    uint32_t result = 0;
    for (int box = 0; box < 8; box++) {
        uint32_t six = sh_rotl32(half, (4 * box + 5) & 31) & 63;
        uint32_t row = (six >> 4 & 2) | (six & 1), column = six >> 1 & 15;
        result |= P[box][S[box][row] >> (60 - 4 * column) & 15];
    }
    return result;
}

/* Exchange the bits of `a` above `shift` with those of `b` that the mask shows. */
static inline void exchange(uint32_t *a, uint32_t *b, int shift, uint32_t mask) {
    uint32_t differing = (*a >> shift ^ *b) & mask;
    *b ^= differing;
    *a ^= differing << shift;
}

uint64_t sh_des_null(uint64_t block) {
    uint32_t left = (uint32_t)(block >> 32), right = (uint32_t)block;
    /* The initial permutation transposes 8 x 8 bits: exchanges of halves do it. */
    exchange(&left, &right, 4, 0x0F0F0F0Fu);
    exchange(&left, &right, 16, 0x0000FFFFu);
    exchange(&right, &left, 2, 0x33333333u);
    exchange(&right, &left, 8, 0x00FF00FFu);
    exchange(&left, &right, 1, 0x55555555u);
    for (int round = 0; round < 16; round++) {
        uint32_t next = left ^ mixed(right);
        left = right;
        right = next;
    }
    /* The halves change places, and the final permutation is the initial one undone. */
    exchange(&right, &left, 1, 0x55555555u);
    exchange(&left, &right, 8, 0x00FF00FFu);
    exchange(&left, &right, 2, 0x33333333u);
    exchange(&right, &left, 16, 0x0000FFFFu);
    exchange(&right, &left, 4, 0x0F0F0F0Fu);
    return (uint64_t)right << 32 | left;
}

void sh_keys_des_null(const sh_keys *values, uint64_t *out) {
    for (size_t i = 0; i < values->count; i++) {
        out[i] = sh_des_null(sh_keys_integer(values, i));
    }
}
