/* Batches of every layout, honest and lying, and validity bitmaps. */
#include "fuzz.h"
#include "twins.h"

#define MOST_KEYS 600 /* more than two blocks */
#define MOST_BUFFERS 3

/* A batch, and what the twin knows about it and the core does not. The items before `skipped` are
 * zeros, which lets a short input say something about keys of the second block. */
typedef struct fuzz_batch {
    sh_keys keys;
    size_t width;      /* bytes of an item */
    uint8_t *items;    /* heap, at the offset `shift`: not aligned */
    size_t shift;
    size_t skipped;
    uint8_t *data;     /* heap: what offsets and views refer to; NULL if there is nothing */
    size_t data_size;
    const void *buffers[MOST_BUFFERS];
    int64_t buffer_sizes[MOST_BUFFERS];
} fuzz_batch;

static size_t item_width(sh_layout layout) {
    static const size_t widths[] = {1, 1, 2, 2, 4, 4, 8, 8, 4, 8, 16};
    return widths[layout];
}

/* ---- The twin ------------------------------------------------------------------------------ */

static int64_t signed_item(const uint8_t *at, size_t width) {
    uint64_t value = 0;
    memcpy(&value, at, width); /* the harness runs on little-endian machines */
    if (width < 8 && value >> (8 * width - 1)) {
        value -= (uint64_t)1 << 8 * width;
    }
    int64_t result;
    memcpy(&result, &value, sizeof value);
    return result;
}

static sh_status twin_offsets(const fuzz_batch *batch, size_t i, sh_span *key) {
    const uint8_t *at = batch->items + batch->shift + i * batch->width;
    int64_t start = signed_item(at, batch->width);
    int64_t end = signed_item(at + batch->width, batch->width);
    if (start < 0 || start > end || (start < end && batch->keys.bytes == NULL)) {
        return SH_ERR_OFFSETS;
    }
    if (end - start > 0x7FFFFFFF) {
        return SH_ERR_KEY_SIZE;
    }
    key->size = (size_t)(end - start);
    key->data = key->size > 0 ? batch->keys.bytes + start : NULL;
    return SH_OK;
}

static sh_status twin_view(const fuzz_batch *batch, size_t i, sh_span *key) {
    const uint8_t *at = batch->items + batch->shift + i * 16;
    int64_t size = signed_item(at, 4);
    int64_t buffer = signed_item(at + 8, 4), start = signed_item(at + 12, 4);
    if (size >= 0 && size <= 12) {
        *key = (sh_span){at + 4, (size_t)size};
        return SH_OK;
    }
    if (size < 0 || buffer < 0 || buffer >= (int64_t)batch->keys.buffer_count || start < 0 ||
        batch->buffers[buffer] == NULL || start + size > batch->buffer_sizes[buffer]) {
        return SH_ERR_VIEW;
    }
    *key = (sh_span){(const uint8_t *)batch->buffers[buffer] + start, (size_t)size};
    return SH_OK;
}

static sh_status twin_key(const fuzz_batch *batch, size_t i, uint8_t text[21], sh_span *key) {
    sh_layout layout = batch->keys.layout;
    if (layout == SH_KEYS_VIEWS) {
        return twin_view(batch, i, key);
    }
    if (layout == SH_KEYS_OFFSETS32 || layout == SH_KEYS_OFFSETS64) {
        return twin_offsets(batch, i, key);
    }
    const uint8_t *at = batch->items + batch->shift + i * batch->width;
    bool is_signed = layout == SH_KEYS_I8 || layout == SH_KEYS_I16 || layout == SH_KEYS_I32 ||
                     layout == SH_KEYS_I64;
    int64_t value = signed_item(at, batch->width);
    uint64_t magnitude = 0;
    memcpy(&magnitude, at, batch->width);
    bool is_negative = is_signed && value < 0;
    *key = (sh_span){text, twin_decimal(is_negative ? 0 - (uint64_t)value : magnitude, is_negative,
                                        text)};
    return SH_OK;
}

/* ---- The case ------------------------------------------------------------------------------ */

/* Return an offset that is mostly honest: at or after the last one, inside the data. No offset
 * leads out of the data, which the core cannot check, except to end a key that is refused. */
