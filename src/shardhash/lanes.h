/* One 64-bit number for each of eight keys, for the files that work on eight at a time. To be
 * included where SH_HAS_X86_TARGETS. */
#ifndef SHARDHASH_LANES_H
#define SHARDHASH_LANES_H

#include <immintrin.h>

#include "internal.h"

/* Before every function that uses lanes. */
#define LANES_TARGET __attribute__((target(SH_WIDE_FEATURES)))

typedef uint64_t lanes __attribute__((vector_size(64)));

LANES_TARGET static inline lanes all(uint64_t value) {
    return (lanes)_mm512_set1_epi64((long long)value);
}

/* Return `then` where the mask says so, else `otherwise`. */
LANES_TARGET static inline lanes choose(__mmask8 mask, lanes then, lanes otherwise) {
    return (lanes)_mm512_mask_mov_epi64((__m512i)otherwise, mask, (__m512i)then);
}

LANES_TARGET static inline __mmask8 at_least(lanes numbers, uint64_t least) {
    return _mm512_cmpge_epu64_mask((__m512i)numbers, (__m512i)all(least));
}

#endif
