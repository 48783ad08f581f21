/* Slot tables. */
#include "check.h"

static void test_a_slot_is_the_low_bits_of_the_hash(void) {
    const uint16_t owners[16] = {0};
    sh_slots slots = {owners, 16, SH_HASH_CRC32};
    CHECK(sh_slots_slot(&slots, 0xFFFFFFF5) == 5);
    sh_slots one = {owners, 1, SH_HASH_CRC32};
    CHECK(sh_slots_slot(&one, UINT64_MAX) == 0);
}

static void test_the_most_slots_fit_their_number(void) {
    sh_slots slots = {NULL, 65536, SH_HASH_XXH64};
    sh_rule rule = sh_rule_slot(&slots);
    uint64_t hash = 0x123456789ABCFFFF;
    uint16_t slot = 0;
    rule.finish(rule.table, &hash, 1, &slot);
    CHECK(slot == 65535);
}

static void test_rules_give_slots_and_owners(void) {
    const uint16_t owners[4] = {7, 8, 9, 65534};
    sh_slots slots = {owners, 4, SH_HASH_CRC32};
    sh_rule slot_rule = sh_rule_slot(&slots), owner_rule = sh_rule_slot_owner(&slots);
    sh_span key = span_of_text("123456789"); /* CRC-32 0xCBF43926 */
    uint16_t slot = 0;
    uint32_t owner = 0;
    sh_spans_apply(&slot_rule, &key, 1, &slot);
    sh_spans_apply(&owner_rule, &key, 1, &owner);
    CHECK(slot == 2);
    CHECK(owner == 9);
}

static void test_others_are_positions_in_place(void) {
    uint32_t items[] = {1, 2, 1, 1, 3};
    CHECK(sh_others(items, 5, 1) == 2);
    CHECK(items[0] == 1 && items[1] == 4);
    uint32_t same[] = {4, 4};
    CHECK(sh_others(same, 2, 4) == 0);
    CHECK(sh_others(same, 0, 4) == 0);
}

int main(void) {
    test_a_slot_is_the_low_bits_of_the_hash();
    test_the_most_slots_fit_their_number();
    test_rules_give_slots_and_owners();
    test_others_are_positions_in_place();
    return check_failures != 0;
}
