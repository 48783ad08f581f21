"""Plan moves of slots between shards: move, split, drain and their undo. Pure."""

from collections.abc import Mapping as MappingABC
from collections.abc import Sequence
from dataclasses import dataclass, field

from shardhash.db.plan import Plan, Step, StepKind
from shardhash.db.planning.allocate import AllocateFacts, allocate_steps, copy_global
from shardhash.db.planning.hazards import check_room
from shardhash.db.planning.movable import (
    MovableFacts,
    check_movable,
    check_names,
    counts_from_highest,
    numbers_itself,
    parents_first,
)
from shardhash.db.planning.steps import (
    FENCE_WAIT_S,
    MovingTable,
    Transfer,
    finish_steps,
    prune_pages,
    transfer_steps,
)
from shardhash.db.topology import Mapping
from shardhash.errors import PreflightError, RefusedError
from shardhash.slots import SlotSet

__all__ = ["MoveFacts", "MoveOptions", "plan_moves", "plan_undo"]


@dataclass(frozen=True, slots=True, kw_only=True)
class MoveOptions:
    """What was asked for beside the slots.

    Attributes:
        freeze: refuse writes to the moving slots while they are copied.
        app_stopped: nobody writes, so that guards are not needed.
        quarantine: keep what the final prune deletes, for ``undo``.
        sync: the target is a copy of the source: compare, and copy what differs.
        fence_wait_s: how long the fence waits for the transactions in its way.
        target_free_bytes: the room on each target, as whoever asks says.
    """

    freeze: bool = False
    app_stopped: bool = False
    quarantine: bool = False
    sync: bool = False
    fence_wait_s: float = FENCE_WAIT_S
    target_free_bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MoveFacts:
    """The slots that go from one shard to another, and what was read of the tables.

    ``unguarded`` says, by shard, what is wrong with its guards; empty: they hold. ``strangers``
    counts, by table, rows of a copy that are in none of the slots: they would be in the cluster
    twice. ``free_bytes`` is the room that the target is known to have.
    """

    source: str
    target: str
    slots: SlotSet
    tables: Sequence[MovableFacts]
    unguarded: MappingABC[str, str] = field(default_factory=dict)
    strangers: MappingABC[str, int] = field(default_factory=dict)
    free_bytes: int | None = None


def plan_moves(
    operation: str,
    shard: str,
    mapping: Mapping,
    moves: Sequence[MoveFacts],
    *,
    options: MoveOptions,
    config_version: str,
    identities: MappingABC[str, str],
    allocate: AllocateFacts | None = None,
    first_steps: Sequence[Step] = (),
    last_steps: Sequence[Step] = (),
) -> Plan:
    """Return the plan that moves slots, one move after the other.

    Args:
        operation: ``"move"``, ``"split"``, ``"remove"`` or ``"attach"``.
        shard: the shard that the operation is named for.
        mapping: whose slots move.
        moves: from one shard to another each; their tables were read together.
        options: what was asked for.
        config_version: version of the configuration.
        identities: by shard what tells its database from others.
        allocate: the shard to make first, where there is one.
        first_steps: what comes between making a shard and moving rows.
        last_steps: what follows when all rows have moved.

    Raises:
        RefusedError: neither frozen nor stopped.
        PreflightError: rows could not be moved exactly.
    """
    _check_freeze(operation, options)
    steps: list[Step] = []
    finish: list[Step] = []
    for move in moves:
        _check(move, mapping, options)
    if not options.sync:
        _check_room(moves)
    steps += allocate_steps(allocate) if allocate else []
    steps += first_steps
    steps += _number_ids(moves)
    if options.sync:
        steps += _compare_globals(moves, mapping)
    for move in moves:
        transfer = _transfer(move, mapping, options)
        steps += transfer_steps(transfer)
        finish += finish_steps(transfer)
    steps += [*_one_hold(finish), *last_steps]
    shards = {name for move in moves for name in (move.source, move.target)} | {shard}
    shards |= {step.shard for step in steps}
    return Plan(
        operation=operation,
        shard=shard,
        mapping=mapping.name,
        config_version=config_version,
        steps=tuple(steps),
        shards=tuple(sorted(shards)),
        new_shards=allocate.new_shards if allocate else {},
        identities=dict(sorted(identities.items())),
        fingerprints=_fingerprints(moves),
        quarantine=options.quarantine,
        app_stopped=options.app_stopped,
        point_of_no_return=_first_flip(steps),
        warnings=tuple(_warnings(moves, options)),
    )


def plan_undo(
    plan: Plan,
    operation: str,
    transfer: Transfer,
    *,
    config_version: str,
    fingerprints: MappingABC[str, str],
) -> Plan:
    """Return the plan that turns a move around after its flip and before its prune.

    Once nobody reads by the map of before the flip, the new owner is frozen, the old copy on the
    source is deleted with the proof recorded by the move, and then the slots move back as ever.
    """
    back = Transfer(
        mapping=transfer.mapping,
        slots=transfer.slots,
        source=transfer.target,
        target=transfer.source,
        tables=transfer.tables,
        guards=transfer.guards,
        is_published=True,
    )
    forth = transfer_steps(back)
    first = [step for step in forth if step.kind is StepKind.FENCE]
    rest = [step for step in forth if step.kind is not StepKind.FENCE]
    opened = [step for step in transfer_steps(transfer) if step.kind is StepKind.OPEN]
    held = [step for step in finish_steps(transfer) if step.kind is StepKind.HOLD]
    cleared = [
        prune_pages(transfer, table, recorded_by=operation) for table in reversed(transfer.tables)
    ]
    numbered = [
        _number_step(back.target, step.arguments["tables"])
        for step in plan.steps
        if step.kind is StepKind.NUMBER_IDS and step.shard == transfer.target
    ]
    before = [*opened, *held, *numbered, *first]
    steps = [*before, *cleared, *rest, *finish_steps(back)]
    return Plan(
        operation="undo",
        shard=plan.shard,
        mapping=plan.mapping,
        config_version=config_version,
        steps=tuple(steps),
        shards=plan.shards,
        identities=plan.identities,
        fingerprints=dict(sorted(fingerprints.items())),
        app_stopped=plan.app_stopped,
        point_of_no_return=len(before),
        warnings=(f"turns operation {operation} around: it cannot be resumed then",),
    )


