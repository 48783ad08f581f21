/* Rings: build, merge, look up, compare, check. */
#include "internal.h"

/* ---- Build --------------------------------------------------------------------------------- */

uint32_t sh_ring_index_shift(uint32_t point_count) {
    uint32_t bits = 1;
    while (bits < 31 && (uint64_t)1 << bits < (uint64_t)point_count + point_count / 2) {
        bits++;
    }
    return 32 - bits;
}

size_t sh_ring_index_size(uint32_t point_count) {
    return (size_t)1 << (32 - sh_ring_index_shift(point_count));
}

/* A point to sort: the position above, the node's number below. */
static inline uint64_t packed(uint32_t position, uint16_t owner) {
    return (uint64_t)position << 16 | owner;
}

static void write_xxh64_points(const sh_node *node, uint64_t *out) {
    for (uint32_t k = 0; k < node->point_count; k++) {
        uint64_t hash = sh_xxh64(node->name.data, node->name.size, k);
        out[k] = packed((uint32_t)(hash >> 32), node->owner);
    }
}

static void write_ketama_points(const sh_node *node, uint64_t *out) {
    uint32_t head[4];
    sh_md5_start(head);
    size_t done = sh_md5_blocks(head, node->name.data, node->name.size);
    uint8_t rest[64 + SH_DECIMAL_SIZE];
    size_t dash = node->name.size - done;
    if (dash > 0) {
        memcpy(rest, node->name.data + done, dash);
    }
    rest[dash] = '-';
    for (uint32_t k = 0; k < node->point_count; k += 4) {
        uint32_t words[4] = {head[0], head[1], head[2], head[3]};
        size_t size = dash + 1 + sh_decimal_u64(k / 4, rest + dash + 1);
        sh_md5_end(words, rest, size, done + size);
        for (size_t i = 0; i < 4; i++) {
            out[k + i] = packed(words[i], node->owner);
        }
    }
}

static size_t write_points(sh_points_rule rule, const sh_node *nodes, size_t node_count,
                           uint64_t *out) {
    size_t n = 0;
    for (size_t i = 0; i < node_count; i++) {
        if (rule == SH_POINTS_KETAMA) {
            write_ketama_points(&nodes[i], out + n);
        } else {
            write_xxh64_points(&nodes[i], out + n);
        }
        n += nodes[i].point_count;
    }
    return n;
}

#define RADIX_BITS_MAX 11

/* Move items to `to` in the order of `bits` bits of them from `shift` on; stable. */
static void radix_pass(const uint64_t *from, size_t n, uint32_t shift, uint32_t bits, uint64_t *to) {
    size_t starts[1u << RADIX_BITS_MAX];
    size_t radix = (size_t)1 << bits;
    memset(starts, 0, radix * sizeof *starts);
    for (size_t i = 0; i < n; i++) {
        starts[from[i] >> shift & (radix - 1)]++;
    }
    size_t sum = 0;
    for (size_t digit = 0; digit < radix; digit++) {
        size_t size = starts[digit];
        starts[digit] = sum;
        sum += size;
    }
    for (size_t i = 0; i < n; i++) {
        to[starts[from[i] >> shift & (radix - 1)]++] = from[i];
    }
}

/* Sort packed points by position, stable, and return where they are then: `items` or `other`. */
static const uint64_t *sort_points(uint64_t *items, uint64_t *other, size_t n) {
    /* Passes over the counts of 11 bits would be most of the work for the points of one node. */
    uint32_t bits = n < 4096 ? 8 : RADIX_BITS_MAX;
    for (uint32_t shift = 16; shift < 48; shift += bits) {
        radix_pass(items, n, shift, bits, other);
        uint64_t *sorted = other;
        other = items;
        items = sorted;
    }
    return items;
}

static uint32_t end_points(uint32_t *points, uint16_t *owners, size_t n) {
    points[n] = UINT32_MAX;
    owners[n] = n > 0 ? owners[0] : 0;
    return (uint32_t)n;
}

