/* Rings of arbitrary points: index, lookups, validation. Ties and both ends of the circle are
 * likely, because positions are drawn from few values. */
#include "fuzz.h"
#include "rings.h"

static uint32_t twin_owner(const fuzz_ring *made, uint64_t hash) {
    uint32_t position = (uint32_t)(hash >> made->ring.hash_shift);
    return made->sorted[twin_first(made->sorted, made->ring.point_count, position)].owner;
}

static void check_lookups(fuzz_input *input, const fuzz_ring *made) {
    const sh_ring *ring = &made->ring;
    uint32_t keys = take_below(input, 16);
    uint64_t seen[SH_SEEN_WORDS(MOST_NODES)];
    for (uint32_t i = 0; i < keys; i++) {
        uint32_t position = take_position(input);
        uint64_t hash = (uint64_t)position << ring->hash_shift;
        if (ring->hash_shift == 32) {
            hash |= take(input, 4);
        }
        size_t first = twin_first(made->sorted, ring->point_count, position);
        MUST(sh_ring_lookup(ring, hash) == made->sorted[first].owner);

        size_t n = 1 + take_below(input, made->with_points), found = 0;
        uint16_t *owners = room(n * sizeof *owners);
        sh_ring_lookup_n(ring, hash, n, seen, owners);
        for (size_t step = 0; found < n; step++) {
            uint16_t owner = made->sorted[(first + step) % ring->point_count].owner;
            bool is_new = true;
            for (size_t before = 0; before < found; before++) {
                is_new = is_new && owners[before] != owner;
            }
            if (is_new) {
                MUST(owners[found] == owner);
                found++;
            }
        }
        free(owners);
    }
}

#define MOST_KEYS 24

/* Chosen hashes first, which meet points exactly; then keys, whose hashes are what they are. */
static void check_bulk(fuzz_input *input, const fuzz_ring *made) {
    const sh_ring *ring = &made->ring;
    sh_rule rule = sh_rule_ring(ring);
    size_t count = take_below(input, MOST_KEYS + 1);
    uint32_t *out = room(count * sizeof *out);
    uint64_t hashes[MOST_KEYS];
    sh_span keys[MOST_KEYS];
    for (size_t i = 0; i < count; i++) {
        hashes[i] = (uint64_t)take_position(input) << ring->hash_shift;
        keys[i] = take_span(input, take_below(input, 12));
    }
    rule.finish(rule.table, hashes, count, out);
    for (size_t i = 0; i < count; i++) {
        MUST(out[i] == twin_owner(made, hashes[i]));
    }
    sh_spans_apply(&rule, keys, count, out);
    for (size_t i = 0; i < count; i++) {
        MUST(out[i] == twin_owner(made, twin_hash(ring->hash, 0, keys[i].data, keys[i].size)));
    }
    free(out);
}

/* Break a ring at one place, or not, and compare the verdicts. */
static void check_validate(fuzz_input *input, fuzz_ring *made) {
    uint32_t *counted = room(made->ring.node_count * sizeof *counted);
    MUST(sh_ring_validate(&made->ring, made->nodes, counted) == NULL);
    MUST(twin_is_valid(&made->ring, made->nodes));
    size_t at = take(input, 2);
    uint32_t n = made->ring.point_count, value = (uint32_t)take(input, 4);
    switch (take_below(input, 5)) {
    case 0:
        made->points[at % (n + 1)] = value;
        break;
    case 1:
        made->owners[at % (n + 1)] = (uint16_t)(value % (made->ring.node_count + 2));
        break;
    case 2:
        made->index[at % sh_ring_index_size(n)] += value % 3;
        break;
    case 3:
        if (made->ring.node_count > 0) {
            made->nodes[at % made->ring.node_count].point_count += value % 2;
        }
        break;
    default:
        made->ring.index_shift ^= value % 2;
    }
    const char *reason = sh_ring_validate(&made->ring, made->nodes, counted);
    MUST((reason == NULL) == twin_is_valid(&made->ring, made->nodes));
    free(counted);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    fuzz_input input = {data, size};
    fuzz_ring made;
    make_ring(&input, &made);
    if (made.ring.point_count > 0) {
        check_lookups(&input, &made);
        check_bulk(&input, &made);
    }
    check_validate(&input, &made);
    free_ring(&made);
    return 0;
}
