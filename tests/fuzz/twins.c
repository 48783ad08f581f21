#include "twins.h"

#include <math.h>
#include <string.h>

/* ---- Hashes -------------------------------------------------------------------------------- */

uint32_t twin_crc32(const uint8_t *data, size_t size) {
    uint32_t crc = 0xFFFFFFFFu;
    for (size_t i = 0; i < size; i++) {
        crc ^= data[i];
        for (int bit = 0; bit < 8; bit++) {
            crc = (crc & 1) ? crc >> 1 ^ 0xEDB88320u : crc >> 1;
        }
    }
    return crc ^ 0xFFFFFFFFu;
}

uint16_t twin_crc16(const uint8_t *data, size_t size) {
    uint32_t crc = 0;
    for (size_t i = 0; i < size; i++) {
        crc ^= (uint32_t)data[i] << 8;
        for (int bit = 0; bit < 8; bit++) {
            crc = (crc & 0x8000u) ? crc << 1 ^ 0x11021u : crc << 1;
        }
    }
    return (uint16_t)crc;
}

/* Return `width` bytes as a little-endian number. */
static uint64_t number(const uint8_t *data, size_t width) {
    uint64_t value = 0;
    while (width > 0) {
        width--;
        value = value * 256 + data[width];
    }
    return value;
}

static uint64_t left64(uint64_t value, unsigned bits) {
    return value << bits | value >> (64 - bits);
}

static uint32_t left32(uint32_t value, unsigned bits) {
    return value << bits | value >> (32 - bits);
}

static const uint64_t PRIME[] = {0, 11400714785074694791u, 14029467366897019727u,
                                 1609587929392839161u, 9650029242287828579u,
                                 2870177450012600261u};

static uint64_t xxh_round(uint64_t lane, uint64_t input) {
    lane += input * PRIME[2];
    return left64(lane, 31) * PRIME[1];
}

/* Source: https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md, decimal primes and all */
uint64_t twin_xxh64(const uint8_t *data, size_t size, uint64_t seed) {
    uint64_t lanes[4] = {seed + PRIME[1] + PRIME[2], seed + PRIME[2], seed, seed - PRIME[1]};
    size_t at = 0;
    while (size - at >= 32) {
        for (size_t lane = 0; lane < 4; lane++, at += 8) {
            lanes[lane] = xxh_round(lanes[lane], number(data + at, 8));
        }
    }
    uint64_t acc = seed + PRIME[5];
    if (size >= 32) {
        acc = left64(lanes[0], 1) + left64(lanes[1], 7) + left64(lanes[2], 12) +
              left64(lanes[3], 18);
        for (size_t lane = 0; lane < 4; lane++) {
            acc ^= xxh_round(0, lanes[lane]);
            acc = acc * PRIME[1] + PRIME[4];
        }
    }
    acc += size;
    while (at < size) {
        if (size - at >= 8) {
            acc = left64(acc ^ xxh_round(0, number(data + at, 8)), 27) * PRIME[1] + PRIME[4];
            at += 8;
        } else if (size - at >= 4) {
            acc = left64(acc ^ number(data + at, 4) * PRIME[1], 23) * PRIME[2] + PRIME[3];
            at += 4;
        } else {
            acc = left64(acc ^ data[at] * PRIME[5], 11) * PRIME[1];
            at += 1;
        }
    }
    acc = (acc ^ acc >> 33) * PRIME[2];
    acc = (acc ^ acc >> 29) * PRIME[3];
    return acc ^ acc >> 32;
}

/* Source: org.apache.kafka.common.utils.Utils.murmur2 */
uint32_t twin_murmur2(const uint8_t *data, size_t size) {
    const uint32_t m = 1540483477u;
    uint32_t h = 2538058380u ^ (uint32_t)size;
    size_t words = size / 4, rest = size % 4;
    for (size_t i = 0; i < words; i++) {
        uint32_t k = (uint32_t)number(data + 4 * i, 4);
        k *= m;
        k ^= k >> 24;
        k *= m;
        h *= m;
        h ^= k;
    }
    if (rest > 0) {
        h ^= (uint32_t)number(data + 4 * words, rest);
        h *= m;
    }
    h ^= h >> 13;
    h *= m;
    h ^= h >> 15;
    return h;
}