void sh_ring_build(sh_points_rule rule, const sh_node *nodes, size_t node_count,
                   uint64_t *scratch, uint32_t *points, uint16_t *owners) {
    size_t n = write_points(rule, nodes, node_count, scratch);
    const uint64_t *sorted = sort_points(scratch, scratch + n, n);
    for (size_t i = 0; i < n; i++) {
        points[i] = (uint32_t)(sorted[i] >> 16);
        owners[i] = (uint16_t)sorted[i];
    }
    end_points(points, owners, n);
}

/* Cells that are written at once. Nearly never a point has more, and a loop over just its own would
 * mispredict where it ends. */
#define CELLS_AT_ONCE 8

void sh_ring_index(const uint32_t *points, uint32_t point_count, uint32_t *index) {
    uint32_t shift = sh_ring_index_shift(point_count);
    size_t cells = sh_ring_index_size(point_count);
    size_t cell = 0; /* those before it are right */
    uint32_t i = 0;
    for (; i < point_count && cells - cell >= CELLS_AT_ONCE; i++) {
        size_t end = (size_t)(points[i] >> shift) + 1;
        /* Cells from `end` on are written again for the points that follow. */
        for (size_t k = 0; k < CELLS_AT_ONCE; k++) {
            index[cell + k] = i;
        }
        for (size_t k = cell + CELLS_AT_ONCE; k < end; k++) {
            index[k] = i;
        }
        cell = end;
    }
    for (; i < point_count; i++) {
        for (; cell <= points[i] >> shift; cell++) {
            index[cell] = i;
        }
    }
    for (; cell < cells; cell++) {
        index[cell] = point_count;
    }
}

void sh_ring_index_merge(const uint32_t *index_before, const sh_points *removed,
                         const sh_points *added, uint32_t point_count, uint32_t *index) {
    uint32_t shift = sh_ring_index_shift(point_count);
    size_t cells = sh_ring_index_size(point_count);
    uint32_t gone = 0, come = 0;
    for (size_t cell = 0; cell < cells;) {
        /* Where one of the two is at its end this is its sentinel, which is in the last cell. */
        uint32_t next_gone = removed->points[gone], next_come = added->points[come];
        uint32_t next = next_gone < next_come ? next_gone : next_come;
        size_t end = (size_t)(next >> shift) + 1;
        for (; cell < end; cell++) {
            index[cell] = index_before[cell] - gone + come;
        }
        gone += next_gone == next;
        come += next_come == next;
    }
}

/* ---- Merge --------------------------------------------------------------------------------- */

static int compare_names(sh_span a, sh_span b) {
    size_t size = a.size < b.size ? a.size : b.size;
    int order = size > 0 ? memcmp(a.data, b.data, size) : 0;
    return order != 0 ? order : (a.size > b.size) - (a.size < b.size);
}

/* Return the index of the first point of `kept` from `i` on that is at or after `point`: steps of
 * doubled size, then halves. */
static uint32_t skip_below(const sh_points *kept, uint32_t i, uint32_t point) {
    size_t at = i, step = 1;
    while (step <= kept->count - at && kept->points[at + step - 1] < point) {
        at += step;
        step *= 2;
    }
    while ((step /= 2) > 0) {
        if (step <= kept->count - at && kept->points[at + step - 1] < point) {
            at += step;
        }
    }
    return (uint32_t)at;
}

/* Return the new number of an old node, or SH_NODE_GONE. */
static inline uint16_t new_number(const uint16_t *renumbered, uint16_t owner) {
    return renumbered == NULL ? owner : renumbered[owner];
}

/* A ring while it is merged. There is always room for one point more than are written: that of
 * the sentinel. */
typedef struct merged_points {
    uint32_t *points;
    uint16_t *owners;
    size_t count;
} merged_points;

/* Append the points [i, end) of `kept` whose nodes stay. */
static void append_kept(merged_points *to, const sh_points *kept, const uint16_t *renumbered,
                        uint32_t i, uint32_t end) {
    size_t n = to->count;
    if (renumbered == NULL) {
        memcpy(to->points + n, kept->points + i, (size_t)(end - i) * sizeof *to->points);
        memcpy(to->owners + n, kept->owners + i, (size_t)(end - i) * sizeof *to->owners);
        to->count = n + (end - i);
        return;
    }
    for (; i < end; i++) {
        uint16_t owner = renumbered[kept->owners[i]];
        to->points[n] = kept->points[i];
        to->owners[n] = owner;
        n += owner != SH_NODE_GONE;
    }
    to->count = n;
}

