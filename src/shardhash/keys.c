/* Batches of keys: find the key bytes of a block, hash them, finish them. */
#include "internal.h"

/* ---- Key bytes of a block ------------------------------------------------------------------ */

/* memcpy, because buffers of others need not be aligned. */
#define DEFINE_WIDEN(name, type)                                            \
    static void name(const uint8_t *items, size_t count, uint64_t *values) { \
        for (size_t i = 0; i < count; i++) {                                \
            type value;                                                     \
            memcpy(&value, items + i * sizeof value, sizeof value);         \
            values[i] = (uint64_t)value;                                    \
        }                                                                   \
    }

DEFINE_WIDEN(widen_i8, int8_t)
DEFINE_WIDEN(widen_u8, uint8_t)
DEFINE_WIDEN(widen_i16, int16_t)
DEFINE_WIDEN(widen_u16, uint16_t)
DEFINE_WIDEN(widen_i32, int32_t)
DEFINE_WIDEN(widen_u32, uint32_t)

/* Write items [start, start + count) of a batch of integers as 64 bits each. */
static void widen(const sh_keys *keys, size_t start, size_t count, uint64_t *values) {
    const uint8_t *items = keys->items;
    switch (keys->layout) {
    case SH_KEYS_I8:
        widen_i8(items + start, count, values);
        break;
    case SH_KEYS_U8:
        widen_u8(items + start, count, values);
        break;
    case SH_KEYS_I16:
        widen_i16(items + start * 2, count, values);
        break;
    case SH_KEYS_U16:
        widen_u16(items + start * 2, count, values);
        break;
    case SH_KEYS_I32:
        widen_i32(items + start * 4, count, values);
        break;
    case SH_KEYS_U32:
        widen_u32(items + start * 4, count, values);
        break;
    default:
        memcpy(values, items + start * 8, count * sizeof *values);
        break;
    }
}

static void integer_spans(const sh_keys *keys, size_t start, size_t count, sh_texts *texts,
                          sh_span *spans) {
    uint64_t values[SH_BLOCK];
    widen(keys, start, count, values);
    sh_decimal_spans(values, sh_layout_is_signed(keys->layout), count, texts, spans);
}

static sh_status offset_span(const uint8_t *bytes, int64_t start, int64_t end, sh_span *span) {
    if (start < 0 || end < start || (bytes == NULL && end > start)) {
        return SH_ERR_OFFSETS;
    }
    if ((uint64_t)(end - start) > SH_KEY_SIZE_MAX) {
        return SH_ERR_KEY_SIZE;
    }
    *span = (sh_span){bytes == NULL ? NULL : bytes + start, (size_t)(end - start)};
    return SH_OK;
}

#define DEFINE_OFFSET_SPANS(name, type)                                                   \
    static sh_status name(const sh_keys *keys, size_t start, size_t count, sh_span *spans, \
                          size_t *bad) {                                                  \
        const uint8_t *offsets = (const uint8_t *)keys->items + start * sizeof(type);     \
        for (size_t i = 0; i < count; i++) {                                              \
            type pair[2];                                                                 \
            memcpy(pair, offsets + i * sizeof(type), sizeof pair);                        \
            sh_status status = offset_span(keys->bytes, pair[0], pair[1], &spans[i]);     \
            if (status != SH_OK) {                                                        \
                *bad = start + i;                                                         \
                return status;                                                            \
            }                                                                             \
        }                                                                                 \
        return SH_OK;                                                                     \
    }

DEFINE_OFFSET_SPANS(offsets32_spans, int32_t)
DEFINE_OFFSET_SPANS(offsets64_spans, int64_t)

/* An Arrow view is int32 size, then up to 12 bytes of key, or 4 bytes of prefix, int32 number of
 * the buffer, int32 offset in it.
 * Source: https://arrow.apache.org/docs/format/Columnar.html#variable-size-binary-view-layout */
