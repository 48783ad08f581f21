/* Rows of a server's answer, in the client protocol of MySQL and MariaDB. */
#include "internal.h"

enum {
    HEADER_SIZE = 4,
    LARGEST_PACKET = 0xFFFFFF, /* one of this size goes on in the next */
    LARGEST_EOF = 8,
    NULL_FIELD = 0xFB,
    SIZE_OF_2 = 0xFC,
    SIZE_OF_3 = 0xFD,
    SIZE_OF_8 = 0xFE,
    ERROR_MARK = 0xFF,
    DIGITS_MAX = 18 /* any number of so many fits into 64 bits */
};

static uint64_t little_endian(const uint8_t *data, size_t size) {
    uint64_t value = 0;
    for (size_t i = size; i-- > 0;) {
        value = value << 8 | data[i];
    }
    return value;
}

/* Read one field at `*data` and step past it; false if it does not end before `end`. */
static bool read_field(const uint8_t **data, const uint8_t *end, sh_span *field) {
    const uint8_t *place = *data;
    if (place == end) {
        return false;
    }
    uint64_t size = *place++;
    if (size == NULL_FIELD) {
        *field = (sh_span){NULL, 0};
        *data = place;
        return true;
    }
    if (size > NULL_FIELD) {
        size_t width = size == SIZE_OF_2 ? 2 : size == SIZE_OF_3 ? 3 : 8;
        if (size == ERROR_MARK || (size_t)(end - place) < width) {
            return false;
        }
        size = little_endian(place, width);
        place += width;
    }
    if (size > (uint64_t)(end - place)) {
        return false;
    }
    *field = (sh_span){place, (size_t)size};
    *data = place + size;
    return true;
}

sh_packet sh_row_read(sh_span data, uint8_t sequence, size_t field_count, sh_span *fields,
                      size_t *packet_size) {
    if (data.size < HEADER_SIZE) {
        return SH_PACKET_CUT;
    }
    size_t size = (size_t)little_endian(data.data, 3);
    if (size == 0 || size == LARGEST_PACKET || data.data[3] != sequence) {
        return SH_PACKET_OTHER;
    }
    if (data.size - HEADER_SIZE < size) {
        return SH_PACKET_CUT;
    }
    const uint8_t *place = data.data + HEADER_SIZE, *end = place + size;
    if (*place == ERROR_MARK || (*place == SIZE_OF_8 && size <= LARGEST_EOF)) {
        return SH_PACKET_OTHER;
    }
    for (size_t i = 0; i < field_count; i++) {
        if (!read_field(&place, end, &fields[i])) {
            return SH_PACKET_OTHER;
        }
    }
    if (place != end) {
        return SH_PACKET_OTHER;
    }
    *packet_size = HEADER_SIZE + size;
    return SH_PACKET_ROW;
}

bool sh_decimal_read(sh_span text, int64_t *value) {
    bool is_negative = text.size > 0 && text.data[0] == '-';
    size_t start = is_negative ? 1 : 0;
    if (text.size == start || text.size - start > DIGITS_MAX) {
        return false;
    }
    int64_t found = 0;
    for (size_t i = start; i < text.size; i++) {
        uint8_t digit = (uint8_t)(text.data[i] - '0');
        if (digit > 9) {
            return false;
        }
        found = found * 10 + digit;
    }
    *value = is_negative ? -found : found;
    return true;
}
