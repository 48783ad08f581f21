/* What happens between two rings: nodes leave and come, and keys move. */
#include "fuzz.h"
#include "rings.h"

/* ---- Merge --------------------------------------------------------------------------------- */

/* Some nodes of a ring go, all others and the points of the nodes that come are on the new one.
 * New numbers run against the old ones, so that numbers and names are in different orders; unless
 * all stay and keep their numbers. */
typedef struct fuzz_change {
    bool all_stay;
    uint16_t renumbered[MOST_NODES];
    sh_span names[2 * MOST_NODES]; /* of the new ring */
    uint32_t name_count;
    twin_point added[MOST_POINTS];
    size_t added_count;
} fuzz_change;

static bool is_known(const fuzz_change *change, sh_span name) {
    for (uint32_t i = 0; i < change->name_count; i++) {
        if (twin_compare(change->names[i], name) == 0) {
            return true;
        }
    }
    return false;
}

static void make_change(fuzz_input *input, const fuzz_ring *before, fuzz_change *change) {
    uint32_t gone = take_below(input, 256), first_added;
    change->all_stay = gone == 0;
    change->name_count = 0;
    for (uint32_t turn = 0; turn < before->ring.node_count; turn++) {
        uint32_t i = change->all_stay ? turn : before->ring.node_count - 1 - turn;
        bool is_gone = gone >> i & 1;
        change->renumbered[i] = is_gone ? SH_NODE_GONE : (uint16_t)change->name_count;
        if (!is_gone) {
            change->names[change->name_count++] = before->names[i];
        }
    }
    first_added = change->name_count;
    sh_span fresh[MOST_NODES];
    uint32_t fresh_count = take_names(input, fresh);
    for (uint32_t i = 0; i < fresh_count; i++) {
        if (!is_known(change, fresh[i])) {
            change->names[change->name_count++] = fresh[i];
        }
    }
    uint32_t comers = change->name_count - first_added;
    change->added_count = comers > 0 ? take_below(input, MOST_POINTS / 2) : 0;
    for (size_t i = 0; i < change->added_count; i++) {
        change->added[i].position = take_position(input);
        change->added[i].owner = (uint16_t)(first_added + take_below(input, comers));
    }
    twin_sort(change->added, change->added_count, change->names);
}

/* The textbook merge: throw all points together and sort. */
static size_t twin_merge(const fuzz_ring *before, const fuzz_change *change, twin_point *merged) {
    size_t n = 0;
    for (uint32_t i = 0; i < before->ring.point_count; i++) {
        uint16_t owner = change->renumbered[before->sorted[i].owner];
        if (owner != SH_NODE_GONE) {
            merged[n++] = (twin_point){before->sorted[i].position, owner};
        }
    }
    for (size_t i = 0; i < change->added_count; i++) {
        merged[n++] = change->added[i];
    }
    twin_sort(merged, n, change->names);
    return n;
}

/* Points as the core takes them, in heap blocks without a byte to spare. */
typedef struct fuzz_points {
    uint32_t *points;
    uint16_t *owners;
    sh_points view;
} fuzz_points;

static fuzz_points open_points(const twin_point *from, size_t count) {
    fuzz_points made;
    made.points = room((count + 1) * sizeof *made.points);
    made.owners = room((count + 1) * sizeof *made.owners);
    for (size_t i = 0; i < count; i++) {
        made.points[i] = from[i].position;
        made.owners[i] = from[i].owner;
    }
    made.points[count] = UINT32_MAX;
    made.owners[count] = count > 0 ? made.owners[0] : 0;
    made.view = (sh_points){made.points, made.owners, (uint32_t)count};
    return made;
}

static void close_points(const fuzz_points *made) {
    free(made->points);
    free(made->owners);
}

/* The index of the merged points from the index before, where it keeps its size. */
static void check_index(const fuzz_ring *before, const fuzz_change *change, const sh_points *added,
                        const uint32_t *points, size_t n) {
    twin_point gone[MOST_POINTS];
    size_t gone_count = 0, cells = sh_ring_index_size((uint32_t)n);
    if (cells != sh_ring_index_size(before->ring.point_count)) {
        return;
    }
    for (uint32_t i = 0; i < before->ring.point_count; i++) {
        if (change->renumbered[before->sorted[i].owner] == SH_NODE_GONE) {
            gone[gone_count++] = before->sorted[i];
        }
    }
    fuzz_points removed = open_points(gone, gone_count);
    uint32_t *index = room(cells * sizeof *index);
    sh_ring_index_merge(before->index, &removed.view, added, (uint32_t)n, index);
    for (uint64_t cell = 0; cell < cells; cell++) {
        uint32_t below = 0;
        for (size_t i = 0; i < n; i++) {
            below += points[i] < cell << before->ring.index_shift;
        }
        MUST(index[cell] == below);
    }
    free(index);
    close_points(&removed);
}

