/* Every hash of one key, and of the same bytes cut into many keys. */
#include "fuzz.h"
#include "twins.h"
#include "ways.h"

static void check_one(const uint8_t *data, size_t size, uint64_t seed) {
    const sh_span key = {data, size};
    uint32_t words[4], expected[4];
    uint32_t crc32 = twin_crc32(data, size), murmur2 = twin_murmur2(data, size);
    uint16_t crc16 = twin_crc16(data, size);
    uint64_t xxh64 = twin_xxh64(data, size, seed);
    twin_md5(data, size, expected);
    sh_md5(data, size, words);
    MUST(memcmp(words, expected, sizeof words) == 0);
    MUST(sh_crc32(data, size) == crc32);
    MUST(sh_crc16(data, size) == crc16);
    MUST(sh_xxh64(data, size, seed) == xxh64);
    MUST(sh_murmur2(data, size) == murmur2);
    MUST(sh_hash_span(SH_HASH_CRC32, seed, key) == crc32);
    MUST(sh_hash_span(SH_HASH_CRC16, seed, key) == crc16);
    MUST(sh_hash_span(SH_HASH_XXH64, seed, key) == xxh64);
    MUST(sh_hash_span(SH_HASH_MURMUR2, seed, key) == murmur2);
    MUST(sh_hash_span(SH_HASH_MD5_KETAMA, seed, key) == expected[0]);
    MUST(sh_hash_span(SH_HASH_FNV_TWEMPROXY, seed, key) == twin_fnv_twemproxy(data, size));
    MUST(sh_hash_span(SH_HASH_REDIS, seed, key) == twin_redis(data, size));
}

#define CUTS 40 /* more than MD5 has lanes, twice over */

/* Cut keys out of what is left of the input, each a heap block of its own without a byte to spare,
 * or NULL if it is empty; `most` bounds their sizes. Free them. */
static size_t cut(fuzz_input *input, sh_span *spans) {
    size_t count = take_below(input, CUTS + 1), step = 1 + take_below(input, 80);
    size_t most = take_below(input, 120);
    for (size_t i = 0; i < count; i++) {
        size_t start = input->size > 0 ? i * step % (input->size + 1) : 0;
        size_t left = input->size - start < most ? input->size - start : most;
        size_t size = left > 0 ? (i * i + step) % (left + 1) : 0;
        uint8_t *block = size > 0 ? room(size) : NULL;
        if (size > 0) {
            memcpy(block, input->data + start, size);
        }
        spans[i] = (sh_span){block, size};
    }
    return count;
}

static void check_each_way(sh_hash hash, uint64_t seed, const sh_span *spans, size_t count,
                           const uint64_t *expected) {
    hash_way *ways[MOST_WAYS];
    size_t way_count = ways_of(hash, ways);
    for (size_t way = 0; way < way_count; way++) {
        uint64_t *hashes = room(count * sizeof *hashes);
        ways[way](spans, count, seed, hashes);
        MUST(count == 0 || memcmp(hashes, expected, count * sizeof *hashes) == 0);
        free(hashes);
    }
}

static void check_many(sh_hash hash, uint64_t seed, const sh_span *spans, size_t count) {
    uint64_t *hashes = room(count * sizeof *hashes);
    sh_hash_spans(hash, seed, spans, count, hashes);
    for (size_t i = 0; i < count; i++) {
        MUST(hashes[i] == twin_hash(hash, seed, spans[i].data, spans[i].size));
    }
    check_each_way(hash, seed, spans, count, hashes);
    sh_rule rule = sh_rule_hash(hash, seed);
    MUST(rule.item_size == twin_item_size(hash));
    void *items = room(count * rule.item_size);
    sh_spans_apply(&rule, spans, count, items);
    for (size_t i = 0; i < count; i++) {
        MUST(twin_item(items, rule.item_size, i) == hashes[i]);
    }
    free(items);
    free(hashes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    fuzz_input input = {data, size};
    sh_span spans[CUTS];
    uint64_t seed = take(&input, 8);
    sh_hash hash = take_hash(&input);
    check_one(input.data, input.size, seed);
    size_t count = cut(&input, spans);
    check_many(hash, seed, spans, count);
    for (size_t i = 0; i < count; i++) {
        free((void *)(uintptr_t)spans[i].data);
    }
    return 0;
}
