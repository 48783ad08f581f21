/* ketama's hash of short keys, several at once: a body that hash_md5.c includes for each width of
 * vectors.
 *
 * Before, define NAME, TARGET (attributes), LANE_BYTES (of a vector) and GROUPS (of vectors). NAME
 * takes keys of at most SH_MD5_SHORT bytes. */

#define LANES ((size_t)GROUPS * LANE_BYTES / 4)

TARGET static void NAME(const sh_span *keys, size_t count, uint64_t *hashes) {
    typedef uint32_t vector __attribute__((vector_size(LANE_BYTES)));
    union {
        vector vectors[16][GROUPS];
        uint32_t lanes[16][LANES];
    } words, first;
    memset(&words, 0, sizeof words);
    for (size_t start = 0; start < count; start += LANES) {
        size_t size = count - start < LANES ? count - start : LANES;
        size_t used = 0;
        for (size_t i = 0; i < size; i++) {
            size_t n = fill_lane(keys[start + i], LANES, &words.lanes[0][i]);
            used = n > used ? n : used;
        }
        vector a[GROUPS], b[GROUPS], c[GROUPS], d[GROUPS];
        for (int g = 0; g < GROUPS; g++) {
            a[g] = (vector){0} + START[0];
            b[g] = (vector){0} + START[1];
            c[g] = (vector){0} + START[2];
            d[g] = (vector){0} + START[3];
        }
#define WORD(i, g) words.vectors[i][g]
        SH_MD5_STEPS(GROUPS, WORD)
#undef WORD
        for (int g = 0; g < GROUPS; g++) {
            first.vectors[0][g] = a[g] + START[0];
        }
        for (size_t i = 0; i < size; i++) {
            hashes[start + i] = first.lanes[0][i];
        }
        memset(&words, 0, used * sizeof words.lanes[0]);
    }
}

#undef LANES
#undef NAME
#undef TARGET
#undef LANE_BYTES
#undef GROUPS