uint32_t sh_ring_merge(const sh_points *kept, const uint16_t *renumbered, const sh_points *added,
                       const sh_span *names, uint32_t *points, uint16_t *owners) {
    merged_points to = {points, owners, 0};
    uint32_t i = 0;
    for (uint32_t j = 0; j < added->count; j++) {
        uint32_t point = added->points[j];
        uint32_t end = skip_below(kept, i, point);
        for (; end < kept->count && kept->points[end] == point; end++) {
            uint16_t owner = new_number(renumbered, kept->owners[end]);
            if (owner != SH_NODE_GONE && compare_names(names[owner], names[added->owners[j]]) > 0) {
                break;
            }
        }
        append_kept(&to, kept, renumbered, i, end);
        i = end;
        to.points[to.count] = point;
        to.owners[to.count++] = added->owners[j];
    }
    append_kept(&to, kept, renumbered, i, kept->count);
    return end_points(points, owners, to.count);
}

/* ---- Look up ------------------------------------------------------------------------------- */

static inline uint32_t position_of(const sh_ring *ring, uint64_t hash) {
    return (uint32_t)(hash >> ring->hash_shift);
}

/* Return the index of the first point at or after the position; past the end, the sentinel's. */
static inline uint32_t first_point(const sh_ring *ring, uint32_t position) {
    uint32_t i = ring->index[position >> ring->index_shift];
    while (ring->points[i] < position) {
        i++;
    }
    return i;
}

uint32_t sh_ring_lookup(const sh_ring *ring, uint64_t hash) {
    return ring->owners[first_point(ring, position_of(ring, hash))];
}

void sh_ring_lookup_n(const sh_ring *ring, uint64_t hash, size_t n, uint64_t *seen,
                      uint16_t *owners) {
    memset(seen, 0, SH_SEEN_WORDS(ring->node_count) * sizeof *seen);
    uint32_t i = first_point(ring, position_of(ring, hash));
    for (size_t found = 0; found < n; i++) {
        if (i >= ring->point_count) {
            i = 0;
        }
        uint16_t owner = ring->owners[i];
        uint64_t bit = (uint64_t)1 << owner % 64;
        if ((seen[owner / 64] & bit) == 0) {
            seen[owner / 64] |= bit;
            owners[found++] = owner;
        }
    }
}

/* Keys that are looked up at a time. Each of three passes over them fetches what the next one reads;
 * they are few enough for the CPU to begin a pass while the one before waits for memory: of 8 to 256,
 * 32 took the least time. */
#define AT_ONCE 32

/* The same for several hashes. Whether there is a step forward is as good as random, and a branch on
 * it mispredicted for every fourth key: so the first two are taken without one, which nearly always
 * is all. They cannot leave the sentinel, the highest position. */
static inline void lookup_some(const sh_ring *ring, const uint64_t *hashes, size_t count,
                               uint32_t *items) {
    uint32_t positions[AT_ONCE], starts[AT_ONCE];
    for (size_t i = 0; i < count; i++) {
        positions[i] = position_of(ring, hashes[i]);
        SH_PREFETCH(&ring->index[positions[i] >> ring->index_shift]);
    }
    for (size_t i = 0; i < count; i++) {
        starts[i] = ring->index[positions[i] >> ring->index_shift];
        SH_PREFETCH(&ring->points[starts[i]]);
        SH_PREFETCH(&ring->owners[starts[i]]);
    }
    for (size_t i = 0; i < count; i++) {
        uint32_t point = starts[i];
        point += ring->points[point] < positions[i];
        point += ring->points[point] < positions[i];
        while (ring->points[point] < positions[i]) {
            point++;
        }
        items[i] = ring->owners[point];
    }
}

static void finish_ring(const void *table, const uint64_t *hashes, size_t count, void *out) {
    const sh_ring ring = *(const sh_ring *)table;
    uint32_t *items = out;
    size_t i = 0;
    for (; count - i >= AT_ONCE; i += AT_ONCE) {
        lookup_some(&ring, hashes + i, AT_ONCE, items + i);
    }
    lookup_some(&ring, hashes + i, count - i, items + i);
}

