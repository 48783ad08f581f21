"""What turns a finished step around: moves between flip and prune, prunes with quarantine."""

from collections.abc import Callable, Iterable, Mapping

from shardhash.db.config import Config
from shardhash.db.journal import OperationState, Phase, read_operations
from shardhash.db.plan import Plan, Step, StepKind
from shardhash.db.planning.move import plan_undo
from shardhash.db.planning.steps import MovingTable, Transfer
from shardhash.db.schema import row_fingerprint
from shardhash.db.stores import ConfigStore
from shardhash.errors import RefusedError
from shardhash.slots import SlotSet

__all__ = ["has_flipped", "has_quarantined", "undo_plan"]


_MAY_HAVE_PRUNED = frozenset({Phase.DONE, Phase.ABORTED, Phase.SUPERSEDED})
"""How a prune may have ended that has put rows into quarantine."""


ReadFingerprints = Callable[[str, Iterable[str]], Mapping[str, str]]
"""Reads what changes with the schema of tables of a shard, by ``shard.table``."""


def undo_plan(store: ConfigStore, config: Config, operation: str, read: ReadFingerprints) -> Plan:
    """Return the plan that turns an operation around.

    Raises:
        RefusedError: it is too early or too late for that; the message says what can be done.
        UsageError: there is none of that name.
    """
    (state,) = read_operations(store, [operation])
    flips = [i for i, step in enumerate(state.plan.steps) if step.kind is StepKind.FLIP]
    if flips:
        return _turned_around(state, config, flips, read)
    if has_quarantined(state):
        restores = _restores(state)
        return Plan(
            operation="undo",
            shard=state.plan.shard,
            mapping=state.plan.mapping,
            config_version=config.version,
            steps=tuple(restores),
            shards=state.plan.shards,
            identities={},
            point_of_no_return=0,
        )
    if state.is_ended:
        raise _ended(state, "shardhash op list shows what has not")
    raise RefusedError(
        f"operation {operation} has nothing that undo could turn around",
        next_step=f"shardhash op show {operation} says what can be done",
    )


def _ended(state: OperationState, next_step: str) -> RefusedError:
    return RefusedError(
        f"operation {state.id} has ended: {state.phase.value}: it cannot be turned around",
        next_step=next_step,
    )


def _turned_around(
    state: OperationState, config: Config, flips: list[int], read: ReadFingerprints
) -> Plan:
    steps = state.plan.steps
    pruned = [i for i in state.begun if steps[i].kind is StepKind.PRUNE_PAGES]
    back = _way_back(state.plan, [steps[i] for i in flips])
    if state.phase is Phase.DONE:
        raise _ended(state, f"move the slots back: {back}")
    if state.is_ended:
        raise _ended(state, "shardhash op list shows what has not")
    if pruned:
        raise RefusedError(
            f"the old rows of operation {state.id} are going: it cannot be turned around",
            next_step=f"shardhash op resume {state.id}; then move the slots back: {back}",
        )
    if len(flips) > 1:
        raise RefusedError(
            f"operation {state.id} moves slots to several shards: it cannot be turned around",
            next_step=f"shardhash op resume {state.id}; then move the slots back: {back}",
        )
    flip = steps[flips[0]]
    if flips[0] not in state.done and not has_flipped(config, flip):
        raise RefusedError(
            f"operation {state.id} has not flipped: nothing is to be turned around",
            next_step=f"shardhash op abort {state.id}",
        )
    transfer = _transfer(state.plan)
    names = [table.name for table in transfer.tables]
    found = {**read(transfer.source, names), **read(transfer.target, names)}
    _check_rows(state, found)
    return plan_undo(
        state.plan, state.id, transfer, config_version=config.version, fingerprints=found
    )


def _check_rows(state: OperationState, found: Mapping[str, str]) -> None:
    """Refuse where old rows could not be compared any more with what was recorded of them."""
    for path, planned in state.plan.fingerprints.items():
        if row_fingerprint(found.get(path, planned)) != row_fingerprint(planned):
            shard, _, table = path.partition(".")
            raise RefusedError(
                f"table {table} of {shard} has other columns, or another primary key, than when "
                f"operation {state.id} was planned",
                next_step=f"change {table} back to what it was, then undo",
            )


def _way_back(plan: Plan, flips: list[Step]) -> str:
    """Return the commands that move back what has flipped."""
    if plan.operation == "remove":
        return f"shardhash shard allocate {plan.shard}, then shardhash shard move"
    return "; ".join(
        f"shardhash shard move {flip.arguments['target']} {flip.arguments['source']} "
        f"--mapping {flip.arguments['mapping']} --slots {flip.arguments['slots']} --freeze --apply"
        for flip in flips
    )


def has_quarantined(state: OperationState) -> bool:
    """Tell whether a prune has ended that may have put rows into quarantine."""
    return state.phase in _MAY_HAVE_PRUNED and bool(_restores(state))


def has_flipped(config: Config, flip: Step) -> bool:
    """Tell whether the target of a flip owns its slots by the configuration."""
    owned = config.mapping(flip.arguments["mapping"]).numbers_of(flip.arguments["target"])
    return not SlotSet.parse(flip.arguments["slots"]) - owned


def _transfer(plan: Plan) -> Transfer:
    """Return the transfer that the steps of a plan were made from."""
    copies = [step for step in plan.steps if step.kind is StepKind.COPY]
    first = copies[0].arguments
    return Transfer(
        mapping=first["mapping"],
        slots=SlotSet.parse(first["slots"]),
        source=first["source"],
        target=first["target"],
        tables=[
            MovingTable(step.table or "", step.arguments["key"], step.rows or 0, step.size_bytes)
            for step in copies
        ],
        guards=not plan.app_stopped,
    )


def _restores(state: OperationState) -> list[Step]:
    """Return a step for each table whose rows were put into quarantine."""
    return [
        Step(
            kind=StepKind.RESTORE,
            shard=step.shard,
            title=f"bring the rows of {step.table} back from quarantine",
            check="a row that is back has left the quarantine in the same transaction",
            is_reversible=False,
            table=step.table,
            rows=step.rows,
            arguments={"recorded_by": state.id},
        )
        for step in state.plan.steps
        if state.plan.quarantine and step.kind is StepKind.PRUNE
    ]
