/* Decimal text of numbers, each also with some of its high bits cleared, one by one and together. */
#include "fuzz.h"
#include "twins.h"
#include "ways.h"

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

#define MOST_NUMBERS 24

static void check_many(const uint64_t *values, bool is_signed, size_t count) {
    texts_way *ways[MOST_WAYS];
    size_t way_count = ways_of_texts(ways);
    sh_texts *texts = room(sizeof *texts);
    sh_span *spans = room(count * sizeof *spans);
    for (size_t way = 0; way < way_count; way++) {
        ways[way](values, is_signed, count, texts, spans);
        for (size_t i = 0; i < count; i++) {
            uint8_t expected[21];
            bool is_negative = is_signed && values[i] >> 63 != 0;
            size_t size = twin_decimal(is_negative ? ~values[i] + 1 : values[i], is_negative,
                                       expected);
            MUST(spans[i].size == size && memcmp(spans[i].data, expected, size) == 0);
        }
    }
    free(spans);
    free(texts);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    fuzz_input input = {data, size};
    uint64_t values[MOST_NUMBERS];
    size_t count = 0;
    while (input.size > 0 && count + 4 <= MOST_NUMBERS) {
        uint32_t cleared = take_below(&input, 64);
        uint64_t value = take(&input, 8), multiple = value / 100000000 * 100000000;
        values[count++] = value;
        values[count++] = value >> cleared;
        values[count++] = 0 - (value >> cleared);
        values[count++] = multiple - cleared % 2;
    }
    for (size_t i = 0; i < count; i++) {
        check(values[i]);
    }
    check_many(values, false, count);
    check_many(values, true, count);
    return 0;
}
