/* Rings of arbitrary points, for the harnesses. */
#ifndef SHARDHASH_FUZZ_RINGS_H
#define SHARDHASH_FUZZ_RINGS_H

#include "fuzz.h"
#include "twins.h"

#define MOST_NODES 8
#define MOST_POINTS 40

/* A ring in heap blocks without a byte to spare, and its points as the twin sorts them. */
typedef struct fuzz_ring {
    sh_ring ring;
    sh_node nodes[MOST_NODES];
    sh_span names[MOST_NODES];
    uint32_t *points;
    uint16_t *owners;
    uint32_t *index;
    twin_point sorted[MOST_POINTS];
    uint32_t with_points; /* nodes that have a point */
} fuzz_ring;

/* Return a position: mostly one of few, so that ties and neighbours are likely. */
uint32_t take_position(fuzz_input *input);

/* Return a name from a short list in which names are prefixes of others. */
sh_span take_name(fuzz_input *input);

/* Fill made->names with distinct names, and return how many. */
uint32_t take_names(fuzz_input *input, sh_span names[MOST_NODES]);

/* Make a ring of arbitrary points, sorted by the twin; the index is the core's. */
void make_ring(fuzz_input *input, fuzz_ring *made);

/* Make a ring of the given names and sorted points. */
void place_ring(fuzz_ring *made, uint32_t node_count, const twin_point *sorted, size_t count);

void free_ring(fuzz_ring *made);

#endif
