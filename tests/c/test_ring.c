/* Rings: built, merged and compared against the slow, obvious way. */
#include "check.h"

#define NODES 12
#define ROOM 40000

/* Names in ascending order of their bytes; a prefix before what continues it. */
static const char *const NAMES[NODES] = {"A", "a",  "a1", "aa", "b",          "c",
                                         "d", "da", "e",  "z",  "\xC3\xA9", "\xF0\x9F\x98\x80"};

typedef struct built_ring {
    sh_ring ring;
    sh_node nodes[NODES];
    uint32_t points[ROOM + 1];
    uint16_t owners[ROOM + 1];
    uint32_t index[131072];
} built_ring;

static built_ring first, second, third;
static uint64_t scratch[2 * ROOM];
static int compared_indices;

static void finish(built_ring *made, uint32_t node_count, uint32_t point_count) {
    sh_ring_index(made->points, point_count, made->index);
    made->ring = (sh_ring){.points = made->points,
                           .owners = made->owners,
                           .index = made->index,
                           .point_count = point_count,
                           .node_count = node_count,
                           .index_shift = sh_ring_index_shift(point_count),
                           .hash_shift = 32,
                           .hash = SH_HASH_XXH64};
}

/* Build a ring of the names whose bit is set in `members`. */
static void build_by(sh_points_rule rule, built_ring *made, uint32_t members,
                     uint32_t points_each) {
    uint16_t n = 0;
    for (uint32_t i = 0; i < NODES; i++) {
        if (members >> i & 1) {
            made->nodes[n] = (sh_node){span_of_text(NAMES[i]), points_each, n};
            n++;
        }
    }
    sh_ring_build(rule, made->nodes, n, scratch, made->points, made->owners);
    finish(made, n, n * points_each);
}

static void build(built_ring *made, uint32_t members, uint32_t points_each) {
    build_by(SH_POINTS_XXH64, made, members, points_each);
}

static void check_valid(const built_ring *made) {
    uint32_t counted[NODES];
    const char *reason = sh_ring_validate(&made->ring, made->nodes, counted);
    if (reason != NULL) {
        fprintf(stderr, "invalid: %s\n", reason);
    }
    CHECK(reason == NULL);
}

/* The owner of a position by the rule's own words. */
static uint32_t slow_owner(const sh_ring *ring, uint32_t position) {
    for (uint32_t i = 0; i < ring->point_count; i++) {
        if (ring->points[i] >= position) {
            return ring->owners[i];
        }
    }
    return ring->owners[0];
}

static uint64_t as_hash(uint64_t position) {
    return position << 32 | 0x89ABCDEF;
}

static void check_around(const sh_ring *ring, uint32_t position) {
    for (uint32_t near = 0; near < 3; near++) {
        uint32_t at = position - 1 + near;
        CHECK(sh_ring_lookup(ring, as_hash(at)) == slow_owner(ring, at));
    }
}

static void test_lookup_is_the_first_point_at_or_after(void) {
    static const uint32_t sizes[] = {1, 2, 3, 7, 160};
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        build(&first, 0xFFF, sizes[s]);
        check_valid(&first);
        for (uint32_t i = 0; i < first.ring.point_count; i++) {
            check_around(&first.ring, first.points[i]);
        }
        check_around(&first.ring, 0);
        check_around(&first.ring, UINT32_MAX);
    }
}

static void test_points_are_the_high_halves_of_seeded_xxh64(void) {
    build(&first, 1, 2);
    uint32_t a = (uint32_t)(sh_xxh64((const uint8_t *)"A", 1, 0) >> 32);
    uint32_t b = (uint32_t)(sh_xxh64((const uint8_t *)"A", 1, 1) >> 32);
    CHECK(first.points[0] == (a < b ? a : b));
    CHECK(first.points[1] == (a < b ? b : a));
}

static bool has_point(const built_ring *made, uint32_t point) {
    for (uint32_t i = 0; i < made->ring.point_count; i++) {
        if (made->points[i] == point) {
            return true;
        }
    }
    return false;
}

static void test_ketama_points_are_the_words_of_numbered_md5s(void) {
    for (uint32_t node = 0; node < NODES; node++) {
        build_by(SH_POINTS_KETAMA, &first, 1u << node, 48);
        check_valid(&first);
        for (int k = 0; k < 12; k++) {
            char text[32];
            uint32_t words[4];
            int size = snprintf(text, sizeof text, "%s-%d", NAMES[node], k);
            sh_md5((const uint8_t *)text, (size_t)size, words);
            for (size_t i = 0; i < 4; i++) {
                CHECK(has_point(&first, words[i]));
            }
        }
    }
}

