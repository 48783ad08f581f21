/* Decimal text of numbers, each also with some of its high bits cleared. */
#include "fuzz.h"
#include "twins.h"

static void check(uint64_t value) {
    uint8_t *text = room(SH_DECIMAL_SIZE);
    uint8_t expected[21];
    size_t size = twin_decimal(value, false, expected);
    MUST(sh_decimal_u64(value, text) == size);
    MUST(memcmp(text, expected, size) == 0);

    bool is_negative = value >> 63 != 0;
    int64_t as_signed;
    memcpy(&as_signed, &value, sizeof value);
    size = twin_decimal(is_negative ? ~value + 1 : value, is_negative, expected);
    MUST(sh_decimal_i64(as_signed, text) == size);
    MUST(memcmp(text, expected, size) == 0);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    fuzz_input input = {data, size};
    while (input.size > 0) {
        uint32_t cleared = take_below(&input, 64);
        uint64_t value = take(&input, 8);
        check(value);
        check(value >> cleared);
        check(0 - (value >> cleared));
    }
    return 0;
}
