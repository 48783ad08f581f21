/* Decimal text of integers, eight digits at a time in one register. */
#include "internal.h"

#define E8 100000000u

/* Return the eight digits of value < 10^8, most significant in the lowest byte.
 *
 * Each step splits all groups at once: one of 8 digits into two of 4 (32 bits each), four of 2
 * (16 bits), eight of 1 (8 bits). x / 100 is x * 5243 >> 19 for x < 10^4, and x / 10 is
 * x * 103 >> 10 for x < 100. */
static inline uint64_t digits8(uint32_t value) {
    uint64_t fours = value / 10000u | (uint64_t)(value % 10000u) << 32;
    uint64_t hundreds = (fours * 5243u) >> 19 & 0x0000007F0000007Fu;
    uint64_t twos = hundreds | (fours - hundreds * 100u) << 16;
    uint64_t tens = (twos * 103u) >> 10 & 0x000F000F000F000Fu;
    return tens | (twos - tens * 10u) << 8;
}

#define ASCII_ZEROS 0x3030303030303030u

/* Write value < 10^8 without leading zeros; return the number of digits. Writes 8 bytes. */
static inline size_t head(uint32_t value, uint8_t *text) {
    uint64_t digits = digits8(value);
    /* The mark in the last digit keeps one zero of the value 0. */
    unsigned zeros = sh_low_zero_bytes(digits | 0x0100000000000000u);
    sh_store64(text, (digits | ASCII_ZEROS) >> (8 * zeros));
    return 8 - zeros;
}

/* Write value < 10^8 as eight digits. */
static inline void tail(uint32_t value, uint8_t *text) {
    sh_store64(text, digits8(value) | ASCII_ZEROS);
}

size_t sh_decimal_u64(uint64_t value, uint8_t *text) {
    if (value < E8) {
        return head((uint32_t)value, text);
    }
    uint64_t high = value / E8;
    size_t size;
    if (high < E8) {
        size = head((uint32_t)high, text);
    } else {
        size = head((uint32_t)(high / E8), text);
        tail((uint32_t)(high % E8), text + size);
        size += 8;
    }
    tail((uint32_t)(value % E8), text + size);
    return size + 8;
}

size_t sh_decimal_i64(int64_t value, uint8_t *text) {
    if (value >= 0) {
        return sh_decimal_u64((uint64_t)value, text);
    }
    text[0] = '-';
    return 1 + sh_decimal_u64(0u - (uint64_t)value, text + 1);
}

void sh_decimal_spans_narrow(const uint64_t *values, bool is_signed, size_t count,
                             sh_texts *texts, sh_span *spans) {
    for (size_t i = 0; i < count; i++) {
        sh_decimal_span(values[i], is_signed, texts->text[i], &spans[i]);
    }
}

void sh_decimal_spans(const uint64_t *values, bool is_signed, size_t count, sh_texts *texts,
                      sh_span *spans) {
#if SH_HAS_X86_TARGETS
    if (sh_cpu_is_wide()) {
        sh_decimal_spans_wide(values, is_signed, count, texts, spans);
        return;
    }
#endif
    sh_decimal_spans_narrow(values, is_signed, count, texts, spans);
}
