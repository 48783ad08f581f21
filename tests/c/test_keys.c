/* Batches of keys: every layout, every refusal. */
#include "check.h"

#define COUNT 600 /* more than two blocks */

static const sh_hash HASH = SH_HASH_XXH64;

static uint64_t text_hash(const char *text) {
    return sh_hash_span(HASH, 0, span_of_text(text));
}

static sh_status apply(const sh_keys *keys, uint64_t *out, size_t *bad) {
    sh_rule rule = sh_rule_hash(HASH, 0);
    return sh_keys_apply(&rule, keys, out, bad);
}

/* Store integer `value` as item i of an array of the layout. */
static void store(sh_layout layout, uint8_t *items, size_t width, size_t i, int64_t value) {
    int8_t i8 = (int8_t)value;
    int16_t i16 = (int16_t)value;
    int32_t i32 = (int32_t)value;
    const void *from = &value;
    if (layout == SH_KEYS_I8 || layout == SH_KEYS_U8) {
        from = &i8;
    } else if (layout == SH_KEYS_I16 || layout == SH_KEYS_U16) {
        from = &i16;
    } else if (layout == SH_KEYS_I32 || layout == SH_KEYS_U32) {
        from = &i32;
    }
    memcpy(items + i * width, from, width);
}

static void test_integers_hash_as_their_text_even_unaligned(void) {
    static const struct {
        sh_layout layout;
        size_t width;
        int64_t value;
        const char *text;
    } cases[] = {
        {SH_KEYS_I8, 1, INT8_MIN, "-128"},
        {SH_KEYS_U8, 1, -1, "255"},
        {SH_KEYS_I16, 2, INT16_MIN, "-32768"},
        {SH_KEYS_U16, 2, -1, "65535"},
        {SH_KEYS_I32, 4, INT32_MIN, "-2147483648"},
        {SH_KEYS_U32, 4, -1, "4294967295"},
        {SH_KEYS_I64, 8, INT64_MIN, "-9223372036854775808"},
        {SH_KEYS_U64, 8, -1, "18446744073709551615"},
    };
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        uint8_t *memory = calloc(1 + COUNT * cases[c].width, 1);
        uint8_t *items = memory + 1;
        uint64_t out[COUNT];
        size_t bad = 0;
        store(cases[c].layout, items, cases[c].width, COUNT - 1, cases[c].value);
        sh_keys keys = {.layout = cases[c].layout, .count = COUNT, .items = items};
        CHECK(apply(&keys, out, &bad) == SH_OK);
        CHECK(out[0] == text_hash("0"));
        CHECK(out[COUNT - 1] == text_hash(cases[c].text));
        free(memory);
    }
}

static void test_offsets_cut_keys_out_of_the_data(void) {
    const int32_t offsets32[] = {1, 1, 4, 6};
    const int64_t offsets64[] = {1, 1, 4, 6};
    const uint8_t *bytes = (const uint8_t *)"xabcde";
    sh_keys keys[] = {
        {.layout = SH_KEYS_OFFSETS32, .count = 3, .items = offsets32, .bytes = bytes},
        {.layout = SH_KEYS_OFFSETS64, .count = 3, .items = offsets64, .bytes = bytes},
    };
    for (size_t i = 0; i < 2; i++) {
        uint64_t out[3];
        size_t bad = 0;
        CHECK(apply(&keys[i], out, &bad) == SH_OK);
        CHECK(out[0] == text_hash(""));
        CHECK(out[1] == text_hash("abc"));
        CHECK(out[2] == text_hash("de"));
    }
}

static void test_empty_keys_need_no_data(void) {
    const int32_t offsets[] = {0, 0, 0};
    sh_keys keys = {.layout = SH_KEYS_OFFSETS32, .count = 2, .items = offsets};
    uint64_t out[2];
    size_t bad = 0;
    CHECK(apply(&keys, out, &bad) == SH_OK);
    CHECK(out[1] == text_hash(""));
}

static void check_offsets_refused(int64_t first, int64_t second, const uint8_t *bytes,
                                  sh_status expected) {
    int64_t offsets[COUNT + 1] = {0};
    offsets[COUNT - 1] = first;
    offsets[COUNT] = second;
    sh_keys keys = {
        .layout = SH_KEYS_OFFSETS64, .count = COUNT, .items = offsets, .bytes = bytes};
    uint64_t out[COUNT];
    size_t bad = 0;
    CHECK(apply(&keys, out, &bad) == expected);
    CHECK(bad == (first < 0 ? COUNT - 2 : COUNT - 1));
}

