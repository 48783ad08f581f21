/* MurmurHash2, 32 bits, little-endian, as Kafka's default partitioner uses it. */
#include "internal.h"

#define KAFKA_SEED 0x9747B28Cu
#define M 0x5BD1E995u

static inline uint32_t murmur2(const uint8_t *p, size_t size) {
    uint32_t h = KAFKA_SEED ^ (uint32_t)size;
    for (; size >= 4; p += 4, size -= 4) {
        uint32_t k = sh_load32(p) * M;
        h = h * M ^ (k ^ k >> 24) * M;
    }
    if (size > 0) {
        for (size_t i = 0; i < size; i++) {
            h ^= (uint32_t)p[i] << (8 * i);
        }
        h *= M;
    }
    h = (h ^ h >> 13) * M;
    return h ^ h >> 15;
}

uint32_t sh_murmur2(const uint8_t *data, size_t size) {
    return murmur2(data, size);
}

void sh_murmur2_spans(const sh_span *keys, size_t count, uint64_t *hashes) {
    for (size_t i = 0; i < count; i++) {
        hashes[i] = murmur2(keys[i].data, keys[i].size);
    }
}
