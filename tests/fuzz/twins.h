/* The slow twins: each rule in the plainest words, sharing no code with the core. */
#ifndef SHARDHASH_TWINS_H
#define SHARDHASH_TWINS_H

#include "shardhash.h"

uint32_t twin_crc32(const uint8_t *data, size_t size);
uint16_t twin_crc16(const uint8_t *data, size_t size);
uint64_t twin_xxh64(const uint8_t *data, size_t size, uint64_t seed);
uint32_t twin_murmur2(const uint8_t *data, size_t size);
uint32_t twin_fnv_twemproxy(const uint8_t *data, size_t size);
uint16_t twin_redis(const uint8_t *data, size_t size);
void twin_md5(const uint8_t *data, size_t size, uint32_t words[4]);

/* Return a block encrypted by DES with a key of zeros. */
uint64_t twin_des(uint64_t block);

/* Return the hash of `size` bytes as sh_hash_span does. */
uint64_t twin_hash(sh_hash hash, uint64_t seed, const uint8_t *data, size_t size);

/* Return the bytes of one result of a hash, and read result i of an array of them. */
size_t twin_item_size(sh_hash hash);
uint64_t twin_item(const void *items, size_t item_size, size_t i);

/* Write the decimal text of a number, digit after digit, to text[0 .. 20], and return its size. */
size_t twin_decimal(uint64_t magnitude, bool is_negative, uint8_t text[21]);

/* Return less than 0, 0 or more as name a comes before, is, or comes after name b in bytes. */
int twin_compare(sh_span a, sh_span b);

/* A point of a ring whose node has a name. */
typedef struct twin_point {
    uint32_t position;
    uint16_t owner;
} twin_point;

/* Sort points by position, then by the names of their owners; equal ones stay as they are. */
void twin_sort(twin_point *points, size_t count, const sh_span *names);

/* Return the index of the first point at or after a position, or 0 if there is none; count > 0. */
size_t twin_first(const twin_point *points, size_t count, uint32_t position);

/* Return whether the ring keeps the invariants that shardhash.h lists, nodes as they are in
 * sh_ring_validate. */
bool twin_is_valid(const sh_ring *ring, const sh_node *nodes);

#endif