static void test_offsets_that_lie_are_refused(void) {
    const uint8_t *bytes = (const uint8_t *)"abc";
    check_offsets_refused(0, -1, bytes, SH_ERR_OFFSETS);
    check_offsets_refused(-5, 0, bytes, SH_ERR_OFFSETS);
    check_offsets_refused(0, 1, NULL, SH_ERR_OFFSETS);
    check_offsets_refused(0, INT64_MIN, bytes, SH_ERR_OFFSETS);
    check_offsets_refused(0, (int64_t)SH_KEY_SIZE_MAX + 1, bytes, SH_ERR_KEY_SIZE);
    check_offsets_refused(0, INT64_MAX, bytes, SH_ERR_KEY_SIZE);
}

static void make_view(uint8_t view[16], int32_t size, int32_t buffer, int32_t offset) {
    memset(view, 0, 16);
    memcpy(view, &size, 4);
    memcpy(view + 8, &buffer, 4);
    memcpy(view + 12, &offset, 4);
}

static void test_views_are_inline_or_in_a_buffer(void) {
    uint8_t views[2][16];
    uint64_t out[2];
    size_t bad = 0;
    uint8_t *buffer = exact_copy("__thirteen bytes", 16);
    const void *buffers[] = {NULL, buffer};
    const int64_t sizes[] = {0, 16};
    make_view(views[0], 12, 0, 0);
    memcpy(views[0] + 4, "twelve bytes", 12);
    make_view(views[1], 14, 1, 2);
    sh_keys keys = {.layout = SH_KEYS_VIEWS, .count = 2, .items = views, .buffers = buffers,
                    .buffer_sizes = sizes, .buffer_count = 2};
    CHECK(apply(&keys, out, &bad) == SH_OK);
    CHECK(out[0] == text_hash("twelve bytes"));
    CHECK(out[1] == text_hash("thirteen bytes"));
    free(buffer);
}

static void test_views_that_lie_are_refused(void) {
    static const struct {
        int32_t size, buffer, offset;
    } cases[] = {{-1, 0, 0},  {INT32_MIN, 0, 0}, {16, 0, 1},          {17, 0, 0},
                 {13, -1, 0}, {13, 2, 0},        {13, 0, -1},         {13, INT32_MAX, 0},
                 {13, 1, 0},  {13, 0, INT32_MAX}, {INT32_MAX, 0, 0}};
    const void *buffers[] = {"sixteen bytes...", NULL};
    const int64_t sizes[] = {16, 16};
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        uint8_t views[2][16];
        uint64_t out[2];
        size_t bad = 0;
        make_view(views[0], 16, 0, 0);
        make_view(views[1], cases[c].size, cases[c].buffer, cases[c].offset);
        sh_keys keys = {.layout = SH_KEYS_VIEWS, .count = 2, .items = views, .buffers = buffers,
                        .buffer_sizes = sizes, .buffer_count = 2};
        CHECK(apply(&keys, out, &bad) == SH_ERR_VIEW);
        CHECK(bad == 1);
    }
}

static void test_no_keys_write_nothing(void) {
    sh_keys keys = {.layout = SH_KEYS_I64, .count = 0};
    size_t bad = 0;
    CHECK(apply(&keys, NULL, &bad) == SH_OK);
}

static void test_results_have_the_width_of_their_hash(void) {
    sh_span key = span_of_text("123456789");
    uint16_t narrow[2] = {0, 7};
    uint32_t middle[2] = {0, 7};
    sh_rule crc16 = sh_rule_hash(SH_HASH_CRC16, 0), crc32 = sh_rule_hash(SH_HASH_CRC32, 0);
    sh_spans_apply(&crc16, &key, 1, narrow);
    sh_spans_apply(&crc32, &key, 1, middle);
    CHECK(narrow[0] == 0x31C3 && narrow[1] == 7);
    CHECK(middle[0] == 0xCBF43926 && middle[1] == 7);
}

static void test_first_null_is_found_from_any_offset(void) {
    for (size_t offset = 0; offset < 20; offset++) {
        for (size_t count = 0; count < 40; count++) {
            uint8_t bits[8];
            memset(bits, 0, sizeof bits);
            for (size_t i = 0; i < count; i++) {
                bits[(offset + i) / 8] |= (uint8_t)(1u << (offset + i) % 8);
            }
            uint8_t *exact = exact_copy(bits, (offset + count + 7) / 8);
            CHECK(sh_first_null(exact, offset, count) == count);
            for (size_t i = 0; i < count; i++) {
                uint8_t bit = (uint8_t)(1u << (offset + i) % 8);
                exact[(offset + i) / 8] ^= bit;
                CHECK(sh_first_null(exact, offset, count) == i);
                exact[(offset + i) / 8] ^= bit;
            }
            free(exact);
        }
    }
}

int main(void) {
    test_integers_hash_as_their_text_even_unaligned();
    test_offsets_cut_keys_out_of_the_data();
    test_empty_keys_need_no_data();
    test_offsets_that_lie_are_refused();
    test_views_are_inline_or_in_a_buffer();
    test_views_that_lie_are_refused();
    test_no_keys_write_nothing();
    test_results_have_the_width_of_their_hash();
    test_first_null_is_found_from_any_offset();
    return check_failures != 0;
}