/* The name, its dash and the number end in every place of MD5's blocks. */
static void test_ketama_names_have_any_size(void) {
    char text[300];
    for (size_t size = 1; size < 200; size++) {
        memset(text, 'x', size);
        char *name = exact_copy(text, size);
        first.nodes[0] = (sh_node){{(const uint8_t *)name, size}, 404, 0};
        sh_ring_build(SH_POINTS_KETAMA, first.nodes, 1, scratch, first.points, first.owners);
        finish(&first, 1, 404);
        free(name);
        for (int k = 0; k <= 100; k += 50) {
            uint32_t words[4];
            int end = snprintf(text + size, 8, "-%d", k);
            sh_md5((const uint8_t *)text, size + (size_t)end, words);
            CHECK(has_point(&first, words[0]) && has_point(&first, words[3]));
        }
    }
}

/* A ring of given points; ties keep the order given. */
static void place(built_ring *made, const uint32_t *points, const uint16_t *owners, uint32_t n,
                  uint16_t node_count) {
    for (uint16_t i = 0; i < node_count; i++) {
        made->nodes[i] = (sh_node){span_of_text(NAMES[i]), 0, i};
    }
    for (uint32_t i = 0; i < n; i++) {
        made->points[i] = points[i];
        made->owners[i] = owners[i];
        made->nodes[owners[i]].point_count++;
    }
    made->points[n] = UINT32_MAX;
    made->owners[n] = owners[0];
    finish(made, node_count, n);
}

static void test_edges_of_the_circle(void) {
    const uint32_t points[] = {0, 5, 5, UINT32_MAX, UINT32_MAX};
    const uint16_t owners[] = {2, 0, 1, 1, 2};
    place(&first, points, owners, 5, 3);
    check_valid(&first);
    CHECK(sh_ring_lookup(&first.ring, as_hash(0)) == 2);
    CHECK(sh_ring_lookup(&first.ring, as_hash(1)) == 0);
    CHECK(sh_ring_lookup(&first.ring, as_hash(5)) == 0);
    CHECK(sh_ring_lookup(&first.ring, as_hash(6)) == 1);
    CHECK(sh_ring_lookup(&first.ring, as_hash(UINT32_MAX)) == 1);
}

static void test_past_the_last_point_comes_the_first(void) {
    const uint32_t points[] = {10, 20};
    const uint16_t owners[] = {1, 0};
    place(&first, points, owners, 2, 2);
    CHECK(sh_ring_lookup(&first.ring, as_hash(21)) == 1);
    CHECK(sh_ring_lookup(&first.ring, as_hash(UINT32_MAX)) == 1);
}

static void test_lookup_n_walks_over_ties_and_the_end(void) {
    const uint32_t points[] = {5, 5, 9, 9};
    const uint16_t owners[] = {0, 1, 1, 2};
    uint64_t seen[SH_SEEN_WORDS(3)];
    uint16_t found[3];
    place(&first, points, owners, 4, 3);
    sh_ring_lookup_n(&first.ring, as_hash(6), 3, seen, found);
    CHECK(found[0] == 1 && found[1] == 2 && found[2] == 0);
    sh_ring_lookup_n(&first.ring, as_hash(10), 1, seen, found);
    CHECK(found[0] == 0);
}

static void test_bulk_equals_single_lookups(void) {
    sh_span keys[600];
    uint8_t texts[600][SH_DECIMAL_SIZE];
    uint32_t out[600];
    build(&first, 0xFFF, 160);
    for (size_t i = 0; i < 600; i++) {
        keys[i] = (sh_span){texts[i], sh_decimal_u64(i * 7919, texts[i])};
    }
    sh_rule rule = sh_rule_ring(&first.ring);
    sh_spans_apply(&rule, keys, 600, out);
    for (size_t i = 0; i < 600; i++) {
        CHECK(out[i] == sh_ring_lookup(&first.ring, sh_hash_span(SH_HASH_XXH64, 0, keys[i])));
    }
}

static sh_points points_of(const built_ring *made) {
    return (sh_points){made->points, made->owners, made->ring.point_count};
}

/* Merge the index of `first` into that of `third`, if they are of one size, and compare. */
static void check_merged_index(uint32_t gone, uint32_t points_each, const sh_points *added) {
    static built_ring removed;
    static uint32_t index[sizeof third.index / sizeof *third.index];
    build(&removed, gone, points_each);
    sh_points removed_points = points_of(&removed);
    uint32_t n = third.ring.point_count;
    if (first.ring.index_shift == third.ring.index_shift) {
        sh_ring_index_merge(first.index, &removed_points, added, n, index);
        CHECK(memcmp(index, third.index, sh_ring_index_size(n) * sizeof *index) == 0);
        compared_indices++;
    }
}