static int64_t take_offset(fuzz_input *input, int64_t last, size_t data_size) {
    uint32_t step = take_below(input, 256);
    if (step == 255) {
        static const int64_t lies[] = {-1,        INT64_MIN, INT64_MAX,
                                       INT32_MAX, INT32_MIN, (int64_t)INT32_MAX + 1};
        return lies[take_below(input, 6)];
    }
    if (step == 254) {
        return last > 0 ? last - 1 : 0;
    }
    int64_t left = (int64_t)data_size - last;
    return left > 0 ? last + step % (left + 1) : last;
}

/* Past a key that ends outside the data nothing may begin there: the core would read it. */
static bool leads_outside(int64_t start, int64_t end, size_t data_size) {
    bool is_refused = start < 0 || end < start || end - start > 0x7FFFFFFF;
    return !is_refused && end > (int64_t)data_size && end > start;
}

static void make_offsets(fuzz_input *input, fuzz_batch *batch) {
    int64_t last = 0, previous = 0;
    for (size_t i = batch->skipped; i <= batch->keys.count; i++) {
        int64_t offset = take_offset(input, last, batch->data_size);
        if (batch->width == 4) {
            offset = (int32_t)(offset & 0x7FFFFFFF) | (offset < 0 ? INT32_MIN : 0);
        }
        if (i > 0 && batch->data != NULL && leads_outside(previous, offset, batch->data_size)) {
            offset = previous;
        }
        memcpy(batch->items + batch->shift + i * batch->width, &offset, batch->width);
        previous = offset;
        last = offset >= 0 && offset <= (int64_t)batch->data_size ? offset : 0;
    }
    batch->keys.bytes = batch->data;
}

static void make_views(fuzz_input *input, fuzz_batch *batch) {
    for (size_t i = 0; i < MOST_BUFFERS; i++) {
        size_t start = take_below(input, 8) % (batch->data_size + 1);
        size_t size = batch->data_size - start;
        size -= take_below(input, 8) % (size + 1);
        bool is_missing = take_below(input, 16) == 0 || batch->data == NULL;
        batch->buffers[i] = is_missing ? NULL : batch->data + start;
        batch->buffer_sizes[i] = take_below(input, 64) == 0 ? -1 : (int64_t)size;
    }
    batch->keys.buffers = batch->buffers;
    batch->keys.buffer_sizes = batch->buffer_sizes;
    batch->keys.buffer_count = take_below(input, MOST_BUFFERS + 1);
    for (size_t i = batch->skipped; i < batch->keys.count; i++) {
        int32_t view[4] = {(int32_t)take_below(input, 40), 0, 0, 0};
        view[2] = (int32_t)take_below(input, 4);
        view[3] = (int32_t)take_below(input, 64);
        uint32_t lie = take_below(input, 64);
        if (lie < 4) {
            view[lie] = -(int32_t)(1 + take(input, 2));
        } else if (lie == 4) {
            view[0] = INT32_MAX;
            view[3] = INT32_MAX;
        }
        memcpy(batch->items + batch->shift + 16 * i, view, 16);
    }
}

static void make_integers(fuzz_input *input, fuzz_batch *batch) {
    for (size_t i = batch->skipped; i < batch->keys.count; i++) {
        uint64_t value = take(input, batch->width);
        if (batch->width == 8) {
            value >>= value % 64 & take_below(input, 64);
        }
        memcpy(batch->items + batch->shift + i * batch->width, &value, batch->width);
    }
}

