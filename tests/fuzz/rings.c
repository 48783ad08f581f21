#include "rings.h"

uint32_t take_position(fuzz_input *input) {
    uint32_t kind = take_below(input, 16);
    if (kind < 4) {
        return kind;
    }
    if (kind < 8) {
        return UINT32_MAX - (kind - 4);
    }
    if (kind < 12) {
        /* Around the borders of index cells. */
        return (uint32_t)take(input, 1) << 24 | (kind == 8 ? 0x00FFFFFFu : kind - 9);
    }
    return (uint32_t)take(input, 4);
}

sh_span take_name(fuzz_input *input) {
    static const char *const names[] = {"a", "aa", "a\0", "ab", "b", "\xC3\xA9", "\xFF", "A"};
    static const uint8_t sizes[] = {1, 2, 2, 2, 1, 2, 1, 1};
    uint32_t kind = take_below(input, 12);
    if (kind < 8) {
        return (sh_span){(const uint8_t *)names[kind], sizes[kind]};
    }
    sh_span free_name = take_span(input, 1 + take_below(input, 64));
    return free_name.size > 0 ? free_name : (sh_span){(const uint8_t *)"z", 1};
}

uint32_t take_names(fuzz_input *input, sh_span names[MOST_NODES]) {
    uint32_t tries = take_below(input, MOST_NODES + 1), count = 0;
    for (uint32_t i = 0; i < tries; i++) {
        sh_span name = take_name(input);
        bool is_new = true;
        for (uint32_t other = 0; other < count; other++) {
            is_new = is_new && twin_compare(name, names[other]) != 0;
        }
        if (is_new) {
            names[count++] = name;
        }
    }
    return count;
}

void place_ring(fuzz_ring *made, uint32_t node_count, const twin_point *sorted, size_t count) {
    for (uint16_t i = 0; i < node_count; i++) {
        made->nodes[i] = (sh_node){made->names[i], 0, i};
    }
    made->points = room((count + 1) * sizeof *made->points);
    made->owners = room((count + 1) * sizeof *made->owners);
    made->with_points = 0;
    for (size_t i = 0; i < count; i++) {
        made->sorted[i] = sorted[i];
        made->points[i] = sorted[i].position;
        made->owners[i] = sorted[i].owner;
        made->with_points += made->nodes[sorted[i].owner].point_count++ == 0;
    }
    made->points[count] = UINT32_MAX;
    made->owners[count] = count > 0 ? made->owners[0] : 0;
    made->index = room(sh_ring_index_size((uint32_t)count) * sizeof *made->index);
    sh_ring_index(made->points, (uint32_t)count, made->index);
    made->ring = (sh_ring){.points = made->points,
                           .owners = made->owners,
                           .index = made->index,
                           .point_count = (uint32_t)count,
                           .node_count = node_count,
                           .index_shift = sh_ring_index_shift((uint32_t)count),
                           .hash_shift = 32,
                           .hash = SH_HASH_XXH64};
}

void make_ring(fuzz_input *input, fuzz_ring *made) {
    twin_point points[MOST_POINTS];
    uint32_t node_count = take_names(input, made->names);
    uint32_t most = take_below(input, 8) == 0 ? MOST_POINTS : 12;
    uint32_t count = node_count > 0 ? take_below(input, most + 1) : 0;
    bool is_ketama = take_below(input, 4) == 0;
    for (uint32_t i = 0; i < count; i++) {
        points[i].position = take_position(input);
        points[i].owner = (uint16_t)take_below(input, node_count);
    }
    twin_sort(points, count, made->names);
    place_ring(made, node_count, points, count);
    if (is_ketama) {
        made->ring.hash = SH_HASH_MD5_KETAMA;
        made->ring.hash_shift = 0;
    }
}

void free_ring(fuzz_ring *made) {
    free(made->points);
    free(made->owners);
    free(made->index);
}
