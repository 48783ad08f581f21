/* Row packets as a server writes them, cut and bent. */
#include "check.h"

static const uint8_t ROW[] = {9, 0, 0, 7, 2, '-', '5', 0xFB, 0, 0xFC, 1, 0, 'x'};

static sh_packet read_copy(const uint8_t *packet, size_t size, uint8_t sequence,
                           size_t field_count, sh_span *fields, size_t *packet_size) {
    uint8_t *data = exact_copy((const char *)packet, size);
    sh_packet found =
        sh_row_read((sh_span){data, size}, sequence, field_count, fields, packet_size);
    for (size_t i = 0; found == SH_PACKET_ROW && i < field_count; i++) {
        if (fields[i].data != NULL) {
            CHECK(fields[i].data > data && fields[i].data + fields[i].size <= data + size);
        }
    }
    free(data);
    return found;
}

static void test_fields_of_every_kind(void) {
    sh_span fields[4];
    size_t size = 0;
    CHECK(sh_row_read((sh_span){ROW, sizeof ROW}, 7, 4, fields, &size) == SH_PACKET_ROW);
    CHECK(size == sizeof ROW);
    CHECK(fields[0].size == 2 && memcmp(fields[0].data, "-5", 2) == 0);
    CHECK(fields[1].data == NULL);
    CHECK(fields[2].size == 0 && fields[2].data != NULL);
    CHECK(fields[3].size == 1 && *fields[3].data == 'x');
}

static void test_a_packet_that_is_cut_anywhere(void) {
    sh_span fields[4];
    for (size_t size = 0; size < sizeof ROW; size++) {
        size_t written = 99;
        CHECK(read_copy(ROW, size, 7, 4, fields, &written) == SH_PACKET_CUT);
        CHECK(written == 99);
    }
}

static void test_other_packets(void) {
    sh_span fields[4];
    size_t size = 0;
    const uint8_t end[] = {5, 0, 0, 7, 0xFE, 0, 0, 2, 0};
    const uint8_t error[] = {3, 0, 0, 7, 0xFF, 1, 2};
    const uint8_t empty[] = {0, 0, 0, 7};
    const uint8_t largest[] = {0xFF, 0xFF, 0xFF, 7};
    CHECK(read_copy(end, sizeof end, 7, 1, fields, &size) == SH_PACKET_OTHER);
    CHECK(read_copy(error, sizeof error, 7, 1, fields, &size) == SH_PACKET_OTHER);
    CHECK(read_copy(empty, sizeof empty, 7, 1, fields, &size) == SH_PACKET_OTHER);
    CHECK(read_copy(largest, sizeof largest, 7, 1, fields, &size) == SH_PACKET_OTHER);
    CHECK(read_copy(ROW, sizeof ROW, 8, 4, fields, &size) == SH_PACKET_OTHER);
    CHECK(read_copy(ROW, sizeof ROW, 7, 3, fields, &size) == SH_PACKET_OTHER);
}

static void test_sizes_that_lie(void) {
    sh_span fields[2];
    size_t size = 0;
    const uint8_t beyond[] = {2, 0, 0, 0, 2, 'x'};
    const uint8_t no_size[] = {2, 0, 0, 0, 0xFC, 1};
    const uint8_t huge[] = {10, 0, 0, 0, 0, 0xFE, 255, 255, 255, 255, 255, 255, 255, 255};
    const uint8_t none[] = {2, 0, 0, 0, 0, 0xFF};
    CHECK(read_copy(beyond, sizeof beyond, 0, 1, fields, &size) == SH_PACKET_OTHER);
    CHECK(read_copy(no_size, sizeof no_size, 0, 1, fields, &size) == SH_PACKET_OTHER);
    CHECK(read_copy(huge, sizeof huge, 0, 2, fields, &size) == SH_PACKET_OTHER);
    CHECK(read_copy(none, sizeof none, 0, 2, fields, &size) == SH_PACKET_OTHER);
}

static void check_number(const char *text, bool is_number, int64_t expected) {
    size_t size = strlen(text);
    uint8_t *data = exact_copy(text, size);
    int64_t value = 42;
    CHECK(sh_decimal_read((sh_span){data, size}, &value) == is_number);
    CHECK(value == (is_number ? expected : 42));
    free(data);
}

static void test_numbers(void) {
    check_number("0", true, 0);
    check_number("-0", true, 0);
    check_number("007", true, 7);
    check_number("999999999999999999", true, 999999999999999999);
    check_number("-999999999999999999", true, -999999999999999999);
    check_number("1000000000000000000", false, 0);
    check_number("", false, 0);
    check_number("-", false, 0);
    check_number("+1", false, 0);
    check_number("1.5", false, 0);
    check_number("1:", false, 0);
}

int main(void) {
    test_fields_of_every_kind();
    test_a_packet_that_is_cut_anywhere();
    test_other_packets();
    test_sizes_that_lie();
    test_numbers();
    return check_failures != 0;
}