static sh_status view_span(const sh_keys *keys, const uint8_t *view, sh_span *span) {
    int32_t size, buffer, offset;
    memcpy(&size, view, sizeof size);
    if (size < 0) {
        return SH_ERR_VIEW;
    }
    if (size <= 12) {
        *span = (sh_span){view + 4, (size_t)size};
        return SH_OK;
    }
    memcpy(&buffer, view + 8, sizeof buffer);
    memcpy(&offset, view + 12, sizeof offset);
    if (buffer < 0 || (size_t)buffer >= keys->buffer_count || offset < 0) {
        return SH_ERR_VIEW;
    }
    int64_t buffer_size;
    memcpy(&buffer_size, &keys->buffer_sizes[buffer], sizeof buffer_size);
    if ((int64_t)offset + size > buffer_size || keys->buffers[buffer] == NULL) {
        return SH_ERR_VIEW;
    }
    *span = (sh_span){(const uint8_t *)keys->buffers[buffer] + offset, (size_t)size};
    return SH_OK;
}

static sh_status views_spans(const sh_keys *keys, size_t start, size_t count, sh_span *spans,
                             size_t *bad) {
    const uint8_t *views = (const uint8_t *)keys->items + start * 16;
    for (size_t i = 0; i < count; i++) {
        sh_status status = view_span(keys, views + i * 16, &spans[i]);
        if (status != SH_OK) {
            *bad = start + i;
            return status;
        }
    }
    return SH_OK;
}

sh_status sh_keys_spans(const sh_keys *keys, size_t start, size_t count, sh_texts *texts,
                        sh_span *spans, size_t *bad) {
    switch (keys->layout) {
    case SH_KEYS_OFFSETS32:
        return offsets32_spans(keys, start, count, spans, bad);
    case SH_KEYS_OFFSETS64:
        return offsets64_spans(keys, start, count, spans, bad);
    case SH_KEYS_VIEWS:
        return views_spans(keys, start, count, spans, bad);
    default:
        integer_spans(keys, start, count, texts, spans);
        return SH_OK;
    }
}

size_t sh_first_null(const uint8_t *bitmap, size_t offset, size_t count) {
    for (size_t i = 0; i < count; i++) {
        size_t bit = offset + i;
        if (bit % 8 == 0 && count - i >= 8 && bitmap[bit / 8] == 0xFF) {
            i += 7;
        } else if ((bitmap[bit / 8] >> bit % 8 & 1) == 0) {
            return i;
        }
    }
    return count;
}

/* ---- Integers ------------------------------------------------------------------------------ */

bool sh_layout_is_signed(sh_layout layout) {
    return layout == SH_KEYS_I8 || layout == SH_KEYS_I16 || layout == SH_KEYS_I32 ||
           layout == SH_KEYS_I64;
}

/* memcpy, because buffers of others need not be aligned. */
#define RETURN_ITEM(type)                                                              \
    {                                                                                  \
        type value;                                                                    \
        memcpy(&value, (const uint8_t *)keys->items + i * sizeof value, sizeof value); \
        return (uint64_t)value;                                                        \
    }

uint64_t sh_keys_integer(const sh_keys *keys, size_t i) {
    switch (keys->layout) {
    case SH_KEYS_I8:
        RETURN_ITEM(int8_t)
    case SH_KEYS_U8:
        RETURN_ITEM(uint8_t)
    case SH_KEYS_I16:
        RETURN_ITEM(int16_t)
    case SH_KEYS_U16:
        RETURN_ITEM(uint16_t)
    case SH_KEYS_I32:
        RETURN_ITEM(int32_t)
    case SH_KEYS_U32:
        RETURN_ITEM(uint32_t)
    case SH_KEYS_I64:
        RETURN_ITEM(int64_t)
    default:
        RETURN_ITEM(uint64_t)
    }
}

/* ---- Hash and finish ----------------------------------------------------------------------- */

