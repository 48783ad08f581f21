/* Decimal text against printf. */
#include "check.h"

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

int main(void) {
    test_ends_of_the_types();
    test_around_every_power_of_ten();
    test_all_small_numbers();
    test_numbers_of_every_size();
    return check_failures != 0;
}