/* The whole 64 bits of FNV-1a, with each byte taken as a signed char. */
uint32_t twin_fnv_twemproxy(const uint8_t *data, size_t size) {
    uint64_t hash = 14695981039346656037u;
    for (size_t i = 0; i < size; i++) {
        int64_t byte = data[i] < 128 ? data[i] : (int64_t)data[i] - 256;
        hash ^= (uint64_t)byte;
        hash *= 1099511628211u;
    }
    return (uint32_t)(hash & 0xFFFFFFFFu);
}

/* Byte `at` of the padded message of RFC 1321: the data, one bit, zeros, the size in bits. */
static uint8_t padded(const uint8_t *data, size_t size, size_t padded_size, size_t at) {
    if (at < size) {
        return data[at];
    }
    if (at == size) {
        return 0x80;
    }
    if (at >= padded_size - 8) {
        return (uint8_t)((uint64_t)size * 8 >> 8 * (at - (padded_size - 8)));
    }
    return 0;
}

static void md5_block(uint32_t state[4], const uint32_t words[16]) {
    static const unsigned shifts[4][4] = {
        {7, 12, 17, 22}, {5, 9, 14, 20}, {4, 11, 16, 23}, {6, 10, 15, 21}};
    static uint32_t sines[64];
    uint32_t a = state[0], b = state[1], c = state[2], d = state[3];
    for (unsigned i = 0; i < 64; i++) {
        uint32_t mixed, next = d;
        unsigned word;
        if (i < 16) {
            mixed = (b & c) | (~b & d);
            word = i;
        } else if (i < 32) {
            mixed = (d & b) | (~d & c);
            word = (5 * i + 1) % 16;
        } else if (i < 48) {
            mixed = b ^ c ^ d;
            word = (3 * i + 5) % 16;
        } else {
            mixed = c ^ (b | ~d);
            word = 7 * i % 16;
        }
        if (sines[i] == 0) {
            sines[i] = (uint32_t)(fabs(sin(i + 1.0)) * 4294967296.0);
        }
        mixed += a + sines[i] + words[word];
        d = c;
        c = b;
        b += left32(mixed, shifts[i / 16][i % 4]);
        a = next;
    }
    state[0] += a;
    state[1] += b;
    state[2] += c;
    state[3] += d;
}

void twin_md5(const uint8_t *data, size_t size, uint32_t words[4]) {
    static const uint32_t start[4] = {0x67452301u, 0xEFCDAB89u, 0x98BADCFEu, 0x10325476u};
    size_t padded_size = (size + 1 + 8 + 63) / 64 * 64;
    memcpy(words, start, sizeof start);
    for (size_t block = 0; block < padded_size; block += 64) {
        uint32_t message[16] = {0};
        for (size_t i = 0; i < 64; i++) {
            uint32_t byte = padded(data, size, padded_size, block + i);
            message[i / 4] |= byte << 8 * (i % 4);
        }
        md5_block(words, message);
    }
}

uint16_t twin_redis(const uint8_t *data, size_t size) {
    size_t open = 0, close;
    while (open < size && data[open] != '{') {
        open++;
    }
    for (close = open + 1; close < size; close++) {
        if (data[close] == '}') {
            size_t tag = close - open - 1;
            return tag > 0 ? twin_crc16(data + open + 1, tag) : twin_crc16(data, size);
        }
    }
    return twin_crc16(data, size);
}

uint64_t twin_hash(sh_hash hash, uint64_t seed, const uint8_t *data, size_t size) {
    uint32_t words[4];
    switch (hash) {
    case SH_HASH_CRC32:
        return twin_crc32(data, size);
    case SH_HASH_CRC16:
        return twin_crc16(data, size);
    case SH_HASH_XXH64:
        return twin_xxh64(data, size, seed);
    case SH_HASH_MURMUR2:
        return twin_murmur2(data, size);
    case SH_HASH_FNV_TWEMPROXY:
        return twin_fnv_twemproxy(data, size);
    case SH_HASH_REDIS:
        return twin_redis(data, size);
    case SH_HASH_MD5_KETAMA:
        break;
    }
    twin_md5(data, size, words);
    return words[0];
}