static void check_merge(const fuzz_ring *before, const fuzz_change *change) {
    twin_point expected[2 * MOST_POINTS];
    size_t n = twin_merge(before, change, expected);
    fuzz_points added = open_points(change->added, change->added_count);
    sh_points kept = {before->points, before->owners, before->ring.point_count};
    const uint16_t *renumbered = change->all_stay ? NULL : change->renumbered;
    uint32_t *points = room((n + 1) * sizeof *points);
    uint16_t *owners = room((n + 1) * sizeof *owners);

    MUST(sh_ring_merge(&kept, renumbered, &added.view, change->names, points, owners) == n);
    for (size_t i = 0; i < n; i++) {
        MUST(points[i] == expected[i].position && owners[i] == expected[i].owner);
    }
    MUST(points[n] == UINT32_MAX && (n == 0 || owners[n] == owners[0]));
    check_index(before, change, &added.view, points, n);
    free(points);
    free(owners);
    close_points(&added);
}

/* ---- Moves --------------------------------------------------------------------------------- */

#define MOST_EDGES (2 * MOST_POINTS + 2)

/* All positions at which a range of one of the rings begins, and the end of the circle. */
static size_t list_edges(const fuzz_ring *before, const fuzz_ring *after, uint64_t *edges) {
    size_t n = 0;
    edges[n++] = 0;
    for (uint32_t i = 0; i < before->ring.point_count; i++) {
        edges[n++] = (uint64_t)before->points[i] + 1;
    }
    for (uint32_t i = 0; i < after->ring.point_count; i++) {
        edges[n++] = (uint64_t)after->points[i] + 1;
    }
    edges[n++] = (uint64_t)1 << 32;
    for (size_t i = 1; i < n; i++) {
        for (size_t at = i; at > 0 && edges[at - 1] > edges[at]; at--) {
            uint64_t higher = edges[at - 1];
            edges[at - 1] = edges[at];
            edges[at] = higher;
        }
    }
    return n;
}

static uint16_t owner_at(const fuzz_ring *ring, uint64_t position) {
    return ring->sorted[twin_first(ring->sorted, ring->ring.point_count, (uint32_t)position)].owner;
}

static size_t twin_moves(const fuzz_ring *before, const fuzz_ring *after, sh_move *moves) {
    uint64_t edges[MOST_EDGES];
    size_t edge_count = list_edges(before, after, edges), n = 0;
    for (size_t i = 0; i + 1 < edge_count; i++) {
        if (edges[i] == edges[i + 1]) {
            continue;
        }
        uint16_t source = owner_at(before, edges[i]), target = owner_at(after, edges[i]);
        if (twin_compare(before->names[source], after->names[target]) == 0) {
            continue;
        }
        bool goes_on = n > 0 && moves[n - 1].end == edges[i] && moves[n - 1].source == source &&
                       moves[n - 1].target == target;
        if (goes_on) {
            moves[n - 1].end = edges[i + 1];
        } else {
            moves[n++] = (sh_move){edges[i], edges[i + 1], source, target};
        }
    }
    return n;
}

static void check_moves(const fuzz_ring *before, const fuzz_ring *after) {
    sh_move expected[MOST_EDGES];
    size_t n = twin_moves(before, after, expected);
    uint32_t *same_as = room(after->ring.node_count * sizeof *same_as);
    for (uint32_t j = 0; j < after->ring.node_count; j++) {
        same_as[j] = SH_NODES_MAX;
        for (uint32_t i = 0; i < before->ring.node_count; i++) {
            if (twin_compare(before->names[i], after->names[j]) == 0) {
                same_as[j] = i;
            }
        }
    }
    MUST(sh_ring_moves(&before->ring, &after->ring, same_as, NULL) == n);
    sh_move *moves = room(n * sizeof *moves);
    MUST(sh_ring_moves(&before->ring, &after->ring, same_as, moves) == n);
    for (size_t i = 0; i < n; i++) {
        MUST(moves[i].start == expected[i].start && moves[i].end == expected[i].end);
        MUST(moves[i].source == expected[i].source && moves[i].target == expected[i].target);
    }
    free(moves);
    free(same_as);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    fuzz_input input = {data, size};
    fuzz_ring before, after;
    fuzz_change change;
    make_ring(&input, &before);
    make_change(&input, &before, &change);
    check_merge(&before, &change);
    make_ring(&input, &after);
    if (before.ring.point_count > 0 && after.ring.point_count > 0) {
        check_moves(&before, &after);
    }
    free_ring(&before);
    free_ring(&after);
    return 0;
}