static void make_batch(fuzz_input *input, fuzz_batch *batch) {
    memset(batch, 0, sizeof *batch);
    batch->keys.layout = (sh_layout)take_below(input, SH_KEYS_VIEWS + 1);
    batch->keys.count = take(input, 2) % (MOST_KEYS + 1);
    if (batch->keys.count > 16 && take_below(input, 32) != 0) {
        batch->keys.count %= 16;
    } else {
        batch->skipped = take(input, 2) % (batch->keys.count + 1);
    }
    batch->width = item_width(batch->keys.layout);
    batch->shift = take_below(input, 8);
    sh_span data = take_span(input, take_below(input, 64));
    if (data.size > 0) {
        batch->data_size = data.size;
        batch->data = room(data.size);
        memcpy(batch->data, data.data, data.size);
    }
    bool has_ends = batch->keys.layout == SH_KEYS_OFFSETS32 ||
                    batch->keys.layout == SH_KEYS_OFFSETS64;
    size_t item_count = batch->keys.count + has_ends;
    batch->items = room(batch->shift + item_count * batch->width);
    memset(batch->items, 0, batch->shift + item_count * batch->width);
    batch->keys.items = batch->items + batch->shift;
    if (has_ends) {
        make_offsets(input, batch);
    } else if (batch->keys.layout == SH_KEYS_VIEWS) {
        make_views(input, batch);
    } else {
        make_integers(input, batch);
    }
}

/* ---- The comparison ------------------------------------------------------------------------ */

/* Return what the twin says of the whole batch: the status of its first bad key. */
static sh_status twin_status(const fuzz_batch *batch, size_t *bad) {
    for (size_t i = 0; i < batch->keys.count; i++) {
        uint8_t text[21];
        sh_span key = {NULL, 0};
        sh_status status = twin_key(batch, i, text, &key);
        if (status != SH_OK) {
            *bad = i;
            return status;
        }
    }
    return SH_OK;
}

static void check_spans(const fuzz_batch *batch, size_t start, size_t count) {
    sh_texts texts;
    sh_span *spans = room(count * sizeof *spans);
    size_t bad = 0;
    MUST(sh_keys_spans(&batch->keys, start, count, &texts, spans, &bad) == SH_OK);
    for (size_t i = 0; i < count; i++) {
        uint8_t text[21];
        sh_span key = {NULL, 0};
        twin_key(batch, start + i, text, &key);
        MUST(spans[i].size == key.size);
        MUST(key.size == 0 || memcmp(spans[i].data, key.data, key.size) == 0);
    }
    free(spans);
}

static void check_apply(const fuzz_batch *batch, sh_hash hash, uint64_t seed) {
    sh_rule rule = sh_rule_hash(hash, seed);
    void *out = room(batch->keys.count * rule.item_size);
    size_t bad = SIZE_MAX, expected_bad = SIZE_MAX;
    sh_status expected = twin_status(batch, &expected_bad);
    MUST(sh_keys_apply(&rule, &batch->keys, out, &bad) == expected);
    MUST(bad == expected_bad);
    for (size_t i = 0; expected == SH_OK && i < batch->keys.count; i++) {
        uint8_t text[21];
        sh_span key = {NULL, 0};
        twin_key(batch, i, text, &key);
        uint64_t item = twin_hash(hash, seed, key.data, key.size);
        MUST(twin_item(out, rule.item_size, i) == item);
    }
    for (size_t start = 0; expected == SH_OK && start < batch->keys.count; start += SH_BLOCK - 1) {
        size_t left = batch->keys.count - start;
        check_spans(batch, start, left < SH_BLOCK ? left : SH_BLOCK);
    }
    free(out);
}

static void check_nulls(fuzz_input *input) {
    size_t offset = take_below(input, 20);
    bool has_nulls = take_below(input, 2) != 0;
    size_t bits = input->size * 8, count = bits > offset ? bits - offset : 0, first = 0;
    uint8_t *bitmap = room(input->size);
    memcpy(bitmap, input->data, has_nulls ? input->size : 0);
    if (!has_nulls) {
        memset(bitmap, 0xFF, input->size);
    }
    while (first < count && (bitmap[(offset + first) / 8] & 1u << (offset + first) % 8) != 0) {
        first++;
    }
    MUST(sh_first_null(bitmap, offset, count) == first);
    free(bitmap);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    fuzz_input input = {data, size};
    fuzz_batch batch;
    sh_hash hash = take_hash(&input);
    uint64_t seed = take_below(&input, 2) ? take(&input, 8) : 0;
    make_batch(&input, &batch);
    check_apply(&batch, hash, seed);
    free(batch.items);
    free(batch.data);
    if (input.size > 0) {
        check_nulls(&input);
    }
    return 0;
}
