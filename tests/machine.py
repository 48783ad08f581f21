"""Random operations, writers and deaths on a whole cluster, beside a dictionary of what is true."""

import sqlite3
from collections import Counter
from collections.abc import Callable
from typing import Any

import pymysql
from hypothesis import event
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from crash_cases import AnyCluster
from crash_states import FileCluster
from machine_shards import FIRST_ROWS, KEYS, MAPPING, SLOTS, TABLES, Seen, Shards, slot_of
from mortality import Moment, Mortality, bury
from shardhash.db import Cluster
from shardhash.db.journal import OperationState
from shardhash.db.operations import Operations
from shardhash.db.plan import Plan, StepKind
from shardhash.errors import (
    DatabaseError,
    RefusedError,
    ShardhashError,
    UsageError,
    WrongShardError,
)

MOST_SHARDS = 4

TALLY: Counter[str] = Counter()
"""How often what happened, in this process."""


def note(what: str) -> None:
    """Count something that happened, for Hypothesis and for whoever reads the tally."""
    event(what)
    TALLY[what] += 1


deaths = st.one_of(
    st.none(),
    st.integers(1, 1100),
    st.integers(1, 200),
    st.sampled_from(
        [
            StepKind.HOLD,
            StepKind.OPEN,
            StepKind.PRUNE_PAGES,
            StepKind.FLIP,
            StepKind.VERIFY,
            StepKind.GUARD,
            StepKind.UNPUBLISH,
        ]
    ),
)
indexes = st.integers(0, 10**6)


