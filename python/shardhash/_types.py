"""Types that all placements share: keys, bulk keys and the `Placement` protocol."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol, SupportsIndex, TypeAlias, TypeVar, runtime_checkable

if TYPE_CHECKING:
    from uuid import UUID

    from typing_extensions import Buffer, CapsuleType

__all__ = ["ArrowArray", "ArrowStream", "Key", "Keys", "Placement"]

Key: TypeAlias = "str | bytes | SupportsIndex | UUID"
"""What has key bytes. bool is a SupportsIndex to type checkers, and refused at run time."""


class ArrowArray(Protocol):
    """An Arrow array, of any library: https://arrow.apache.org/docs/format/CDataInterface.html."""

    def __arrow_c_array__(
        self, requested_schema: "CapsuleType | None" = None
    ) -> "tuple[CapsuleType, CapsuleType]":
        """Return the capsules of a schema and an array."""


class ArrowStream(Protocol):
    """A stream of Arrow arrays, such as a chunked array or a column of a data frame."""

    def __arrow_c_stream__(self, requested_schema: "CapsuleType | None" = None) -> "CapsuleType":
        """Return the capsule of a stream."""


Keys: TypeAlias = "Iterable[Key] | Buffer | ArrowArray | ArrowStream"
"""Bulk keys: a list or other iterable of keys, an integer buffer, an Arrow array or stream."""

_K_contra = TypeVar("_K_contra", contravariant=True)


@runtime_checkable
class Placement(Protocol[_K_contra]):
    """What gives each key an owner: HashRing, SlotMap and RangeMap, all immutable.

    Its parameter is the type of keys: ``Placement[Key]`` is any that hashes them.
    """

    @property
    def owners(self) -> tuple[str, ...]:
        """The owners that indices refer to."""

    def lookup(self, key: _K_contra, /) -> str:
        """Return the owner of a key.

        Raises:
            KeyTypeError: the value is no key of this placement.
            PlacementError: there is no owner.
        """

    def lookup_many(self, keys: Iterable[_K_contra], *, out: "Buffer | None" = None) -> memoryview:
        """Return the index in `owners` of each key's owner, uint32[len(keys)].

        Args:
            keys: bulk keys; `Keys` lists their forms for placements that hash.
            out: a writable contiguous buffer of len(keys) unsigned 4-byte items to use instead of
                a new one; its content is undefined after an error.

        Raises:
            KeyTypeError: a value is no key of this placement; the message names the first.
            PlacementError: there is no owner; keys or `out` of a wrong shape.
        """

    def partition(self, keys: Iterable[_K_contra]) -> Mapping[str, Sequence[object]]:
        """Return the keys of each owner that got one: owners in order, keys in input order.

        Raises:
            KeyTypeError: a value is no key of this placement; the message names the first.
            PlacementError: there is no owner; keys of a wrong shape.
        """
