/*
 * shardhash: hashing keys and placing them, in plain C11.
 *
 * This header is the manual. Rules that hold for everything in it:
 *
 *  - Nothing allocates, prints, keeps state or locks: callers pass arrays and keep them. All
 *    functions may run in any number of threads at once, as long as nobody writes their inputs.
 *  - Nothing depends on the byte order or word size of the machine. Hash values and placements
 *    are stable since 0.1: other machines and languages rely on them.
 *  - Ranges are half-open, [start, end). `uint32_t points[n]` means n readable items.
 *  - A pointer may be NULL only where it says so, or where its length is 0.
 *  - Preconditions that the status codes do not cover are the caller's; bounds of arrays that
 *    come from outside (key batches) are checked here.
 *  - Arrays are aligned for their type; the `items` and `buffer_sizes` of key batches need not be.
 *    What is written overlaps nothing that is read, unless it says "in place".
 *  - A function that returns no sh_status cannot fail. After an error the output is undefined, but
 *    not overrun; `*bad` is written only then.
 *  - Which instructions are used depends on the CPU, results do not. The stack takes up to 20 KB.
 *
 * How a ring comes to be: sh_ring_build writes its points and sh_ring_index their index, into arrays
 * of the sizes that stand there; an sh_ring refers to both. Then sh_ring_lookup places the hash of
 * one key, from sh_hash_span, and sh_keys_apply with sh_rule_ring those of a batch. A table of slots
 * is filled in by hand: see sh_slots.
 *
 * Words: a key's bytes are hashed; the hash gives a position on a ring or a slot of a table; the
 * point or slot there belongs to an owner, a number below the count of nodes or shards.
 */
#ifndef SHARDHASH_H
#define SHARDHASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Keys that are worked on at a time: hash all, finish all. */
#define SH_BLOCK 256
/* The longest key: what Java's and Arrow's signed 32-bit lengths hold. */
#define SH_KEY_SIZE_MAX ((size_t)0x7FFFFFFF)
/* Bytes that sh_decimal_* may write; the longest text has 20. */
#define SH_DECIMAL_SIZE 24
#define SH_NODES_MAX 65535u
#define SH_POINTS_MAX 0x80000000u

typedef enum sh_status {
    SH_OK = 0,
    SH_ERR_KEY_SIZE, /* a key longer than SH_KEY_SIZE_MAX */
    SH_ERR_OFFSETS,  /* offsets that are negative or run backwards, or point into no data */
    SH_ERR_VIEW,     /* a view with a negative size, or outside its buffer */
    SH_ERR_NEGATIVE  /* an integer below 0 where none may be */
} sh_status;

/* `size` bytes at `data`, at most SH_KEY_SIZE_MAX if it is a key; borrowed. `data` may be NULL if
 * `size` is 0. */
typedef struct sh_span {
    const uint8_t *data;
    size_t size;
} sh_span;

/* ---- Hashes of one key -------------------------------------------------------------------- */

/* CRC-32 of zlib, PNG and SQL's CRC32(): polynomial 0xEDB88320 reflected, both ends inverted. */
uint32_t sh_crc32(const uint8_t *data, size_t size);

/* CRC-16/XMODEM, Redis Cluster's: polynomial 0x1021, start 0, nothing reflected or inverted. */
uint16_t sh_crc16(const uint8_t *data, size_t size);

/* XXH64. Source: https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md */
uint64_t sh_xxh64(const uint8_t *data, size_t size, uint64_t seed);

/* MurmurHash2 with Kafka's seed 0x9747b28c, unsigned; size <= SH_KEY_SIZE_MAX.
 * Source: org.apache.kafka.common.utils.Utils.murmur2 */
uint32_t sh_murmur2(const uint8_t *data, size_t size);

/* MD5 (RFC 1321) as four words; its bytes are the words in little-endian order. */
void sh_md5(const uint8_t *data, size_t size, uint32_t words[4]);

typedef enum sh_hash {
    SH_HASH_CRC32,
    SH_HASH_CRC16,
    SH_HASH_XXH64, /* the only one that uses a seed */
    SH_HASH_MURMUR2,
    SH_HASH_MD5_KETAMA,   /* the first word of MD5, as ketama takes it */
    SH_HASH_FNV_TWEMPROXY, /* FNV-1a 64 cut to 32 bits, bytes signed: twemproxy's fnv1a_64.
                             Source: src/hashkit/nc_fnv.c of github.com/twitter/twemproxy */
    SH_HASH_REDIS         /* CRC-16 of the key, or of its hash tag: of the bytes, if any, between
                             the first '{' and the next '}'.
                             Source: "Redis cluster specification", Hash tags */
} sh_hash;

/* Return the hash of one key, zero-extended to 64 bits. */
uint64_t sh_hash_span(sh_hash hash, uint64_t seed, sh_span key);