size_t twin_item_size(sh_hash hash) {
    return hash == SH_HASH_CRC16 || hash == SH_HASH_REDIS ? 2 : hash == SH_HASH_XXH64 ? 8 : 4;
}

uint64_t twin_item(const void *items, size_t item_size, size_t i) {
    const uint8_t *at = (const uint8_t *)items + i * item_size;
    uint16_t narrow;
    uint32_t middle;
    uint64_t wide;
    if (item_size == 2) {
        memcpy(&narrow, at, 2);
        return narrow;
    }
    if (item_size == 4) {
        memcpy(&middle, at, 4);
        return middle;
    }
    memcpy(&wide, at, 8);
    return wide;
}

/* ---- Decimal text -------------------------------------------------------------------------- */

size_t twin_decimal(uint64_t magnitude, bool is_negative, uint8_t text[21]) {
    uint8_t reversed[20];
    size_t digits = 0, size = 0;
    do {
        reversed[digits++] = (uint8_t)('0' + magnitude % 10);
        magnitude /= 10;
    } while (magnitude > 0);
    if (is_negative) {
        text[size++] = '-';
    }
    while (digits > 0) {
        text[size++] = reversed[--digits];
    }
    return size;
}

/* ---- Rings --------------------------------------------------------------------------------- */

int twin_compare(sh_span a, sh_span b) {
    for (size_t i = 0;; i++) {
        if (i == a.size || i == b.size) {
            return (i < a.size) - (i < b.size);
        }
        if (a.data[i] != b.data[i]) {
            return a.data[i] < b.data[i] ? -1 : 1;
        }
    }
}

void twin_sort(twin_point *points, size_t count, const sh_span *names) {
    for (size_t i = 1; i < count; i++) {
        twin_point point = points[i];
        size_t at = i;
        while (at > 0 && (points[at - 1].position > point.position ||
                          (points[at - 1].position == point.position &&
                           twin_compare(names[points[at - 1].owner], names[point.owner]) > 0))) {
            points[at] = points[at - 1];
            at--;
        }
        points[at] = point;
    }
}

size_t twin_first(const twin_point *points, size_t count, uint32_t position) {
    for (size_t i = 0; i < count; i++) {
        if (points[i].position >= position) {
            return i;
        }
    }
    return 0;
}

static uint32_t points_below(const sh_ring *ring, uint64_t position) {
    uint32_t below = 0;
    for (uint32_t i = 0; i < ring->point_count; i++) {
        below += ring->points[i] < position;
    }
    return below;
}

static bool is_ordered(const sh_ring *ring, const sh_node *nodes, uint32_t i) {
    if (ring->points[i] != ring->points[i + 1]) {
        return ring->points[i] < ring->points[i + 1];
    }
    return twin_compare(nodes[ring->owners[i]].name, nodes[ring->owners[i + 1]].name) <= 0;
}

static bool has_its_points(const sh_ring *ring, const sh_node *nodes, uint32_t node) {
    uint32_t found = 0;
    for (uint32_t i = 0; i < ring->point_count; i++) {
        found += ring->owners[i] == node;
    }
    return found == nodes[node].point_count;
}

bool twin_is_valid(const sh_ring *ring, const sh_node *nodes) {
    uint32_t n = ring->point_count;
    bool valid = ring->points[n] == UINT32_MAX && (n == 0 || ring->owners[n] == ring->owners[0]) &&
                 ring->index_shift == sh_ring_index_shift(n);
    for (uint32_t i = 0; i < n && valid; i++) {
        valid = ring->owners[i] < ring->node_count;
    }
    for (uint32_t i = 0; i + 1 < n && valid; i++) {
        valid = is_ordered(ring, nodes, i);
    }
    for (uint32_t node = 0; node < ring->node_count && valid; node++) {
        valid = has_its_points(ring, nodes, node);
    }
    for (size_t cell = 0; valid && cell < (size_t)1 << (32 - ring->index_shift); cell++) {
        valid = ring->index[cell] == points_below(ring, (uint64_t)cell << ring->index_shift);
    }
    return valid;
}
