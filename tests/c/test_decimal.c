/* Decimal text against printf, of one number and of many. */
#include <fenv.h>

#include "check.h"
#include "ways.h"

static void check_u64(uint64_t value) {
    uint8_t *text = exact_copy("????????????????????????", SH_DECIMAL_SIZE);
    char expected[32];
    int size = snprintf(expected, sizeof expected, "%" PRIu64, value);
    CHECK(sh_decimal_u64(value, text) == (size_t)size);
    CHECK(memcmp(text, expected, (size_t)size) == 0);
    free(text);
}

static void check_i64(int64_t value) {
    uint8_t *text = exact_copy("????????????????????????", SH_DECIMAL_SIZE);
    char expected[32];
    int size = snprintf(expected, sizeof expected, "%" PRId64, value);
    CHECK(sh_decimal_i64(value, text) == (size_t)size);
    CHECK(memcmp(text, expected, (size_t)size) == 0);
    free(text);
}

static void test_ends_of_the_types(void) {
    check_u64(0);
    check_u64(UINT64_MAX);
    check_i64(0);
    check_i64(INT64_MIN);
    check_i64(INT64_MAX);
    check_i64(-1);
}

static void test_around_every_power_of_ten(void) {
    uint64_t power = 1;
    for (int digits = 1; digits <= 20; digits++) {
        for (uint64_t near = 0; near < 3; near++) {
            check_u64(power - 1 + near);
            check_i64((int64_t)(power - 1 + near));
            check_i64(-(int64_t)((power - 1 + near) & INT64_MAX));
        }
        power *= digits < 20 ? 10 : 1;
    }
}

static void test_all_small_numbers(void) {
    for (int64_t value = -70000; value <= 70000; value++) {
        check_i64(value);
    }
}

static void test_numbers_of_every_size(void) {
    uint64_t state = 88172645463325252u;
    for (int i = 0; i < 200000; i++) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        check_u64(state >> i % 64);
        check_i64((int64_t)state >> i % 64);
    }
}

/* Check the texts of `count` <= SH_BLOCK numbers, in memory without a byte to spare. */
static void check_many(const uint64_t *values, bool is_signed, size_t count) {
    texts_way *ways[MOST_WAYS];
    size_t way_count = ways_of_texts(ways);
    uint64_t *copy = exact_copy(values, count * sizeof *values);
    sh_texts *texts = malloc(sizeof *texts);
    sh_span *spans = malloc(count > 0 ? count * sizeof *spans : 1);
    for (size_t way = 0; way < way_count; way++) {
        ways[way](copy, is_signed, count, texts, spans);
        for (size_t i = 0; i < count; i++) {
            char expected[32];
            int size = is_signed
                           ? snprintf(expected, sizeof expected, "%" PRId64, (int64_t)values[i])
                           : snprintf(expected, sizeof expected, "%" PRIu64, values[i]);
            CHECK(spans[i].size == (size_t)size);
            CHECK(memcmp(spans[i].data, expected, (size_t)size) == 0);
            CHECK(spans[i].data >= texts->text[i]);
            CHECK(spans[i].data + size <= texts->text[i] + SH_TEXT_SIZE);
        }
    }
    free(spans);
    free(texts);
    free(copy);
}

static void test_many_of_every_count(void) {
    uint64_t values[SH_BLOCK], state = 1;
    for (size_t count = 0; count <= SH_BLOCK; count++) {
        for (size_t i = 0; i < count; i++) {
            state = state * 6364136223846793005u + 1442695040888963407u;
            values[i] = state >> (i * 7 + count) % 64;
        }
        check_many(values, false, count);
        check_many(values, true, count);
    }
}

/* Where a quotient by 10^8 or 10^16 steps up, and one in floating point may be a step off. */
static void check_many_around_multiples(void) {
    uint64_t state = 1;
    for (int round = 0; round < 500; round++) {
        uint64_t values[48];
        for (size_t i = 0; i < 48; i++) {
            state = state * 6364136223846793005u + 1442695040888963407u;
            uint64_t unit = i % 2 == 0 ? 100000000u : 10000000000000000u;
            values[i] = (state >> i) / unit * unit + i % 3 - 1;
        }
        check_many(values, false, 48);
        check_many(values, true, 48);
    }
}

static void test_many_around_multiples_whichever_way_is_rounded(void) {
    const int modes[] = {FE_DOWNWARD, FE_UPWARD, FE_TOWARDZERO, FE_TONEAREST};
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        CHECK(fesetround(modes[i]) == 0);
        check_many_around_multiples();
    }
}

static void test_many_of_one_digit_more_than_two_words(void) {
    uint64_t values[8];
    for (size_t i = 0; i < 8; i++) {
        values[i] = 10000000000000000u + i;
    }
    check_many(values, true, 8);
}

static void test_many_at_the_ends(void) {
    uint64_t values[] = {0, UINT64_MAX, UINT64_MAX - 1, (uint64_t)INT64_MAX, (uint64_t)INT64_MIN,
                         1, 9, 10, 99999999, 100000000, 9999999999999999, 10000000000000000,
                         9999999999999999999u, 10000000000000000000u, (uint64_t)-9, (uint64_t)-10};
    check_many(values, false, sizeof values / sizeof *values);
    check_many(values, true, sizeof values / sizeof *values);
}

int main(void) {
    test_ends_of_the_types();
    test_around_every_power_of_ten();
    test_all_small_numbers();
    test_numbers_of_every_size();
    test_many_of_every_count();
    test_many_around_multiples_whichever_way_is_rounded();
    test_many_of_one_digit_more_than_two_words();
    test_many_at_the_ends();
    return check_failures != 0;
}