def _check_freeze(operation: str, options: MoveOptions) -> None:
    if not (options.freeze or options.app_stopped):
        raise RefusedError(
            f"{operation} refuses writes to the moving slots while they are copied, and must be "
            "told so",
            next_step="add --freeze; reads go on, and all other slots are undisturbed",
        )


def _check(move: MoveFacts, mapping: Mapping, options: MoveOptions) -> None:
    if not move.slots:
        raise PreflightError(
            f"there are no slots to move from {move.source} to {move.target}",
            next_step="shardhash shard list shows what each shard owns",
        )
    for each in move.tables:
        check_movable(each, move.source, move.target, sync=options.sync)
    check_names(move.tables, mapping.global_tables)
    for table, count in sorted(move.strangers.items()):
        raise PreflightError(
            f"{move.target} holds {count} rows of {table} that are in none of {move.source}'s "
            "slots, or have no key: they would be in the cluster twice",
            next_step=f"delete them on {move.target}, then plan again",
        )
    if not options.app_stopped:
        for shard, problem in sorted(move.unguarded.items()):
            raise PreflightError(
                f"shard {shard} would not refuse writes to the moving slots: {problem}",
                next_step=f"shardhash mapping guard {mapping.name} on --apply; or stop the "
                "application and add --app-stopped",
            )


def _check_room(moves: Sequence[MoveFacts]) -> None:
    for target in dict.fromkeys(move.target for move in moves):
        to_it = [move for move in moves if move.target == target]
        needed = sum(each.size_bytes or 0 for move in to_it for each in move.tables)
        check_room(target, needed, to_it[0].free_bytes)


def _transfer(move: MoveFacts, mapping: Mapping, options: MoveOptions) -> Transfer:
    return Transfer(
        mapping=mapping.name,
        slots=move.slots,
        source=move.source,
        target=move.target,
        tables=[
            MovingTable(each.name, each.rule.key, each.rows, each.size_bytes)
            for each in parents_first(move.tables)
        ],
        guards=not options.app_stopped,
        sync=options.sync,
        quarantine=options.quarantine,
        fence_wait_s=options.fence_wait_s,
    )


def _number_ids(moves: Sequence[MoveFacts]) -> list[Step]:
    """Give each target a new band of ids: a row that comes in would push its counter up."""
    steps = []
    for target in dict.fromkeys(move.target for move in moves):
        tables = {
            each.name
            for move in moves
            if move.target == target
            for each in move.tables
            if numbers_itself(each.source)
        }
        if tables:
            steps.append(_number_step(target, sorted(tables)))
    return steps


def _number_step(shard: str, tables: Sequence[str]) -> Step:
    return Step(
        kind=StepKind.NUMBER_IDS,
        shard=shard,
        title=f"give {shard} a band of ids that no shard had",
        check="a band more does no harm",
        arguments={"tables": list(tables)},
    )


def _compare_globals(moves: Sequence[MoveFacts], mapping: Mapping) -> list[Step]:
    """Bring the global tables of a copy up to date before it becomes a shard."""
    return [
        copy_global(move.target, move.source, name)
        for move in moves
        for name in mapping.global_tables
    ]


def _one_hold(steps: Sequence[Step]) -> list[Step]:
    """Return the steps with their waits made one, ahead of them all."""
    holds = [step for step in steps if step.kind is StepKind.HOLD]
    return [*holds[:1], *(step for step in steps if step.kind is not StepKind.HOLD)]


def _first_flip(steps: Sequence[Step]) -> int | None:
    return next((i for i, step in enumerate(steps) if step.kind is StepKind.FLIP), None)


def _fingerprints(moves: Sequence[MoveFacts]) -> dict[str, str]:
    found = {}
    for move in moves:
        for each in move.tables:
            found[f"{move.source}.{each.name}"] = each.source.fingerprint
            if each.target is not None:
                found[f"{move.target}.{each.name}"] = each.target.fingerprint
    return dict(sorted(found.items()))


def _warnings(moves: Sequence[MoveFacts], options: MoveOptions) -> list[str]:
    found = []
    if options.app_stopped:
        found.append("THE APPLICATION MUST BE STOPPED: nothing refuses its writes while rows move")
    found += [
        f"{each.name}: {each.null_keys} rows have no key and stay on {move.source}"
        for move in moves
        for each in move.tables
        if each.null_keys
    ]
    found += [
        f"{name}: SQLite numbers new rows from the highest id of each shard, so two shards may "
        "give out one id: let the application give ids, or declare the key AUTOINCREMENT"
        for name in dict.fromkeys(
            each.name for move in moves for each in move.tables if counts_from_highest(each.source)
        )
    ]
    return found
