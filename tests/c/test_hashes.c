/* Known answers, and twins that compute bit by bit. */
#include "check.h"
#include "ways.h"

#define LAST_HASH SH_HASH_REDIS

static uint64_t hash_text(sh_hash hash, const char *text) {
    return sh_hash_span(hash, 0, span_of_text(text));
}

static void test_known_answers(void) {
    CHECK(hash_text(SH_HASH_CRC32, "") == 0);
    CHECK(hash_text(SH_HASH_CRC32, "123456789") == 0xCBF43926);
    CHECK(hash_text(SH_HASH_CRC32, "k137_KlD") == 536870912);
    CHECK(hash_text(SH_HASH_CRC32, "k712mD6O") == 1073741824);
    CHECK(hash_text(SH_HASH_CRC32, "k421W3Cd") == 2147483648);
    CHECK(hash_text(SH_HASH_CRC32, "k18bHE8") == 0);
    CHECK(hash_text(SH_HASH_CRC16, "123456789") == 0x31C3);
    CHECK(hash_text(SH_HASH_CRC16, "foo") % 16384 == 12182);
    CHECK(hash_text(SH_HASH_XXH64, "") == 0xEF46DB3751D8E999);
    CHECK(hash_text(SH_HASH_XXH64, "test1") == 0x0B8F97D6E4B71AD0);
    CHECK(hash_text(SH_HASH_XXH64, "1") == 0xB7B41276360564D4);
    CHECK(hash_text(SH_HASH_MURMUR2, "foobar") == (uint32_t)-790332482);
    CHECK(hash_text(SH_HASH_MD5_KETAMA, "test") == 3446378249);
    CHECK(hash_text(SH_HASH_MD5_KETAMA, "2") == 2373066440);
    CHECK(hash_text(SH_HASH_MD5_KETAMA, "hello") == 708854109);
    CHECK(hash_text(SH_HASH_FNV_TWEMPROXY, "") == 0x84222325);
    CHECK(hash_text(SH_HASH_FNV_TWEMPROXY, "a") == 0x8601EC8C); /* of FNV-1a's af63dc4c8601ec8c */
}

/* RFC 1321, section A.5. */
static void test_md5_suite(void) {
    static const struct {
        const char *text;
        uint32_t words[4];
    } suite[] = {
        {"", {0xD98C1DD4, 0x04B2008F, 0x980980E9, 0x7E42F8EC}},
        {"abc", {0x98500190, 0xB04FD23C, 0x7D3F96D6, 0x727FE128}},
        {"12345678901234567890123456789012345678901234567890123456789012345678901234567890",
         {0xA2F4ED57, 0x55C9E32B, 0x2EDA49AC, 0x7AB60721}},
    };
    for (size_t i = 0; i < sizeof suite / sizeof *suite; i++) {
        uint32_t words[4];
        sh_md5((const uint8_t *)suite[i].text, strlen(suite[i].text), words);
        CHECK(memcmp(words, suite[i].words, sizeof words) == 0);
    }
}

static void test_ketama_takes_the_first_word_of_md5(void) {
    uint8_t data[130];
    for (size_t size = 0; size <= sizeof data; size++) {
        uint32_t words[4];
        if (size > 0) {
            data[size - 1] = (uint8_t)(91 * size + 200);
        }
        sh_md5(data, size, words);
        CHECK(sh_hash_span(SH_HASH_MD5_KETAMA, 0, (sh_span){data, size}) == words[0]);
    }
}

static uint32_t slow_crc32(const uint8_t *data, size_t size) {
    uint32_t crc = 0xFFFFFFFFu;
    for (size_t i = 0; i < size; i++) {
        crc ^= data[i];
        for (int bit = 0; bit < 8; bit++) {
            crc = crc >> 1 ^ (crc & 1 ? 0xEDB88320u : 0);
        }
    }
    return ~crc;
}

static uint32_t slow_crc16(const uint8_t *data, size_t size) {
    uint32_t crc = 0;
    for (size_t i = 0; i < size; i++) {
        crc ^= (uint32_t)data[i] << 8;
        for (int bit = 0; bit < 8; bit++) {
            crc = (crc << 1 ^ (crc & 0x8000 ? 0x1021u : 0)) & 0xFFFF;
        }
    }
    return crc;
}

/* Every entry of every table is met: one byte in each place of a block of eight, all values. */
static void test_crcs_equal_the_bitwise_twin(void) {
    for (size_t size = 0; size <= 40; size++) {
        for (size_t place = 0; place < size; place++) {
            for (unsigned value = 0; value < 256; value++) {
                uint8_t data[40] = {0};
                data[place] = (uint8_t)value;
                CHECK(sh_crc32(data, size) == slow_crc32(data, size));
                CHECK(sh_crc16(data, size) == slow_crc16(data, size));
            }
        }
    }
}