class ClusterMachine(RuleBasedStateMachine):
    """`truth` has every row whose write was acknowledged, and no other."""

    cluster: AnyCluster
    base: Any
    points: Mortality

    def __init__(self) -> None:
        super().__init__()
        self.cluster.restore(self.base)
        self.shards = Shards(self.cluster)
        self.truth: dict[tuple[str, str], tuple[int, int]] = {
            (table, code): (k, x) for table, code, k, x in FIRST_ROWS
        }
        self.buried = self.points.deaths
        self.is_guarded = True
        self.has_strays = False
        self.unfinished: OperationState | None = None
        self.owners_before: list[str] = []
        self.made = 0
        self.configs = [self.shards.config]

    @property
    def is_calm(self) -> bool:
        return self.unfinished is None

    @property
    def may_move(self) -> bool:
        return self.is_calm and not self.has_strays

    def _new(self, kind: str) -> str:
        self.made += 1
        return f"{kind}{self.made}"

    def _begin(self, plan: Callable[[Operations], Plan], die_at: Moment) -> bool:
        """Plan and apply, dying on the way or not; tell whether there was anything to apply."""
        self.owners_before = self.shards.owners
        with Cluster.open(self.cluster.config_path) as opened:
            try:
                planned = plan(opened.operations)
            except (RefusedError, UsageError) as error:
                note(f"plan refused: {type(error).__name__}")
                return False
            note(f"operation: {planned.operation}")
            with self.points.dying_at(die_at, planned):
                opened.operations.apply(planned)
        self._look()
        return True

    def _look(self) -> None:
        """See which operation has not ended, and what the map is now."""
        if self.points.deaths > self.buried:
            self.buried = self.points.deaths
            bury()
        if not isinstance(self.cluster, FileCluster):
            self.cluster.settle()
        with Cluster.open(self.cluster.config_path) as opened:
            found = [state for state in opened.operations.list() if not state.is_ended]
        turning = [state for state in found if state.instead_of]
        self.unfinished = (turning or found or [None])[-1]  # type: ignore[list-item]
        self.configs.append(self.shards.config)
        if self.is_calm and self.shards.config.mapping(MAPPING).owners:
            states = [self.shards.seen(shard).states for shard in self.shards.names]
            self.is_guarded = any(states)

    @property
    def _how(self) -> dict[str, bool]:
        """How moves are made safe."""
        return {"freeze": True} if self.is_guarded else {"app_stopped": True}

    @precondition(lambda self: self.may_move and len(self.shards.names) < MOST_SHARDS)
    @rule(instance=st.sampled_from("ab"), die_at=deaths)
    def allocate(self, instance: str, die_at: Moment) -> None:
        name = self._new("s9")
        self._begin(
            lambda ops: ops.plan_allocate(
                name, instance=instance, mapping=MAPPING, guards=self.is_guarded
            ),
            die_at,
        )

    @precondition(lambda self: self.may_move and len(self.shards.names) < MOST_SHARDS)
    @rule(source=indexes, instance=st.sampled_from("ab"), die_at=deaths)
    def split(self, source: int, instance: str, die_at: Moment) -> None:
        name, shard = self._new("s8"), self.shards.names[source % len(self.shards.names)]
        self._begin(lambda ops: ops.plan_split(shard, name, instance=instance, **self._how), die_at)

    @precondition(lambda self: self.may_move and len(self.shards.names) > 1)
    @rule(giver=indexes, taker=indexes, slots=st.sets(st.integers(0, SLOTS - 1), min_size=1),
          quarantine=st.booleans(), die_at=deaths)  # fmt: skip
    def move(
        self, giver: int, taker: int, slots: set[int], quarantine: bool, die_at: Moment
    ) -> None:
        owners = self.shards.owners
        source = sorted(set(owners))[giver % len(set(owners))]
        targets = [shard for shard in self.shards.names if shard != source]
        owned = [slot for slot in range(SLOTS) if owners[slot] == source]
        chosen = [slot for slot in owned if slot in slots] or owned[:1]
        self._begin(
            lambda ops: ops.plan_move(
                source,
                targets[taker % len(targets)],
                slots=",".join(map(str, chosen)),
                quarantine=quarantine,
                **self._how,
            ),
            die_at,
        )

    @precondition(lambda self: self.may_move and len(self.shards.names) > 1)
    @rule(shard=indexes, die_at=deaths)
    def drain(self, shard: int, die_at: Moment) -> None:
        name = self.shards.names[shard % len(self.shards.names)]
        self._begin(lambda ops: ops.plan_remove(name, drain=True, **self._how), die_at)

    @precondition(lambda self: self.may_move and not self.shards.copies)
    @rule(shard=indexes, instance=st.sampled_from("ab"), die_at=deaths)
    def clone(self, shard: int, instance: str, die_at: Moment) -> None:
        name, source = self._new("copy"), self.shards.names[shard % len(self.shards.names)]
        self._begin(lambda ops: ops.plan_clone(source, name, instance=instance), die_at)

    @precondition(lambda self: self.may_move and self.shards.copies)
    @rule(shard=indexes, die_at=deaths)
    def attach(self, shard: int, die_at: Moment) -> None:
        source = self.shards.names[shard % len(self.shards.names)]
        self._begin(
            lambda ops: ops.plan_attach(self.shards.copies[0], slots_of=source, **self._how), die_at
        )

    @precondition(lambda self: self.may_move and self.shards.copies)
    @rule(die_at=deaths)
    def remove_copy(self, die_at: Moment) -> None:
        self._begin(lambda ops: ops.plan_remove(self.shards.copies[0]), die_at)

    @precondition(lambda self: self.may_move)
    @rule(is_wanted=st.sampled_from([True, True, True, False]), die_at=deaths)
    def guard(self, is_wanted: bool, die_at: Moment) -> None:
        wanted = not self.is_guarded
        if not wanted and is_wanted:
            return
        self._begin(lambda ops: ops.plan_guard(MAPPING, wanted=wanted), die_at)

    @precondition(lambda self: self.may_move and len(self.shards.names) > 1)
    @rule(shard=indexes, owner=indexes)
    def stray(self, shard: int, owner: int) -> None:
        """Put rows of one shard on another too, past its guards."""
        name = self.shards.names[shard % len(self.shards.names)]
        others = [each for each in self.shards.names if each != name]
        given = others[owner % len(others)]
        rows = [(table, self.shards.ask(given, f"SELECT * FROM {table}")) for table in TABLES]
        place = self.shards.config.shard(name)
        statements = [
            f"INSERT INTO {table} VALUES ({', '.join(map(repr, row))})"
            for table, found in rows
            for row in found
        ]
        self.cluster.execute(place.instance, place.database, statements)
        self.has_strays = bool(statements)

    @precondition(lambda self: self.is_calm and self.has_strays)
    @rule(quarantine=st.booleans(), die_at=deaths)
    def prune(self, quarantine: bool, die_at: Moment) -> None:
        for shard in self.shards.names:
            self._begin(lambda ops, name=shard: ops.plan_prune(name, quarantine=quarantine), die_at)
            if not self.is_calm:
                return
        if die_at is None:
            self.has_strays = False

    @precondition(lambda self: not self.is_calm)
    @rule(die_at=deaths)
    def resume(self, die_at: Moment) -> None:
        self._end("resume", die_at)

    @precondition(lambda self: not self.is_calm)
    @rule(die_at=deaths)
    def abort(self, die_at: Moment) -> None:
        if self._end("abort", die_at) and self.is_calm and die_at is None:
            assert self.shards.owners == self.owners_before, "an abort leaves the map as it was"

    @precondition(lambda self: not self.is_calm)
    @rule(die_at=deaths)
    def undo(self, die_at: Moment) -> None:
        if self._end("undo", die_at) and self.is_calm and die_at is None:
            assert self.shards.owners == self.owners_before, "an undo leaves the map as it was"

    def _end(self, how: str, die_at: Moment) -> bool:
        """Go on with the operation or turn it around; tell whether that was not refused."""
        assert self.unfinished is not None, "there is one"
        operation, plan = self.unfinished.id, self.unfinished.plan
        name = plan.operation
        try:
            with (
                Cluster.open(self.cluster.config_path) as opened,
                self.points.dying_at(die_at, plan),
            ):
                getattr(opened.operations, how)(operation)
        except (RefusedError, UsageError) as error:
            if how == "resume":
                raise
            note(f"{how} of {name} refused: {type(error).__name__}")
            return False
        finally:
            self._look()
        note(f"{how} of {name}")
        return True

    def _may_write(self) -> bool:
        """Tell whether an application may be at work: nothing refuses its writes without guards."""
        if self.is_calm:
            return True
        assert self.unfinished is not None, "there is one"
        return self.is_guarded and not self.unfinished.plan.app_stopped

    @precondition(_may_write)
    @rule(
        what=st.sampled_from(["insert", "update", "delete"]),
        table=st.sampled_from(TABLES),
        chosen=indexes,
        via=st.sampled_from(["present", "present", "old", "raw", "raw"]),
        which=indexes,
    )
    def write(self, what: str, table: str, chosen: int, via: str, which: int) -> None:
        self.made += 1
        known = sorted(key for key in self.truth if key[0] == table)
        if what == "insert" or not known or self.has_strays:  # which stay where they differ
            what, code, key = "insert", f"row{self.made}", chosen % KEYS
        else:
            code = known[chosen % len(known)][1]
            key = self.truth[table, code][0]
        content = self.made
        sql, values = {
            "insert": (f"INSERT INTO {table} (code, k, x) VALUES (%s, %s, %s)",
                       (code, key, content)),
            "update": (f"UPDATE {table} SET x = %s WHERE k = %s AND code = %s",
                       (content, key, code)),
            "delete": (f"DELETE FROM {table} WHERE k = %s AND code = %s", (key, code)),
        }[what]  # fmt: skip
        must = via == "present" and self._accepts(key)
        is_written = getattr(self, f"_write_{via}")(sql, values, key, which)
        note(f"{what} {via}: {'written' if is_written else 'not written'}")
        assert is_written or not must, f"{what} of {key} was refused by its owner"
        if is_written:
            if what == "delete":
                del self.truth[table, code]
            else:
                self.truth[table, code] = (key, content)

    def _accepts(self, key: int) -> bool:
        """Tell whether the owner of a key has to take a write."""
        slot = slot_of(key)
        return self.shards.seen(self.shards.owners[slot]).states.get(slot, "owned") == "owned"

    def _write_present(self, sql: str, values: tuple[Any, ...], key: int, which: int) -> bool:
        with Cluster.open(self.cluster.config_path, refresh_s=10**6) as opened:
            try:
                return opened.query(sql, values).row_count == 1
            except WrongShardError:
                return False

    def _write_old(self, sql: str, values: tuple[Any, ...], key: int, which: int) -> bool:
        """Write by a map of some time ago, which is read anew when a guard refuses the write."""
        if not self.is_guarded:
            return False
        config = self.configs[which % len(self.configs)]
        with Cluster(config, store=self.shards.store, refresh_s=10**6) as opened:
            try:
                return opened.query(sql, values).row_count == 1
            except (WrongShardError, DatabaseError):
                return False

    def _write_raw(self, sql: str, values: tuple[Any, ...], key: int, which: int) -> bool:
        """Write to any shard as a client does that knows no map."""
        if not self.is_guarded or self._changes_guards():
            return False
        names = [*self.shards.names, *self.shards.copies]
        name = names[which % len(names)]
        count, refusal = 0, "reload the map"
        try:
            count = self.shards.write(name, sql, values)
        except (sqlite3.IntegrityError, pymysql.err.OperationalError) as error:
            refusal = str(error)
        assert "reload the map" in refusal, "a guard says what to do"
        assert not count or self.shards.owners[slot_of(key)] == name, (
            f"{name} took a write that is not its"
        )
        return count == 1

    def _changes_guards(self) -> bool:
        kinds = {StepKind.GUARD, StepKind.UNGUARD}
        return self.unfinished is not None and any(
            step.kind in kinds for step in self.unfinished.plan.steps
        )

    @invariant()
    def nothing_is_lost_or_doubled(self) -> None:
        owners = self.shards.owners
        seen = {shard: self.shards.seen(shard) for shard in self.shards.names}
        expected = sorted((t, code, k, x) for (t, code), (k, x) in self.truth.items())
        owned = [
            row
            for shard, found in seen.items()
            for row in found.rows
            if owners[slot_of(row[2])] == shard
        ]
        assert sorted(owned) == expected, "each shard has the rows of the slots that it owns"
        ids = Counter(number for found in seen.values() for number in found.ids)
        assert not [number for number, count in ids.items() if count > 1], "ids are given out once"
        self._check_states(seen)
        if self.is_calm:
            self._check_calm(seen, len(expected))

    def _check_states(self, seen: dict[str, Seen]) -> None:
        for slot in range(SLOTS):
            takers = [s for s, found in seen.items() if found.states.get(slot) == "owned"]
            assert len(takers) <= 1, f"slot {slot} is open on {takers}"

    def _check_calm(self, seen: dict[str, Seen], count: int) -> None:
        """Check what holds where no operation is under way."""
        owners = self.shards.owners
        if self.is_guarded:
            for shard, found in seen.items():
                wrong = {
                    slot: state
                    for slot, state in found.states.items()
                    if (state == "owned") != (owners[slot] == shard) or state == "fenced"
                }
                assert not wrong, f"states on {shard} are {wrong}"
        if not self.has_strays:
            assert sum(len(found.rows) for found in seen.values()) == count, "no row is left behind"
        assert not self.shards.config.mapping(MAPPING).unowned
        assert not [record for found in seen.values() for record in found.records]

    @precondition(lambda self: not self.has_strays)
    @invariant()
    def a_fan_out_counts_each_row_once(self) -> None:
        with Cluster.open(self.cluster.config_path, refresh_s=10**6) as opened:
            for table in TABLES:
                found = sorted(opened.query(f"SELECT code, k, x FROM {table}"))
                expected = sorted(
                    (code, k, x) for (t, code), (k, x) in self.truth.items() if t == table
                )
                assert found == expected, f"a fan-out over {table} finds other rows"

    @rule(key=st.integers(0, KEYS - 1), table=st.sampled_from(TABLES))
    def read_pinned(self, key: int, table: str) -> None:
        with Cluster.open(self.cluster.config_path, refresh_s=10**6) as opened:
            found = sorted(opened.query(f"SELECT code, x FROM {table} WHERE k = %s", (key,)))
        expected = sorted(
            (code, x) for (t, code), (k, x) in self.truth.items() if (t, k) == (table, key)
        )
        assert found == expected

    def teardown(self) -> None:
        """End what has not ended, and look once more."""
        try:
            while not self.is_calm:
                self._end("resume", None)
            self.nothing_is_lost_or_doubled()
        except ShardhashError as error:
            raise AssertionError(f"stuck: {error}") from error
