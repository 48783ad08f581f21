/* Rules of others: jump hash, DES and Kafka's partitions of integers and keys of every kind. */
#include "fuzz.h"
#include "twins.h"

#define MOST_ITEMS 64

static uint32_t twin_jump(uint64_t hash, uint32_t n) {
    double owner = 0, next = 0;
    while (next < n) {
        owner = next;
        hash = hash * 2862933555777941757u + 1;
        next = (owner + 1) * (2147483648.0 / (double)((hash >> 33) + 1));
        next -= next - (double)(uint64_t)next; /* the whole part */
    }
    return (uint32_t)owner;
}

static uint32_t take_count(fuzz_input *input) {
    uint32_t bits = take_below(input, 31);
    uint32_t n = (uint32_t)take(input, 4) & 0x7FFFFFFFu;
    n >>= bits;
    return n > 0 ? n : 1;
}

static void check_number(uint64_t number, uint32_t n) {
    uint32_t owner = sh_jump(number, n);
    MUST(owner < n && owner == twin_jump(number, n));
    if (n < 0x7FFFFFFF) {
        uint32_t after = sh_jump(number, n + 1);
        MUST(after == owner || after == n);
    }
    MUST(sh_des_null(number) == twin_des(number));
}

/* Return item i of `width` bytes; the harness runs on little-endian machines. */
static uint64_t twin_integer(const uint8_t *items, size_t width, bool is_signed, size_t i) {
    uint64_t value = 0;
    memcpy(&value, items + i * width, width);
    bool is_negative = is_signed && value >> (8 * width - 1) & 1;
    return is_negative && width < 8 ? value - ((uint64_t)1 << 8 * width) : value;
}

static void check_integers(fuzz_input *input, uint32_t n) {
    sh_layout layout = (sh_layout)take_below(input, SH_KEYS_U64 + 1);
    bool is_signed = layout % 2 == SH_KEYS_I8 % 2;
    size_t width = (size_t)1 << layout / 2, shift = take_below(input, 8);
    size_t left = input->size / width, count = left < MOST_ITEMS ? left : MOST_ITEMS;
    uint8_t *items = room(shift + count * width);
    if (count > 0) {
        memcpy(items + shift, input->data, count * width);
    }
    sh_keys keys = {.layout = layout, .count = count, .items = items + shift};
    uint32_t *owners = room(count * sizeof *owners);
    uint64_t *blocks = room(count * sizeof *blocks);
    size_t bad = SIZE_MAX;
    sh_status status = sh_keys_jump(&keys, n, owners, &bad);
    sh_keys_des_null(&keys, blocks);
    MUST(sh_layout_is_signed(layout) == is_signed);
    MUST((status == SH_OK) == (bad == SIZE_MAX));
    for (size_t i = 0; i < count; i++) {
        uint64_t value = twin_integer(items + shift, width, is_signed, i);
        bool is_negative = is_signed && value >> 63;
        MUST(sh_keys_integer(&keys, i) == value);
        MUST(blocks[i] == twin_des(value));
        MUST(i >= bad || !is_negative);
        MUST(i != bad || (is_negative && status == SH_ERR_NEGATIVE));
        MUST(i >= bad || owners[i] == twin_jump(value, n));
    }
    free(items);
    free(owners);
    free(blocks);
}

static void check_kafka(sh_span key, uint32_t n) {
    sh_rule rule = sh_rule_kafka(&n);
    uint32_t partition;
    MUST(rule.item_size == sizeof partition);
    sh_spans_apply(&rule, &key, 1, &partition);
    MUST(partition == twin_murmur2(key.data, key.size) % 0x80000000u % n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    fuzz_input input = {data, size};
    uint32_t n = take_count(&input);
    check_number(take(&input, 8), n);
    check_kafka((sh_span){input.data, input.size}, n);
    check_integers(&input, n);
    return 0;
}
