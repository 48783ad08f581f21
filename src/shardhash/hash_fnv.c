/* FNV-1a as twemproxy computes it. */
#include "internal.h"

#define START 0x84222325u
#define PRIME 0x000001B3u

/* The low halves of the 64-bit start and prime give the low half of the 64-bit hash. A byte counts
 * as signed char, so those from 0x80 on also flip the bits above them. */
static inline uint32_t fnv_twemproxy(const uint8_t *p, size_t size) {
    uint32_t h = START;
    for (size_t i = 0; i < size; i++) {
        uint32_t byte = p[i] < 0x80 ? p[i] : p[i] | 0xFFFFFF00u;
        h = (h ^ byte) * PRIME;
    }
    return h;
}

void sh_fnv_twemproxy_spans(const sh_span *keys, size_t count, uint64_t *hashes) {
    for (size_t i = 0; i < count; i++) {
        hashes[i] = fnv_twemproxy(keys[i].data, keys[i].size);
    }
}