/* Write the hash of each of `count` keys to hashes[0 .. count); any count. Much faster a key than
 * sh_hash_span, if there are eight or more. */
void sh_hash_spans(sh_hash hash, uint64_t seed, const sh_span *keys, size_t count,
                   uint64_t *hashes);

/* ---- Decimal text -------------------------------------------------------------------------- */

/* Write the decimal text of `value`, without a terminator, and return its size (1 to 20).
 * Up to SH_DECIMAL_SIZE bytes of `text` are written; those after the text are undefined. */
size_t sh_decimal_u64(uint64_t value, uint8_t *text);
size_t sh_decimal_i64(int64_t value, uint8_t *text);

/* ---- Many keys ----------------------------------------------------------------------------- */

typedef enum sh_layout {
    SH_KEYS_I8, /* native integers, hashed as their decimal text; need not be aligned */
    SH_KEYS_U8,
    SH_KEYS_I16,
    SH_KEYS_U16,
    SH_KEYS_I32,
    SH_KEYS_U32,
    SH_KEYS_I64,
    SH_KEYS_U64,
    SH_KEYS_OFFSETS32, /* Arrow string or binary: int32 offsets[count + 1] into `bytes` */
    SH_KEYS_OFFSETS64, /* Arrow large_string or large_binary: int64 offsets[count + 1] */
    SH_KEYS_VIEWS      /* Arrow string_view or binary_view: 16-byte views[count] */
} sh_layout;

/* A batch of keys as others lay them out in memory; borrowed, never written. */
typedef struct sh_keys {
    sh_layout layout;
    size_t count;
    const void *items;           /* integers, offsets or views; may be NULL if count is 0 */
    const uint8_t *bytes;        /* what offsets refer to; may be NULL if all keys are empty */
    const void *const *buffers;  /* what views refer to: buffers[buffer_count] */
    const int64_t *buffer_sizes; /* bytes of each buffer */
    size_t buffer_count;
} sh_keys;

/* Return whether the integers of a layout have a sign. */
bool sh_layout_is_signed(sh_layout layout);

/* Return item i of a batch of integers as 64 bits, two's complement if it is negative. */
uint64_t sh_keys_integer(const sh_keys *keys, size_t i);

/* Memory for the texts of one block of integer keys, each anywhere in its row. */
#define SH_TEXT_SIZE 32
typedef struct sh_texts {
    uint8_t text[SH_BLOCK][SH_TEXT_SIZE];
} sh_texts;

/*
 * Write the key bytes of keys [start, start + count) as spans; count <= SH_BLOCK.
 * Integer keys are written into `texts`, other spans point into the batch's own memory.
 * Offsets and views are checked as far as they can be: the size of `bytes` is not known.
 * On an error `*bad` is the index of the offending key in the batch, and the spans are undefined.
 */
sh_status sh_keys_spans(const sh_keys *keys, size_t start, size_t count, sh_texts *texts,
                        sh_span *spans, size_t *bad);

/* Turn `count` <= SH_BLOCK hashes into `count` items of `out`, asking `table` if the rule has one. */
typedef void sh_finish(const void *table, const uint64_t *hashes, size_t count, void *out);

/* How a key becomes a number: hash it, then finish. Built by the sh_rule_* functions. */
typedef struct sh_rule {
    sh_hash hash;
    uint64_t seed;
    sh_finish *finish;
    const void *table; /* borrowed: it must live as long as the rule is used */
    size_t item_size;  /* bytes of one item of `out`, which is aligned for it */
} sh_rule;

/* The hash itself: uint16 for CRC-16, uint64 for XXH64, uint32 for the others. */
sh_rule sh_rule_hash(sh_hash hash, uint64_t seed);

/* Write rule(key) for every span to out[0 .. count); any count. */
void sh_spans_apply(const sh_rule *rule, const sh_span *spans, size_t count, void *out);

/* Write rule(key) for every key of the batch to out[0 .. keys->count).
 * On an error `*bad` is the index of the offending key; `out` is undefined, never overrun. */
sh_status sh_keys_apply(const sh_rule *rule, const sh_keys *keys, void *out, size_t *bad);

/* Return the index of the first of `count` keys whose bit in the Arrow validity `bitmap`,
 * from bit `offset` on, is 0; or `count` if all are valid. */
size_t sh_first_null(const uint8_t *bitmap, size_t offset, size_t count);

/* ---- Ring ---------------------------------------------------------------------------------- */

/*
 * A ring of weighted nodes. All arrays are borrowed.
 *
 * Invariants (sh_ring_validate checks them):
 *  - points ascend; ties are in the order of their owners' names, as UTF-8 bytes;
 *  - owners[i] < node_count is the owner of points[i];
 *  - points[point_count] is a sentinel, UINT32_MAX, and owners[point_count] == owners[0]: that is
 *    the wrap of the circle;
 *  - index[c], for each of 1 << (32 - index_shift) cells, is the number of points below the first
 *    position of the cell, c << index_shift.
 *
 * The first point at or after a position is then index[position >> index_shift], and some steps
 * forward: about two cells for each point keep the steps below one on average.
 */
