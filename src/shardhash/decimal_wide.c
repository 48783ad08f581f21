/* Decimal text of eight integers at a time. Each has a row of SH_TEXT_SIZE bytes and ends with it:
 * its digits are laid out as 24 with leading zeros, and the span of its key begins at the first
 * that counts, or at a sign before it. */
#include "internal.h"

#if SH_HAS_X86_TARGETS
#include "lanes.h"

#define E8 100000000u
#define ASCII_ZEROS 0x3030303030303030u

LANES_TARGET static inline __mmask8 is_negative(lanes values) {
    return _mm512_movepi64_mask((__m512i)values);
}

LANES_TARGET static inline __mmask8 is_not_zero(lanes values) {
    return _mm512_test_epi64_mask((__m512i)values, (__m512i)values);
}

/* Divide by 10^8, and return the quotient. In floating point it is wrong by one at most, whichever
 * way that is rounded. */
LANES_TARGET static inline lanes divide_by_e8(lanes values, lanes *remainder) {
    __m512d about = _mm512_mul_pd(_mm512_cvtepu64_pd((__m512i)values), _mm512_set1_pd(1e-8));
    lanes quotient = (lanes)_mm512_cvttpd_epu64(about);
    lanes rest = values - quotient * E8;
    __mmask8 is_too_large = is_negative(rest);
    quotient = choose(is_too_large, quotient - 1, quotient);
    rest = choose(is_too_large, rest + E8, rest);
    __mmask8 is_too_small = at_least(rest, E8);
    *remainder = choose(is_too_small, rest - E8, rest);
    return choose(is_too_small, quotient + 1, quotient);
}

/* `digits8` of decimal.c for eight values < 10^8. */
LANES_TARGET static inline lanes eight_digits(lanes values) {
    __m512i value = (__m512i)values;
    __m512i high = _mm512_srli_epi64(_mm512_mul_epu32(value, _mm512_set1_epi64(3518437209)), 45);
    __m512i low = _mm512_sub_epi64(value, _mm512_mul_epu32(high, _mm512_set1_epi64(10000)));
    __m512i fours = _mm512_or_si512(high, _mm512_slli_epi64(low, 32));
    high = _mm512_srli_epi32(_mm512_mulhi_epu16(fours, _mm512_set1_epi32(5243)), 3);
    low = _mm512_sub_epi32(fours, _mm512_mullo_epi16(high, _mm512_set1_epi32(100)));
    __m512i twos = _mm512_or_si512(high, _mm512_slli_epi32(low, 16));
    high = _mm512_mulhi_epu16(twos, _mm512_set1_epi16(6554));
    low = _mm512_sub_epi16(twos, _mm512_mullo_epi16(high, _mm512_set1_epi16(10)));
    return (lanes)_mm512_or_si512(high, _mm512_slli_epi16(low, 8));
}

/* Return how many of 24 digits, three words, are left without leading zeros; at least one. */
LANES_TARGET static inline lanes count_digits(const lanes words[3]) {
    __mmask8 has_first = is_not_zero(words[0]);
    __mmask8 has_second = is_not_zero(words[1]);
    lanes word = words[2] | (uint64_t)1 << 56; /* one zero of the value 0 is left */
    word = choose(has_first, words[0], choose(has_second, words[1], word));
    lanes most = choose(has_first, all(24), choose(has_second, all(16), all(8)));
    lanes lowest_bit = word & (0 - word);
    lanes zeros = (63 - (lanes)_mm512_lzcnt_epi64((__m512i)lowest_bit)) >> 3;
    return most - zeros;
}

/* Write the three words of each key to the end of its row. */
LANES_TARGET static inline void write_rows(const lanes words[3], uint8_t rows[8][SH_TEXT_SIZE]) {
    const __m512i two_rows = _mm512_set_epi64(11, 10, 3, 2, 9, 8, 1, 0);
    const __m512i two_more = _mm512_set_epi64(15, 14, 7, 6, 13, 12, 5, 4);
    for (int odd = 0; odd < 2; odd++) {
        __m512i first = (__m512i)words[0], second = (__m512i)words[1], third = (__m512i)words[2];
        /* Pairs of words of keys 0, 2, 4, 6 or 1, 3, 5, 7; the first of a row is not used. */
        __m512i starts = odd ? _mm512_unpackhi_epi64(first, first)
                             : _mm512_unpacklo_epi64(first, first);
        __m512i ends = odd ? _mm512_unpackhi_epi64(second, third)
                           : _mm512_unpacklo_epi64(second, third);
        __m512i low = _mm512_permutex2var_epi64(starts, two_rows, ends);
        __m512i high = _mm512_permutex2var_epi64(starts, two_more, ends);
        _mm256_storeu_si256((__m256i *)(void *)rows[odd], _mm512_castsi512_si256(low));
        _mm256_storeu_si256((__m256i *)(void *)rows[odd + 2], _mm512_extracti64x4_epi64(low, 1));
        _mm256_storeu_si256((__m256i *)(void *)rows[odd + 4], _mm512_castsi512_si256(high));
        _mm256_storeu_si256((__m256i *)(void *)rows[odd + 6], _mm512_extracti64x4_epi64(high, 1));
    }
}

/* Put a sign before the digits where the mask says so, and count it. */
static inline void add_signs(unsigned mask, uint8_t rows[8][SH_TEXT_SIZE], uint64_t sizes[8]) {
    for (unsigned i = 0; i < 8; i++) {
        if (mask >> i & 1) {
            sizes[i]++;
            rows[i][SH_TEXT_SIZE - sizes[i]] = '-';
        }
    }
}

LANES_TARGET static inline void write_eight(lanes values, __mmask8 is_below_zero,
                                      uint8_t rows[8][SH_TEXT_SIZE], sh_span spans[8]) {
    lanes words[3], remainder;
    lanes high = divide_by_e8(choose(is_below_zero, 0 - values, values), &remainder);
    words[2] = eight_digits(remainder);
    words[0] = all(0);
    if (at_least(high, E8) != 0) {
        words[0] = eight_digits(divide_by_e8(high, &high));
    }
    words[1] = eight_digits(high);
    uint64_t sizes[8];
    _mm512_storeu_si512(sizes, (__m512i)count_digits(words));
    for (int i = 0; i < 3; i++) {
        words[i] |= ASCII_ZEROS;
    }
    write_rows(words, rows);
    if (is_below_zero != 0) {
        add_signs(is_below_zero, rows, sizes);
    }
    for (size_t i = 0; i < 8; i++) {
        spans[i] = (sh_span){rows[i] + SH_TEXT_SIZE - sizes[i], (size_t)sizes[i]};
    }
}

LANES_TARGET void sh_decimal_spans_wide(const uint64_t *values, bool is_signed, size_t count,
                                  sh_texts *texts, sh_span *spans) {
    size_t i = 0;
    for (; count - i >= 8; i += 8) {
        lanes eight = (lanes)_mm512_loadu_si512(values + i);
        __mmask8 is_below_zero = is_signed ? is_negative(eight) : 0;
        write_eight(eight, is_below_zero, texts->text + i, spans + i);
    }
    for (; i < count; i++) {
        sh_decimal_span(values[i], is_signed, texts->text[i], &spans[i]);
    }
}
#endif
