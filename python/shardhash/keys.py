"""The canonical bytes of a key, which every hash and every placement starts from.

    >>> key_bytes(42), key_bytes("42"), key_bytes(b"42")
    (b'42', b'42', b'42')

The rules are in docs/reference/bytes.md; they are a promise.
"""

from shardhash._core import key_bytes
from shardhash._types import Key, Keys

__all__ = ["Key", "Keys", "key_bytes"]
