# The C core, as src/shardhash/shardhash.h documents it; keep the two alike.
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t


cdef extern from "shardhash.h" nogil:
    enum:
        SH_BLOCK
        SH_DECIMAL_SIZE
        SH_NODE_GONE
    const size_t SH_KEY_SIZE_MAX
    const uint32_t SH_NODES_MAX
    const uint32_t SH_POINTS_MAX

    ctypedef enum sh_status:
        SH_OK
        SH_ERR_KEY_SIZE
        SH_ERR_OFFSETS
        SH_ERR_VIEW
        SH_ERR_NEGATIVE

    ctypedef struct sh_span:
        const uint8_t *data
        size_t size

    ctypedef enum sh_hash:
        SH_HASH_CRC32
        SH_HASH_CRC16
        SH_HASH_XXH64
        SH_HASH_MURMUR2
        SH_HASH_MD5_KETAMA
        SH_HASH_FNV_TWEMPROXY
        SH_HASH_REDIS

    uint64_t sh_hash_span(sh_hash hash, uint64_t seed, sh_span key) noexcept

    ctypedef enum sh_layout:
        SH_KEYS_I8
        SH_KEYS_U8
        SH_KEYS_I16
        SH_KEYS_U16
        SH_KEYS_I32
        SH_KEYS_U32
        SH_KEYS_I64
        SH_KEYS_U64
        SH_KEYS_OFFSETS32
        SH_KEYS_OFFSETS64
        SH_KEYS_VIEWS

    ctypedef struct sh_keys:
        sh_layout layout
        size_t count
        const void *items
        const uint8_t *bytes
        const void *const *buffers
        const int64_t *buffer_sizes
        size_t buffer_count

    uint64_t sh_keys_integer(const sh_keys *keys, size_t i) noexcept

    ctypedef struct sh_texts:
        pass

    ctypedef void sh_finish(
        const void *table, const uint64_t *hashes, size_t count, void *out) noexcept

    ctypedef struct sh_rule:
        sh_hash hash
        uint64_t seed
        sh_finish *finish
        const void *table
        size_t item_size

    sh_rule sh_rule_hash(sh_hash hash, uint64_t seed) noexcept
    sh_status sh_keys_spans(const sh_keys *keys, size_t start, size_t count, sh_texts *texts,
                            sh_span *spans, size_t *bad) noexcept
    void sh_spans_apply(const sh_rule *rule, const sh_span *spans, size_t count,
                        void *out) noexcept
    sh_status sh_keys_apply(const sh_rule *rule, const sh_keys *keys, void *out,
                            size_t *bad) noexcept
    size_t sh_first_null(const uint8_t *bitmap, size_t offset, size_t count) noexcept

    ctypedef struct sh_ring:
        const uint32_t *points
        const uint16_t *owners
        const uint32_t *index
        uint32_t point_count
        uint32_t node_count
        uint32_t index_shift
        uint32_t hash_shift
        sh_hash hash

    ctypedef struct sh_node:
        sh_span name
        uint32_t point_count
        uint16_t owner

    ctypedef struct sh_points:
        const uint32_t *points
        const uint16_t *owners
        uint32_t count

    ctypedef struct sh_move:
        uint64_t start
        uint64_t end
        uint16_t source
        uint16_t target

    uint32_t sh_ring_index_shift(uint32_t point_count) noexcept
    size_t sh_ring_index_size(uint32_t point_count) noexcept
    ctypedef enum sh_points_rule:
        SH_POINTS_XXH64
        SH_POINTS_KETAMA

    void sh_ring_build(sh_points_rule rule, const sh_node *nodes, size_t node_count,
                       uint64_t *scratch, uint32_t *points, uint16_t *owners) noexcept
    void sh_ring_index(const uint32_t *points, uint32_t point_count, uint32_t *index) noexcept
    uint32_t sh_ring_merge(const sh_points *kept, const uint16_t *renumbered,
                           const sh_points *added, const sh_span *names, uint32_t *points,
                           uint16_t *owners) noexcept
    void sh_ring_index_merge(const uint32_t *index_before, const sh_points *removed,
                             const sh_points *added, uint32_t point_count,
                             uint32_t *index) noexcept
    uint32_t sh_ring_lookup(const sh_ring *ring, uint64_t hash) noexcept
    size_t SH_SEEN_WORDS(size_t node_count) noexcept
    void sh_ring_lookup_n(const sh_ring *ring, uint64_t hash, size_t n, uint64_t *seen,
                          uint16_t *owners) noexcept
    sh_rule sh_rule_ring(const sh_ring *ring) noexcept
    size_t sh_ring_moves(const sh_ring *before, const sh_ring *after, const uint32_t *same_as,
                         sh_move *moves) noexcept
    const char *sh_ring_validate(const sh_ring *ring, const sh_node *nodes,
                                 uint32_t *counted) noexcept

    ctypedef struct sh_slots:
        const uint16_t *owners
        uint32_t slot_count
        sh_hash hash

    uint32_t sh_slots_slot(const sh_slots *slots, uint64_t hash) noexcept
    sh_rule sh_rule_slot(const sh_slots *slots) noexcept
    sh_rule sh_rule_slot_owner(const sh_slots *slots) noexcept
    size_t sh_others(uint32_t *items, size_t count, uint32_t owner) noexcept

    sh_rule sh_rule_kafka(const uint32_t *partition_count) noexcept
    uint32_t sh_jump(uint64_t hash, uint32_t n) noexcept
    sh_status sh_keys_jump(const sh_keys *hashes, uint32_t n, uint32_t *out, size_t *bad) noexcept
    uint64_t sh_des_null(uint64_t block) noexcept
    void sh_keys_des_null(const sh_keys *values, uint64_t *out) noexcept

    ctypedef enum sh_packet:
        SH_PACKET_ROW
        SH_PACKET_CUT
        SH_PACKET_OTHER

    sh_packet sh_row_read(sh_span data, uint8_t sequence, size_t field_count, sh_span *fields,
                          size_t *packet_size) noexcept
    bint sh_decimal_read(sh_span text, int64_t *value) noexcept