/* Merge `before` with the nodes that come, into `merged`, and compare with a ring built anew. */
static void check_merge(uint32_t before, uint32_t after, uint32_t points_each) {
    static built_ring merged;
    uint16_t renumbered[NODES];
    sh_span names[NODES];
    build(&first, before, points_each);
    build(&second, after & ~before, points_each);
    build(&third, after, points_each);
    uint16_t old = 0, fresh = 0, number = 0;
    uint16_t added_number[NODES];
    for (uint32_t i = 0; i < NODES; i++) {
        bool was = before >> i & 1, is = after >> i & 1;
        if (was) {
            renumbered[old++] = is ? number : SH_NODE_GONE;
        }
        if (is && !was) {
            added_number[fresh++] = number;
        }
        if (is) {
            names[number++] = span_of_text(NAMES[i]);
        }
    }
    for (uint32_t i = 0; i < second.ring.point_count; i++) {
        second.owners[i] = added_number[second.owners[i]];
    }
    sh_points kept = points_of(&first), added = points_of(&second);
    uint32_t n = sh_ring_merge(&kept, renumbered, &added, names, merged.points, merged.owners);
    CHECK(n == third.ring.point_count);
    CHECK(memcmp(merged.points, third.points, (n + 1) * sizeof *merged.points) == 0);
    CHECK(memcmp(merged.owners, third.owners, (n + 1) * sizeof *merged.owners) == 0);
    check_merged_index(before & ~after, points_each, &added);

    bool all_stay = true;
    for (uint16_t i = 0; i < old; i++) {
        all_stay = all_stay && renumbered[i] == i;
    }
    if (all_stay) {
        memset(merged.points, 0, sizeof merged.points);
        memset(merged.owners, 0, sizeof merged.owners);
        CHECK(sh_ring_merge(&kept, NULL, &added, names, merged.points, merged.owners) == n);
        CHECK(memcmp(merged.points, third.points, (n + 1) * sizeof *merged.points) == 0);
        CHECK(memcmp(merged.owners, third.owners, (n + 1) * sizeof *merged.owners) == 0);
    }
}

static void test_merge_equals_building_anew(void) {
    check_merge(0x001, 0xFFF, 160);
    check_merge(0xFFF, 0x800, 160);
    check_merge(0xFFF, 0xFFF, 160);
    check_merge(0xAAA, 0x555, 160);
    check_merge(0xABC, 0xAB5, 160);
    check_merge(0x000, 0x00F, 3);
    check_merge(0x00F, 0x000, 3);
    check_merge(0xFFE, 0xFFF, 3000);
    check_merge(0x7FF, 0xFFF, 3000);
    check_merge(0x1FF, 0xFFF, 160);
    check_merge(0xFFF, 0x1FF, 160);
    check_merge(0xFFF, 0xFFE, 160);
    CHECK(compared_indices == 8);
}

static void test_merge_breaks_ties_by_name(void) {
    const uint32_t same[] = {7, UINT32_MAX};
    const uint16_t kept_owners[] = {0, 0}, added_owners[] = {1, 1};
    const uint16_t renumbered[] = {0};
    sh_points kept = {same, kept_owners, 1}, added = {same, added_owners, 1};
    sh_span names[2] = {span_of_text("b"), span_of_text("a")};
    uint32_t points[3];
    uint16_t owners[3];
    CHECK(sh_ring_merge(&kept, renumbered, &added, names, points, owners) == 2);
    CHECK(owners[0] == 1 && owners[1] == 0 && owners[2] == 1);
    names[0] = span_of_text("a");
    names[1] = span_of_text("aa");
    CHECK(sh_ring_merge(&kept, renumbered, &added, names, points, owners) == 2);
    CHECK(owners[0] == 0 && owners[1] == 1);
}

static size_t moves_between(const built_ring *before, const built_ring *after, sh_move *moves) {
    uint32_t same_as[NODES];
    for (uint32_t j = 0; j < after->ring.node_count; j++) {
        same_as[j] = SH_NODES_MAX;
        for (uint32_t i = 0; i < before->ring.node_count; i++) {
            sh_span a = before->nodes[i].name, b = after->nodes[j].name;
            if (a.size == b.size && memcmp(a.data, b.data, a.size) == 0) {
                same_as[j] = i;
            }
        }
    }
    size_t counted = sh_ring_moves(&before->ring, &after->ring, same_as, NULL);
    size_t written = sh_ring_moves(&before->ring, &after->ring, same_as, moves);
    CHECK(counted == written);
    return written;
}