typedef struct sh_ring {
    const uint32_t *points; /* [point_count + 1] */
    const uint16_t *owners; /* [point_count + 1] */
    const uint32_t *index;  /* [sh_ring_index_size(point_count)] */
    uint32_t point_count;   /* 0 to SH_POINTS_MAX; lookups need at least 1 */
    uint32_t node_count;    /* 0 to SH_NODES_MAX */
    uint32_t index_shift;   /* sh_ring_index_shift(point_count): 1 to 31 */
    uint32_t hash_shift;    /* a position is (uint32_t)(hash >> hash_shift) */
    sh_hash hash;           /* of a key, with seed 0 */
} sh_ring;

/* A node to put on a ring. */
typedef struct sh_node {
    sh_span name;         /* UTF-8 */
    uint32_t point_count; /* at least 1; with SH_POINTS_KETAMA any multiple of 4 */
    uint16_t owner;       /* its number on the ring */
} sh_node;

/* A range [start, end) of positions, 0 <= start < end <= 2^32, that changes its owner. */
typedef struct sh_move {
    uint64_t start;
    uint64_t end;
    uint16_t source; /* owner on the ring before */
    uint16_t target; /* owner on the ring after, in that ring's numbers */
} sh_move;

/* Return the shift or the cells of the index for a ring of `point_count` points. */
uint32_t sh_ring_index_shift(uint32_t point_count);
size_t sh_ring_index_size(uint32_t point_count);

/* Where point k of a node is, k in [0, point_count). */
typedef enum sh_points_rule {
    SH_POINTS_XXH64, /* the high half of XXH64(name, seed k) */
    SH_POINTS_KETAMA /* word k % 4 of the MD5 of name, "-" and the decimal text of k / 4.
                        Source: libketama/ketama.c of github.com/RJ/ketama */
} sh_points_rule;

/*
 * Write the sorted points of some nodes, and the sentinel.
 *
 *   nodes    in ascending order of their names, as UTF-8 bytes: ties stay in this order
 *   scratch  uint64_t[2 * n], where n is the sum of the nodes' points, n <= SH_POINTS_MAX
 *   points   uint32_t[n + 1], written
 *   owners   uint16_t[n + 1], written
 *
 * Complexity: radix sort, linear in n.
 */
void sh_ring_build(sh_points_rule rule, const sh_node *nodes, size_t node_count,
                   uint64_t *scratch, uint32_t *points, uint16_t *owners);

/* Write the index of sorted `points`; `index` has sh_ring_index_size(point_count) items. */
void sh_ring_index(const uint32_t *points, uint32_t point_count, uint32_t *index);

/* The points of one ring, sorted, with their sentinel; no index. */
typedef struct sh_points {
    const uint32_t *points;
    const uint16_t *owners;
    uint32_t count;
} sh_points;

/* In sh_ring_merge's `renumbered`: the node is not on the new ring. */
#define SH_NODE_GONE 0xFFFFu

/*
 * Write the points of a ring after some nodes left and some came, and the sentinel.
 *
 *   kept        the ring before; its owners have numbers of the ring before
 *   renumbered  uint16_t[old node count]: the new number of each old node, or SH_NODE_GONE;
 *               NULL if all stay and keep their numbers, which takes the least time
 *   added       sorted points of the nodes that came (from sh_ring_build), with new numbers
 *   names       sh_span[new node count], for ties
 *   points, owners   written; room for one more item than points stay and come
 *
 * Returns the number of points without the sentinel. Complexity: linear, one pass.
 */
uint32_t sh_ring_merge(const sh_points *kept, const uint16_t *renumbered, const sh_points *added,
                       const sh_span *names, uint32_t *points, uint16_t *owners);

/* Write the index of the `point_count` points of a ring from which the points `removed` went and to
 * which `added` came. `index_before` is that of the ring before, and must be of the same size. It
 * takes a fifth of the time of sh_ring_index. */
void sh_ring_index_merge(const uint32_t *index_before, const sh_points *removed,
                         const sh_points *added, uint32_t point_count, uint32_t *index);

/* Return the owner of a hash; point_count >= 1. */
uint32_t sh_ring_lookup(const sh_ring *ring, uint64_t hash);

/* Words of sh_ring_lookup_n's `seen` for a ring of so many nodes. */
#define SH_SEEN_WORDS(node_count) (((size_t)(node_count) + 63) / 64)

