"""Whether tables are joined so that matching rows are on one shard."""

from dataclasses import dataclass, field

from shardhash.db.query._refusal import Refusal
from shardhash.db.query._scopes import Item

__all__ = ["APART", "Joins", "can_join", "follow_both", "is_strict"]

APART = "ask for the parts one by one, and pass the first answer to the second as parameters"

Edge = tuple[Item, Item]


@dataclass(frozen=True, slots=True)
class _OuterJoin:
    """A LEFT, RIGHT or FULL JOIN of `item` to what stood before it; `edges` are ON's equal keys."""

    side: str
    before: tuple[Item, ...]
    item: Item
    edges: tuple[Edge, ...]

    def problem(self, strong: list[Edge]) -> Refusal | None:
        """Return why shards cannot do it apart."""
        others = [other for other in self.before if other.is_sharded]
        keeps_item, keeps_others = self.side != "LEFT", self.side != "RIGHT"
        if (keeps_others and not others and self.item.is_sharded) or (
            keeps_item and others and not self.item.is_sharded
        ):
            return Refusal(
                "an outer join keeps the rows of a table that every shard has whole, matched or "
                "not, and the matches are on other shards",
                "keep the rows of the sharded table instead, or " + APART,
            )
        if not others or not self.item.is_sharded:
            return None
        pairs = [*self.edges, *strong]
        if any(self.item in pair and (pair[0] in others or pair[1] in others) for pair in pairs):
            return None
        return _not_joined(others[0], self.item)


@dataclass(slots=True)
class Joins:
    """The joins of one FROM.

    ``strong`` are keys that are equal in every row that matters; ``bound`` are entries whose key
    equals one of the query around.
    """

    strong: list[Edge] = field(default_factory=list)
    outer: list[_OuterJoin] = field(default_factory=list)
    bound: list[Item] = field(default_factory=list)

    def add(self, side: str, before: list[Item], item: Item, edges: list[Edge]) -> None:
        """Note a join, and whose rows follow whose."""
        if not side:
            for one, other in edges:
                follow_both(one, other)
            self.strong.extend(edges)
            return
        self.outer.append(_OuterJoin(side, tuple(before), item, tuple(edges)))
        for one, other in edges:
            mine, theirs = (one, other) if one is item else (other, one)
            if mine is item and side == "LEFT":
                mine.node.follows.append(theirs.node)
            elif mine is item and side == "RIGHT":
                theirs.node.follows.append(mine.node)

    def problem(self, items: list[Item]) -> Refusal | None:
        """Return why rows that match can be on different shards."""
        for join in self.outer:
            found = join.problem(self.strong)
            if found:
                return found
        optional = [join.item for join in self.outer]
        inner = [item for item in items if item.is_sharded and item not in optional]
        joined = self._reached(inner[:1])
        lone = next((item for item in inner if item not in joined), None)
        return _not_joined(inner[0], lone) if lone else None

    def _reached(self, start: list[Item]) -> list[Item]:
        """Return what equal keys lead to; an outer join leads to its own entry only."""
        joined = list(start)
        steps = list(self.strong)
        steps += [(other, one) for one, other in self.strong]
        steps += [
            (other if one is join.item else one, join.item)
            for join in self.outer
            for one, other in join.edges
        ]
        if any(item in self.bound for item in joined):
            joined += self.bound
        grew = True
        while grew:
            found = [there for here, there in steps if here in joined and there not in joined]
            joined += found
            if any(item in self.bound for item in joined):
                joined += [item for item in self.bound if item not in joined]
            grew = bool(found)
        return joined


def follow_both(one: Item, other: Item) -> None:
    """Let the limits of two entries hold for each other."""
    one.node.follows.append(other.node)
    other.node.follows.append(one.node)


def can_join(one: Item, other: Item) -> bool:
    """Tell whether rows with equal keys of two entries are on one shard."""
    if not one.mapping or one.mapping != other.mapping:
        return False
    return all(item.key_facts is not None and item.key_facts.pins_exactly for item in (one, other))


def is_strict(item: Item) -> bool:
    """Tell whether an entry's key is of one shard in every row, and never NULL."""
    return item.is_strict and not item.is_nullable


def _not_joined(one: Item, other: Item) -> Refusal:
    names = f"{one.alias or 'a subquery'} and {other.alias or 'a subquery'}"
    if one.mapping != other.mapping:
        return Refusal(
            f"{names} are of different mappings ({one.mapping}, {other.mapping}): their rows are "
            "not on the same shards",
            APART,
        )
    for item in (one, other):
        if item.key_facts is not None and not item.key_facts.pins_exactly:
            return Refusal(
                f"{names} are joined by a text key that the server compares by a collation, so "
                "equal keys can be on different shards",
                item.key_facts.folding_advice,
            )
    keys = [f"{item.alias}.{min(item.keys, default='key')}" for item in (one, other)]
    return Refusal(
        f"{names} are not joined by the shard key: matching rows can be on different shards",
        f"add AND {keys[0]} = {keys[1]} to the join, or " + APART,
    )