sh_rule sh_rule_ring(const sh_ring *ring) {
    return (sh_rule){ring->hash, 0, finish_ring, ring, sizeof(uint32_t)};
}

/* ---- Compare ------------------------------------------------------------------------------- */

#define POSITIONS ((uint64_t)1 << 32)

/* Return the end of the range of positions that belongs to point i: the point itself is in it. */
static inline uint64_t range_end(const sh_ring *ring, uint32_t i) {
    return i < ring->point_count ? (uint64_t)ring->points[i] + 1 : POSITIONS;
}

static inline uint32_t skip_to(const sh_ring *ring, uint32_t i, uint64_t position) {
    while (range_end(ring, i) <= position) {
        i++;
    }
    return i;
}

size_t sh_ring_moves(const sh_ring *before, const sh_ring *after, const uint32_t *same_as,
                     sh_move *moves) {
    size_t n = 0;
    uint32_t i = 0, j = 0;
    sh_move last = {0, 0, 0, 0};
    for (uint64_t start = 0, end; start < POSITIONS; start = end) {
        i = skip_to(before, i, start);
        j = skip_to(after, j, start);
        uint64_t end_i = range_end(before, i), end_j = range_end(after, j);
        end = end_i < end_j ? end_i : end_j;
        uint16_t source = before->owners[i], target = after->owners[j];
        if (same_as[target] == source) {
            continue;
        }
        bool is_same_move =
            n > 0 && last.end == start && last.source == source && last.target == target;
        if (is_same_move) {
            last.end = end;
        } else {
            last = (sh_move){start, end, source, target};
            n++;
        }
        if (moves != NULL) {
            moves[n - 1] = last;
        }
    }
    return n;
}

/* ---- Check --------------------------------------------------------------------------------- */

static const char *validate_points(const sh_ring *ring, const sh_node *nodes) {
    for (uint32_t i = 0; i < ring->point_count; i++) {
        if (ring->owners[i] >= ring->node_count) {
            return "a point belongs to no node";
        }
        if (i > 0 && ring->points[i - 1] > ring->points[i]) {
            return "points do not ascend";
        }
        if (i > 0 && ring->points[i - 1] == ring->points[i] &&
            compare_names(nodes[ring->owners[i - 1]].name, nodes[ring->owners[i]].name) > 0) {
            return "a tie is not in the order of the names";
        }
    }
    if (ring->points[ring->point_count] != UINT32_MAX) {
        return "the sentinel is not the highest position";
    }
    if (ring->point_count > 0 && ring->owners[ring->point_count] != ring->owners[0]) {
        return "the sentinel does not wrap to the first point's owner";
    }
    return NULL;
}

static const char *validate_counts(const sh_ring *ring, const sh_node *nodes, uint32_t *counted) {
    for (uint32_t node = 0; node < ring->node_count; node++) {
        counted[node] = 0;
    }
    for (uint32_t i = 0; i < ring->point_count; i++) {
        counted[ring->owners[i]]++;
    }
    for (uint32_t node = 0; node < ring->node_count; node++) {
        if (counted[node] != nodes[node].point_count) {
            return "a node has not its number of points";
        }
    }
    return NULL;
}

static const char *validate_index(const sh_ring *ring) {
    if (ring->index_shift != sh_ring_index_shift(ring->point_count)) {
        return "the index is not of the size for this number of points";
    }
    uint32_t below = 0;
    for (size_t cell = 0; cell < sh_ring_index_size(ring->point_count); cell++) {
        uint64_t start = (uint64_t)cell << ring->index_shift;
        while (below < ring->point_count && ring->points[below] < start) {
            below++;
        }
        if (ring->index[cell] != below) {
            return "an index cell does not count the points before it";
        }
    }
    return NULL;
}

const char *sh_ring_validate(const sh_ring *ring, const sh_node *nodes, uint32_t *counted) {
    const char *reason = validate_points(ring, nodes);
    if (reason == NULL) {
        reason = validate_counts(ring, nodes, counted);
    }
    return reason != NULL ? reason : validate_index(ring);
}
