/* Rings built from names: the points are seeded hashes, sorted. */
#include "fuzz.h"
#include "rings.h"

#define MOST_BUILT 64
#define MOST_NAME 64

static void sort_names(sh_span *names, uint32_t count) {
    for (uint32_t i = 1; i < count; i++) {
        sh_span name = names[i];
        uint32_t at = i;
        for (; at > 0 && twin_compare(names[at - 1], name) > 0; at--) {
            names[at] = names[at - 1];
        }
        names[at] = name;
    }
}

/* Number the owners from the end, so that a node's number is not its place. */
static size_t make_nodes(fuzz_input *input, sh_points_rule rule, const sh_span *sorted,
                         uint32_t count, sh_node *nodes) {
    size_t total = 0;
    uint32_t most = count > 0 ? MOST_BUILT / count : 0;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t drawn = take_below(input, most);
        nodes[i].name = sorted[i];
        nodes[i].point_count = rule == SH_POINTS_KETAMA ? drawn / 4 * 4 : drawn + 1;
        nodes[i].owner = (uint16_t)(count - 1 - i);
        total += nodes[i].point_count;
    }
    return total;
}

static uint32_t twin_position(sh_points_rule rule, sh_span name, uint32_t k) {
    uint8_t text[MOST_NAME + 1 + 21];
    uint32_t words[4];
    if (rule == SH_POINTS_XXH64) {
        return (uint32_t)(twin_xxh64(name.data, name.size, k) >> 32);
    }
    memcpy(text, name.data, name.size);
    text[name.size] = '-';
    twin_md5(text, name.size + 1 + twin_decimal(k / 4, false, text + name.size + 1), words);
    return words[k % 4];
}

static void check_points(sh_points_rule rule, const sh_node *nodes, uint32_t count, size_t total,
                         const uint32_t *points, const uint16_t *owners) {
    twin_point expected[MOST_BUILT];
    sh_span by_owner[MOST_NODES];
    size_t n = 0;
    for (uint32_t i = 0; i < count; i++) {
        by_owner[nodes[i].owner] = nodes[i].name;
        for (uint32_t k = 0; k < nodes[i].point_count; k++) {
            uint32_t position = twin_position(rule, nodes[i].name, k);
            expected[n++] = (twin_point){position, nodes[i].owner};
        }
    }
    MUST(n == total);
    twin_sort(expected, n, by_owner);
    for (size_t i = 0; i < n; i++) {
        MUST(points[i] == expected[i].position && owners[i] == expected[i].owner);
    }
    MUST(points[n] == UINT32_MAX);
    MUST(n == 0 || owners[n] == owners[0]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    fuzz_input input = {data, size};
    sh_span names[MOST_NODES];
    sh_node nodes[MOST_NODES];
    sh_points_rule rule = take_below(&input, 2) ? SH_POINTS_KETAMA : SH_POINTS_XXH64;
    uint32_t count = take_names(&input, names);
    sort_names(names, count);
    size_t total = make_nodes(&input, rule, names, count, nodes);
    uint64_t *scratch = room(2 * total * sizeof *scratch);
    uint32_t *points = room((total + 1) * sizeof *points);
    uint16_t *owners = room((total + 1) * sizeof *owners);
    sh_ring_build(rule, nodes, count, scratch, points, owners);
    check_points(rule, nodes, count, total, points, owners);
    free(scratch);
    free(points);
    free(owners);
    return 0;
}