static void test_moves_tell_every_position_that_changes(void) {
    static sh_move moves[2 * ROOM];
    build(&first, 0xFFF, 40);
    build(&second, 0x7F7, 40);
    size_t n = moves_between(&first, &second, moves);
    CHECK(n > 0);
    for (size_t i = 0; i < n; i++) {
        CHECK(moves[i].start < moves[i].end);
        CHECK(i == 0 || moves[i - 1].end <= moves[i].start);
        uint32_t ends[] = {(uint32_t)moves[i].start, (uint32_t)(moves[i].end - 1)};
        for (size_t e = 0; e < 2; e++) {
            CHECK(slow_owner(&first.ring, ends[e]) == moves[i].source);
            CHECK(slow_owner(&second.ring, ends[e]) == moves[i].target);
        }
    }
    CHECK(moves_between(&first, &first, moves) == 0);
}

static void test_a_move_around_the_end_is_two(void) {
    const uint32_t old_points[] = {100, 200}, new_points[] = {100, 200, 300};
    const uint16_t old_owners[] = {0, 1}, new_owners[] = {0, 1, 1};
    sh_move moves[6];
    place(&first, old_points, old_owners, 2, 2);
    place(&second, new_points, new_owners, 3, 2);
    CHECK(moves_between(&first, &second, moves) == 1);
    CHECK(moves[0].start == 201 && moves[0].end == 301);

    const uint32_t one[] = {150};
    const uint16_t zero[] = {0};
    place(&third, one, zero, 1, 1);
    CHECK(moves_between(&third, &first, moves) == 1);
    CHECK(moves[0].start == 101 && moves[0].end == 201 && moves[0].target == 1);

    place(&second, one, zero, 1, 1);
    second.nodes[0].name = span_of_text("z");
    CHECK(moves_between(&first, &second, moves) == 3);
    CHECK(moves[0].start == 0 && moves[0].end == 101);
    CHECK(moves[2].start == 201 && moves[2].end == (uint64_t)1 << 32);
}

static void test_validate_names_what_is_broken(void) {
    uint32_t counted[NODES];
    build(&first, 0xFFF, 10);
    first.points[0] = first.points[1] + 1;
    CHECK(strcmp(sh_ring_validate(&first.ring, first.nodes, counted), "points do not ascend") == 0);
    build(&first, 0xFFF, 10);
    first.owners[3] = NODES;
    CHECK(sh_ring_validate(&first.ring, first.nodes, counted) != NULL);
    build(&first, 0xFFF, 10);
    first.points[first.ring.point_count] = 0;
    CHECK(sh_ring_validate(&first.ring, first.nodes, counted) != NULL);
    build(&first, 0xFFF, 10);
    first.nodes[4].point_count++;
    CHECK(sh_ring_validate(&first.ring, first.nodes, counted) != NULL);
    build(&first, 0xFFF, 10);
    first.index[9]++;
    CHECK(sh_ring_validate(&first.ring, first.nodes, counted) != NULL);
}

static void test_a_ring_without_points_is_valid(void) {
    build(&first, 0, 10);
    CHECK(first.ring.point_count == 0);
    check_valid(&first);
}

static void test_index_has_about_two_cells_a_point(void) {
    CHECK(sh_ring_index_size(0) == 2);
    CHECK(sh_ring_index_size(16000) == 32768);
    CHECK(sh_ring_index_size(160000) == 262144);
    CHECK(sh_ring_index_shift(SH_POINTS_MAX) == 1);
}

int main(void) {
    test_lookup_is_the_first_point_at_or_after();
    test_points_are_the_high_halves_of_seeded_xxh64();
    test_ketama_points_are_the_words_of_numbered_md5s();
    test_ketama_names_have_any_size();
    test_edges_of_the_circle();
    test_past_the_last_point_comes_the_first();
    test_lookup_n_walks_over_ties_and_the_end();
    test_bulk_equals_single_lookups();
    test_merge_equals_building_anew();
    test_merge_breaks_ties_by_name();
    test_moves_tell_every_position_that_changes();
    test_a_move_around_the_end_is_two();
    test_validate_names_what_is_broken();
    test_a_ring_without_points_is_valid();
    test_index_has_about_two_cells_a_point();
    return check_failures != 0;
}