/* Write to owners[0 .. n) the first n distinct owners from a hash on, in ring order.
 * 1 <= n <= the number of nodes that have a point; `seen` is scratch of SH_SEEN_WORDS(node_count)
 * words. */
void sh_ring_lookup_n(const sh_ring *ring, uint64_t hash, size_t n, uint64_t *seen,
                      uint16_t *owners);

/* Rule: the owner of a key on the ring, as uint32. The ring is borrowed. */
sh_rule sh_rule_ring(const sh_ring *ring);

/*
 * Write the ranges of positions whose owner differs between two rings with points, ascending,
 * touching ranges of the same source and target merged, and return how many there are.
 *
 *   same_as  uint32_t[after->node_count]: for each node of `after` its number on `before`, or any
 *            number that no node of `before` has
 *   moves    room for that many, or NULL to count only; before->point_count +
 *            after->point_count + 1 is always enough
 *
 * Complexity: linear in the points of both.
 */
size_t sh_ring_moves(const sh_ring *before, const sh_ring *after, const uint32_t *same_as,
                     sh_move *moves);

/* Return NULL if the ring keeps its invariants, else a sentence about the first broken one.
 *   nodes   sh_node[node_count], nodes[i].owner == i: every node must have its number of points
 *   counted uint32_t[node_count], scratch */
const char *sh_ring_validate(const sh_ring *ring, const sh_node *nodes, uint32_t *counted);

/* ---- Slots --------------------------------------------------------------------------------- */

/* A table of slots: slot = hash & (slot_count - 1). Arrays are borrowed. */
typedef struct sh_slots {
    const uint16_t *owners; /* [slot_count] */
    uint32_t slot_count;    /* a power of two, 1 to 65,536 */
    sh_hash hash;           /* of a key, with seed 0 */
} sh_slots;

/* Return the slot of a hash. */
uint32_t sh_slots_slot(const sh_slots *slots, uint64_t hash);

/* Rules: the slot of a key as uint16, and the owner of its slot as uint32. */
sh_rule sh_rule_slot(const sh_slots *slots);
sh_rule sh_rule_slot_owner(const sh_slots *slots);

/* Replace items[0 .. count), owners, by the ascending positions of those that are not `owner`,
 * in place from the start, and return how many there are. count <= 2^32. */
size_t sh_others(uint32_t *items, size_t count, uint32_t owner);

/* ---- Rules of others ----------------------------------------------------------------------- */

/* Rule: the partition of Kafka's default partitioner, (murmur2 & 0x7FFFFFFF) % *partition_count,
 * as uint32. The count, 1 to 2^31 - 1, is borrowed. */
sh_rule sh_rule_kafka(const uint32_t *partition_count);

/* Return the owner, below n, that jump consistent hash gives a hash; 1 <= n <= 2^31 - 1.
 * Complexity: about ln(n) steps.
 * Source: Lamping and Veach, "A Fast, Minimal Memory, Consistent Hash Algorithm", 2014 */
uint32_t sh_jump(uint64_t hash, uint32_t n);

/* Write the owner of each hash of a batch of integers to out[0 .. hashes->count).
 * SH_ERR_NEGATIVE if one is: `*bad` is its index, `out` is undefined. */
sh_status sh_keys_jump(const sh_keys *hashes, uint32_t n, uint32_t *out, size_t *bad);

/* Return a block encrypted by DES with a key of zeros; the most significant byte is the first.
 * Vitess's vindex "hash" is that of a number. No secret: placing only.
 * Source: FIPS 46-3; go/vt/vtgate/vindexes/hash.go of github.com/vitessio/vitess */
uint64_t sh_des_null(uint64_t block);

/* Write sh_des_null of each of a batch of integers to out[0 .. values->count). */
void sh_keys_des_null(const sh_keys *values, uint64_t *out);

/* ---- Rows from a server ---------------------------------------------------------------------- */

typedef enum sh_packet {
    SH_PACKET_ROW,
    SH_PACKET_CUT,  /* the data ends before the packet does */
    SH_PACKET_OTHER /* no row of so many fields: the end, an error, one that goes on in the next
                       packet, or out of order */
} sh_packet;

/* Read the row packet that `data` begins with, of the client protocol of MySQL and MariaDB: header,
 * then a text for each field. `fields` point into `data`; that of a NULL has a NULL pointer.
 * `*packet_size`, with the header, is written for SH_PACKET_ROW only.
 * `sequence` is the number that the packet must have.
 * Source: https://mariadb.com/kb/en/result-set-packets/#text-resultset-row */
sh_packet sh_row_read(sh_span data, uint8_t sequence, size_t field_count, sh_span *fields,
                      size_t *packet_size);

/* Read a number of at most 18 decimal digits, perhaps after '-'; false if the text is no such. */
bool sh_decimal_read(sh_span text, int64_t *value);

#ifdef __cplusplus
}
#endif

#endif
