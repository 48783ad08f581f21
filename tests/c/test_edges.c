/* Keys that begin or end where readable memory does: hashes may read no byte beside them, also where
 * they load more than a key and drop the rest. */
#define _DEFAULT_SOURCE /* for MAP_ANONYMOUS */
#include <sys/mman.h>
#include <unistd.h>

#include "check.h"
#include "ways.h"

#define LAST_HASH SH_HASH_REDIS
#define MOST_BYTES 200
#define AT_ONCE 8

/* Return a readable page between two that may not be touched. */
static uint8_t *guarded_page(size_t page_size) {
    uint8_t *pages = mmap(NULL, 3 * page_size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pages == MAP_FAILED || mprotect(pages + page_size, page_size, PROT_READ | PROT_WRITE) != 0) {
        abort();
    }
    return pages + page_size;
}

static void check_key(sh_hash hash, sh_span key) {
    sh_span keys[AT_ONCE];
    uint64_t hashes[AT_ONCE], expected = sh_hash_span(hash, 3, key);
    hash_way *ways[MOST_WAYS];
    size_t way_count = ways_of(hash, ways);
    for (size_t i = 0; i < AT_ONCE; i++) {
        keys[i] = key;
    }
    sh_hash_spans(hash, 3, keys, AT_ONCE, hashes);
    CHECK(hashes[0] == expected && hashes[AT_ONCE - 1] == expected);
    for (size_t way = 0; way < way_count; way++) {
        ways[way](keys, AT_ONCE, 3, hashes);
        CHECK(hashes[0] == expected && hashes[AT_ONCE - 1] == expected);
    }
}

int main(void) {
    size_t page_size = (size_t)sysconf(_SC_PAGESIZE);
    uint8_t *page = guarded_page(page_size);
    for (size_t i = 0; i < page_size; i++) {
        page[i] = (uint8_t)(53 * i + 17);
    }
    for (int hash = SH_HASH_CRC32; hash <= LAST_HASH; hash++) {
        for (size_t size = 0; size <= MOST_BYTES; size++) {
            check_key((sh_hash)hash, (sh_span){page, size});
            check_key((sh_hash)hash, (sh_span){page + page_size - size, size});
        }
    }
    return check_failures != 0;
}
