"""Rings after any sequence of changes: valid, and the same as if built at once."""

import copy
import pickle

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from reference.ring import HashRingTwin, KetamaTwin
from shardhash import HashRing
from strategies import hash_keys, names, weighted, weights


class RingMachine(RuleBasedStateMachine):
    """`nodes` is what the ring must have, in its order."""

    @initialize(
        scheme=st.sampled_from(["xxh64", "xxh64", "ketama", "ketama-twemproxy"]),
        factor=st.integers(1, 12),
        nodes=weighted(0, 12),
    )
    def start(self, scheme: str, factor: int, nodes: dict[str, float]) -> None:
        self.options = {"scheme": scheme}
        if scheme == "xxh64":
            self.options["points_per_weight"] = factor
        self.nodes = nodes
        self.ring = self.built()

    def built(self) -> HashRing:
        return HashRing(self.nodes, **self.options)

    @rule(added=weighted(0, 4))
    def add(self, added: dict[str, float]) -> None:
        fresh = {name: weight for name, weight in added.items() if name not in self.nodes}
        self.ring = self.ring.updated(add=fresh)
        self.nodes = {**self.nodes, **fresh}

    @precondition(lambda self: self.nodes)
    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        gone = data.draw(st.sets(st.sampled_from(sorted(self.nodes)), min_size=1, max_size=3))
        self.ring = self.ring.updated(remove=gone)
        self.nodes = {name: self.nodes[name] for name in self.nodes if name not in gone}

    @precondition(lambda self: self.nodes)
    @rule(data=st.data(), weight=weights)
    def reweight(self, data: st.DataObject, weight: float) -> None:
        name = data.draw(st.sampled_from(sorted(self.nodes)))
        self.ring = self.ring.updated(remove=[name], add={name: weight})
        self.nodes = {**self.nodes, name: weight}

    @precondition(lambda self: self.nodes)
    @rule(data=st.data(), name=names, weight=weights)
    def replace(self, data: st.DataObject, name: str, weight: float) -> None:
        gone = data.draw(st.sampled_from(sorted(self.nodes)))
        if name in self.nodes:
            return
        self.ring = self.ring.updated(remove=[gone], add={name: weight})
        del (left := dict(self.nodes))[gone]
        self.nodes = {**left, name: weight}

    @rule(
        again=st.sampled_from([copy.copy, copy.deepcopy, lambda r: pickle.loads(pickle.dumps(r))])
    )
    def carry_over(self, again: object) -> None:
        self.ring = again(self.ring)

    @rule(keys=st.lists(hash_keys, min_size=1, max_size=5))
    def look_up(self, keys: list[object]) -> None:
        if not self.ring.point_count:
            return
        scheme = self.options["scheme"]
        twin = (
            HashRingTwin(self.nodes, self.options["points_per_weight"])
            if scheme == "xxh64"
            else KetamaTwin(self.nodes, scheme)
        )
        assert [self.ring.lookup(key) for key in keys] == [twin.lookup(key) for key in keys]

    @invariant()
    def is_valid_and_as_if_built_at_once(self) -> None:
        if not hasattr(self, "ring"):
            return
        self.ring._validate()
        built = self.built()
        assert self.ring == built
        assert [part.tobytes() for part in self.ring._points()] == [
            part.tobytes() for part in built._points()
        ]


TestRingMachine = RingMachine.TestCase