uint64_t sh_hash_span(sh_hash hash, uint64_t seed, sh_span key) {
    uint64_t value;
    switch (hash) {
    case SH_HASH_CRC32:
        return sh_crc32(key.data, key.size);
    case SH_HASH_CRC16:
        return sh_crc16(key.data, key.size);
    case SH_HASH_XXH64:
        return sh_xxh64(key.data, key.size, seed);
    case SH_HASH_MURMUR2:
        return sh_murmur2(key.data, key.size);
    case SH_HASH_FNV_TWEMPROXY:
        sh_fnv_twemproxy_spans(&key, 1, &value);
        return value;
    case SH_HASH_REDIS:
        sh_redis_spans(&key, 1, &value);
        return value;
    case SH_HASH_MD5_KETAMA:
        break;
    }
    sh_md5_ketama_spans(&key, 1, &value);
    return value;
}

void sh_hash_spans(sh_hash hash, uint64_t seed, const sh_span *keys, size_t count,
                   uint64_t *hashes) {
    switch (hash) {
    case SH_HASH_CRC32:
        sh_crc32_spans(keys, count, hashes);
        break;
    case SH_HASH_CRC16:
        sh_crc16_spans(keys, count, hashes);
        break;
    case SH_HASH_XXH64:
        sh_xxh64_spans(keys, count, seed, hashes);
        break;
    case SH_HASH_MURMUR2:
        sh_murmur2_spans(keys, count, hashes);
        break;
    case SH_HASH_MD5_KETAMA:
        sh_md5_ketama_spans(keys, count, hashes);
        break;
    case SH_HASH_FNV_TWEMPROXY:
        sh_fnv_twemproxy_spans(keys, count, hashes);
        break;
    case SH_HASH_REDIS:
        sh_redis_spans(keys, count, hashes);
        break;
    }
}

static void finish_u16(const void *table, const uint64_t *hashes, size_t count, void *out) {
    uint16_t *items = out;
    (void)table;
    for (size_t i = 0; i < count; i++) {
        items[i] = (uint16_t)hashes[i];
    }
}

static void finish_u32(const void *table, const uint64_t *hashes, size_t count, void *out) {
    uint32_t *items = out;
    (void)table;
    for (size_t i = 0; i < count; i++) {
        items[i] = (uint32_t)hashes[i];
    }
}

static void finish_u64(const void *table, const uint64_t *hashes, size_t count, void *out) {
    (void)table;
    memcpy(out, hashes, count * sizeof *hashes);
}

sh_rule sh_rule_hash(sh_hash hash, uint64_t seed) {
    switch (hash) {
    case SH_HASH_CRC16:
    case SH_HASH_REDIS:
        return (sh_rule){hash, seed, finish_u16, NULL, sizeof(uint16_t)};
    case SH_HASH_XXH64:
        return (sh_rule){hash, seed, finish_u64, NULL, sizeof(uint64_t)};
    case SH_HASH_CRC32:
    case SH_HASH_MURMUR2:
    case SH_HASH_MD5_KETAMA:
    case SH_HASH_FNV_TWEMPROXY:
        break;
    }
    return (sh_rule){hash, seed, finish_u32, NULL, sizeof(uint32_t)};
}

static size_t smaller(size_t a, size_t b) {
    return a < b ? a : b;
}

void sh_spans_apply(const sh_rule *rule, const sh_span *spans, size_t count, void *out) {
    uint64_t hashes[SH_BLOCK];
    for (size_t start = 0; start < count; start += SH_BLOCK) {
        size_t size = smaller(SH_BLOCK, count - start);
        sh_hash_spans(rule->hash, rule->seed, spans + start, size, hashes);
        rule->finish(rule->table, hashes, size, (uint8_t *)out + start * rule->item_size);
    }
}

sh_status sh_keys_apply(const sh_rule *rule, const sh_keys *keys, void *out, size_t *bad) {
    sh_texts texts;
    sh_span spans[SH_BLOCK];
    for (size_t start = 0; start < keys->count; start += SH_BLOCK) {
        size_t size = smaller(SH_BLOCK, keys->count - start);
        sh_status status = sh_keys_spans(keys, start, size, &texts, spans, bad);
        if (status != SH_OK) {
            return status;
        }
        sh_spans_apply(rule, spans, size, (uint8_t *)out + start * rule->item_size);
    }
    return SH_OK;
}
