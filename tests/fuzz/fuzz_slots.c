/* Slot tables: the slot and the owner of one key and of many, and who does not belong. */
#include "fuzz.h"
#include "twins.h"

#define MOST_BITS 8
#define MOST_KEYS 300 /* more than one block */

static size_t take_keys(fuzz_input *input, sh_span *keys) {
    size_t count = take(input, 2) % (MOST_KEYS + 1);
    if (count > 20 && take_below(input, 32) != 0) {
        count %= 20;
    }
    for (size_t i = 0; i < count; i++) {
        keys[i] = take_span(input, take_below(input, 24));
    }
    return count;
}

static void check_others(const uint32_t *owner_of, size_t count, uint32_t owner) {
    uint32_t *items = room(count * sizeof *items);
    size_t n = 0;
    if (count > 0) {
        memcpy(items, owner_of, count * sizeof *items);
    }
    size_t found = sh_others(items, count, owner);
    for (size_t i = 0; i < count; i++) {
        if (owner_of[i] != owner) {
            MUST(n < found && items[n] == i);
            n++;
        }
    }
    MUST(n == found);
    free(items);
}

static void check_keys(const sh_slots *slots, const sh_span *keys, size_t count, uint32_t owner) {
    sh_rule to_slot = sh_rule_slot(slots), to_owner = sh_rule_slot_owner(slots);
    MUST(to_slot.item_size == 2 && to_owner.item_size == 4);
    uint16_t *slot_of = room(count * sizeof *slot_of);
    uint32_t *owner_of = room(count * sizeof *owner_of);
    sh_spans_apply(&to_slot, keys, count, slot_of);
    sh_spans_apply(&to_owner, keys, count, owner_of);
    for (size_t i = 0; i < count; i++) {
        uint64_t hash = twin_hash(slots->hash, 0, keys[i].data, keys[i].size);
        uint64_t slot = hash % slots->slot_count;
        MUST(sh_slots_slot(slots, hash) == slot);
        MUST(slot_of[i] == slot);
        MUST(owner_of[i] == slots->owners[slot]);
    }
    check_others(owner_of, count, owner);
    free(slot_of);
    free(owner_of);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    fuzz_input input = {data, size};
    sh_span keys[MOST_KEYS];
    uint32_t bits = take_below(&input, MOST_BITS + 1), slot_count = 1u << bits;
    uint32_t step = take_below(&input, 256), owner = take_below(&input, 8);
    uint16_t *owners = room(slot_count * sizeof *owners);
    for (uint32_t slot = 0; slot < slot_count; slot++) {
        owners[slot] = (uint16_t)(slot * step % 5);
    }
    sh_slots slots = {owners, slot_count, take_hash(&input)};
    size_t count = take_keys(&input, keys);
    check_keys(&slots, keys, count, owner);
    free(owners);
    return 0;
}
