#include "cpython_keys.h"

/* Objects of a list are far apart, and each is a miss of the cache or two. A block is fetched while
 * the one before it is hashed and placed: all of the time is used for fetching, none to wait. */
#define AHEAD SHPY_BLOCK

#if defined(__GNUC__) || defined(__clang__)
#define PREFETCH(address) __builtin_prefetch(address)
#else
#define PREFETCH(address) ((void)(address))
#endif

Py_ssize_t shpy_spans(PyObject *const *keys, Py_ssize_t available, sh_texts *texts,
                      sh_span *spans) {
    Py_ssize_t count = available < SHPY_BLOCK ? available : SHPY_BLOCK;
    for (Py_ssize_t i = 0; i < count; i++) {
        if (i + AHEAD < available) {
            /* The text of a short str or bytes begins within the next 64 bytes. */
            PREFETCH(keys[i + AHEAD]);
            PREFETCH((const char *)keys[i + AHEAD] + 48);
        }
        if (!shpy_span(keys[i], texts->text[i], &spans[i])) {
            return i;
        }
    }
    return count;
}