/* CRC-32 is linear in the bits of a key of one size: the zero key and those with one bit are all. */
static void test_every_way_of_crc32_equals_the_bitwise_twin(void) {
    hash_way *ways[MOST_WAYS];
    size_t way_count = ways_of(SH_HASH_CRC32, ways);
    for (size_t size = 0; size <= 80; size++) {
        for (size_t bit = 0; bit <= 8 * size; bit++) {
            uint8_t data[80] = {0};
            if (bit < 8 * size) {
                data[bit / 8] = (uint8_t)(1 << bit % 8);
            }
            const sh_span key = {data, size}, keys[4] = {key, key, key, key};
            for (size_t way = 0; way < way_count; way++) {
                uint64_t hashes[4];
                ways[way](keys, 4, 0, hashes);
                for (size_t i = 0; i < 4; i++) {
                    CHECK(hashes[i] == slow_crc32(data, size));
                }
            }
        }
    }
}

static void test_hashes_read_no_byte_beyond_the_key(void) {
    uint8_t bytes[200];
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = (uint8_t)(37 * i + 11);
    }
    for (size_t size = 0; size <= sizeof bytes; size++) {
        uint8_t *copy = exact_copy(bytes, size);
        sh_span inside = {bytes, size}, alone = {copy, size};
        for (int hash = SH_HASH_CRC32; hash <= LAST_HASH; hash++) {
            CHECK(sh_hash_span((sh_hash)hash, 7, inside) == sh_hash_span((sh_hash)hash, 7, alone));
        }
        free(copy);
    }
}

static void test_an_empty_key_needs_no_data(void) {
    sh_span none = {NULL, 0};
    for (int hash = SH_HASH_CRC32; hash <= LAST_HASH; hash++) {
        CHECK(sh_hash_span((sh_hash)hash, 3, none) ==
              sh_hash_span((sh_hash)hash, 3, span_of_text("")));
    }
}

static void test_spans_equal_single_keys(void) {
    sh_span keys[] = {span_of_text(""), span_of_text("a"), span_of_text("user:123456")};
    for (int hash = SH_HASH_CRC32; hash <= LAST_HASH; hash++) {
        uint64_t hashes[3];
        sh_hash_spans((sh_hash)hash, 5, keys, 3, hashes);
        for (size_t i = 0; i < 3; i++) {
            CHECK(hashes[i] == sh_hash_span((sh_hash)hash, 5, keys[i]));
        }
    }
}

#define MANY 150

static void check_many_by_each_way(sh_hash hash, const sh_span *keys, size_t count,
                                   const uint64_t *expected) {
    hash_way *ways[MOST_WAYS];
    size_t way_count = ways_of(hash, ways);
    for (size_t way = 0; way < way_count; way++) {
        uint64_t hashes[MANY];
        ways[way](keys, count, 5, hashes);
        CHECK(memcmp(hashes, expected, count * sizeof *hashes) == 0);
    }
}

/* Runs of short keys of all lengths, long ones among them, each batch a little shorter. */
static void test_many_keys_equal_single_keys(void) {
    uint8_t bytes[MANY];
    sh_span keys[MANY];
    for (size_t i = 0; i < MANY; i++) {
        bytes[i] = (uint8_t)(29 * i + 5);
    }
    for (size_t i = 0; i < MANY; i++) {
        size_t size = i < 75 ? i : i < 120 ? 7 * i % 57 : 61 * i % MANY;
        keys[i] = (sh_span){exact_copy(bytes, size), size};
    }
    for (int hash = SH_HASH_CRC32; hash <= LAST_HASH; hash++) {
        for (size_t start = 0; start < MANY; start++) {
            uint64_t hashes[MANY];
            size_t count = MANY - start;
            sh_hash_spans((sh_hash)hash, 5, keys + start, count, hashes);
            for (size_t i = 0; i < count; i++) {
                CHECK(hashes[i] == sh_hash_span((sh_hash)hash, 5, keys[start + i]));
            }
            check_many_by_each_way((sh_hash)hash, keys + start, count, hashes);
        }
    }
    for (size_t i = 0; i < MANY; i++) {
        free((void *)(uintptr_t)keys[i].data);
    }
}

int main(void) {
    test_known_answers();
    test_md5_suite();
    test_ketama_takes_the_first_word_of_md5();
    test_crcs_equal_the_bitwise_twin();
    test_every_way_of_crc32_equals_the_bitwise_twin();
    test_hashes_read_no_byte_beyond_the_key();
    test_an_empty_key_needs_no_data();
    test_spans_equal_single_keys();
    test_many_keys_equal_single_keys();
    return check_failures != 0;
}
