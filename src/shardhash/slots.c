/* Slot tables. */
#include "internal.h"

static inline uint32_t slot_of(const sh_slots *slots, uint64_t hash) {
    return (uint32_t)hash & (slots->slot_count - 1);
}

uint32_t sh_slots_slot(const sh_slots *slots, uint64_t hash) {
    return slot_of(slots, hash);
}

static void finish_slot(const void *table, const uint64_t *hashes, size_t count, void *out) {
    const sh_slots *slots = table;
    uint16_t *items = out;
    for (size_t i = 0; i < count; i++) {
        items[i] = (uint16_t)slot_of(slots, hashes[i]);
    }
}

static void finish_owner(const void *table, const uint64_t *hashes, size_t count, void *out) {
    const sh_slots *slots = table;
    uint32_t *items = out;
    for (size_t i = 0; i < count; i++) {
        items[i] = slots->owners[slot_of(slots, hashes[i])];
    }
}

sh_rule sh_rule_slot(const sh_slots *slots) {
    return (sh_rule){slots->hash, 0, finish_slot, slots, sizeof(uint16_t)};
}

sh_rule sh_rule_slot_owner(const sh_slots *slots) {
    return (sh_rule){slots->hash, 0, finish_owner, slots, sizeof(uint32_t)};
}

size_t sh_others(uint32_t *items, size_t count, uint32_t owner) {
    size_t found = 0;
    for (size_t i = 0; i < count; i++) {
        bool is_other = items[i] != owner;
        items[found] = (uint32_t)i;
        found += is_other;
    }
    return found;
}
