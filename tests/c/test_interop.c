/* Rules of others: known answers, every layout of integers, hash tags. */
#include "check.h"

static void test_jump_gives_known_owners(void) {
    CHECK(sh_jump(1, 1) == 0);
    CHECK(sh_jump(42, 57) == 43);
    CHECK(sh_jump(0xDEAD10CC, 666) == 361);
    CHECK(sh_jump(256, 1024) == 520);
    CHECK(sh_jump(1000000000000000000u, 100) == 43);
}

static void test_jump_stays_below_n_and_moves_only_to_the_newcomer(void) {
    uint64_t hash = 1;
    for (int i = 0; i < 2000; i++) {
        hash = hash * 6364136223846793005u + 1442695040888963407u;
        uint32_t owner = 0;
        for (uint32_t n = 1; n < 60; n++) {
            uint32_t next = sh_jump(hash, n);
            CHECK(next == owner || next == n - 1);
            owner = next;
        }
        CHECK(sh_jump(hash, 0x7FFFFFFF) < 0x7FFFFFFF);
    }
    CHECK(sh_jump(0, 0x7FFFFFFF) < 0x7FFFFFFF);
    CHECK(sh_jump(UINT64_MAX, 0x7FFFFFFF) < 0x7FFFFFFF);
}

static void test_des_gives_the_keyspace_ids_of_vitess(void) {
    CHECK(sh_des_null(1) == 0x166B40B44ABA4BD6);
    CHECK(sh_des_null(2) == 0x06E7EA22CE92708F);
    CHECK(sh_des_null(0) == 0x8CA64DE9C1B123A7); /* FIPS 81's and everybody's zero block */
}

static sh_keys batch(sh_layout layout, const void *items, size_t count) {
    return (sh_keys){.layout = layout, .count = count, .items = items};
}

static void test_integers_of_every_layout_are_read_without_alignment(void) {
    static const struct {
        sh_layout layout;
        size_t size;
        uint64_t ones; /* what an item of 0xFF bytes is */
    } layouts[] = {
        {SH_KEYS_I8, 1, UINT64_MAX},  {SH_KEYS_U8, 1, UINT8_MAX},
        {SH_KEYS_I16, 2, UINT64_MAX}, {SH_KEYS_U16, 2, UINT16_MAX},
        {SH_KEYS_I32, 4, UINT64_MAX}, {SH_KEYS_U32, 4, UINT32_MAX},
        {SH_KEYS_I64, 8, UINT64_MAX}, {SH_KEYS_U64, 8, UINT64_MAX},
    };
    for (size_t i = 0; i < sizeof layouts / sizeof *layouts; i++) {
        uint8_t bytes[1 + 2 * 8] = {0};
        memset(bytes + 1 + layouts[i].size, 0xFF, layouts[i].size);
        uint8_t *copy = exact_copy(bytes, 1 + 2 * layouts[i].size);
        sh_keys keys = batch(layouts[i].layout, copy + 1, 2);
        CHECK(sh_keys_integer(&keys, 0) == 0);
        CHECK(sh_keys_integer(&keys, 1) == layouts[i].ones);
        CHECK(sh_layout_is_signed(layouts[i].layout) ==
              (layouts[i].layout != SH_KEYS_U64 && layouts[i].ones == UINT64_MAX));

        uint64_t blocks[2];
        sh_keys_des_null(&keys, blocks);
        CHECK(blocks[1] == sh_des_null(layouts[i].ones));

        uint32_t owners[2];
        size_t bad = 9;
        sh_status status = sh_keys_jump(&keys, 100, owners, &bad);
        if (sh_layout_is_signed(layouts[i].layout)) {
            CHECK(status == SH_ERR_NEGATIVE && bad == 1);
        } else {
            CHECK(status == SH_OK && owners[1] == sh_jump(layouts[i].ones, 100));
        }
        free(copy);
    }
}

static uint64_t redis(const char *text) {
    return sh_hash_span(SH_HASH_REDIS, 0, span_of_text(text));
}

static void test_a_hash_tag_stands_for_its_key(void) {
    uint64_t b = sh_crc16((const uint8_t *)"b", 1);
    CHECK(redis("b") == b && redis("{b}") == b && redis("a{b}{c}") == b && redis("}{b}") == b);
    CHECK(redis("{b") != b && redis("{}{b}") != b && redis("b}") != b);
    CHECK(redis("foo") % 16384 == 12182);
    CHECK(redis("foo{}{bar}") % 16384 == 8363);
    CHECK(redis("foo{{bar}}zap") % 16384 == 4015);
    CHECK(redis("") == 0);
}

static void test_kafka_drops_the_sign(void) {
    uint32_t count = 12, out;
    sh_rule rule = sh_rule_kafka(&count);
    sh_span key = span_of_text("foobar");
    sh_spans_apply(&rule, &key, 1, &out);
    CHECK(out == 6);
    count = 0x7FFFFFFF;
    sh_spans_apply(&rule, &key, 1, &out);
    CHECK(out == ((uint32_t)-790332482 & 0x7FFFFFFF));
}

int main(void) {
    test_jump_gives_known_owners();
    test_jump_stays_below_n_and_moves_only_to_the_newcomer();
    test_des_gives_the_keyspace_ids_of_vitess();
    test_integers_of_every_layout_are_read_without_alignment();
    test_a_hash_tag_stands_for_its_key();
    test_kafka_drops_the_sign();
    return check_failures != 0;
}
