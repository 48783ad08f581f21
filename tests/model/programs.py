"""What a process does for each step, in the order of the steps that the planner emits."""

from collections.abc import Sequence
from dataclasses import replace

from model import actions
from model.actions import Action
from model.rules import Rules
from model.state import NAMES, PAGES, SOURCE, TARGET
from shardhash.db.journal import abort_order
from shardhash.db.plan import Plan, Step, StepKind
from shardhash.db.planning.movable import MovableFacts
from shardhash.db.planning.move import MoveFacts, MoveOptions, plan_moves, plan_undo
from shardhash.db.planning.steps import MovingTable, Transfer
from shardhash.db.schema import Column, Table
from shardhash.db.topology import Backend, Key, KeyType, Mapping, SlotRule, TableRule
from shardhash.slots import SlotSet

OPERATION = "move-1"


def planned_move() -> Plan:
    """Return what the planner makes of a move of one slot of one table."""
    rule = TableRule("orders", "store_id")
    columns = tuple(
        Column(name=name, data_type="int", definition="int(11)", nullable=False)
        for name in ("id", "store_id")
    )
    table = Table(
        name="orders", backend=Backend.MYSQL, columns=columns, primary_key=("id",), kind="table"
    )
    mapping = Mapping(
        name="by_store",
        key=Key("store_id", KeyType.INT),
        tables=(rule,),
        rule=SlotRule(owners=("source", "source"), shards=("source", "target")),
    )
    facts = MovableFacts(rule=rule, key_type=KeyType.INT, source=table, target=table, rows=1)
    return plan_moves(
        "move",
        "source",
        mapping,
        [MoveFacts(source="source", target="target", slots=SlotSet([0]), tables=[facts])],
        options=MoveOptions(freeze=True),
        config_version="v0",
        identities={},
    )


def planned_undo(plan: Plan) -> Plan:
    """Return what the planner makes of turning that move around."""
    transfer = Transfer(
        mapping="by_store",
        slots=SlotSet([0]),
        source="source",
        target="target",
        tables=[MovingTable("orders", "store_id", 1)],
    )
    return plan_undo(plan, OPERATION, transfer, config_version="v1", fingerprints={})


class Programs:
    """The actions of every process, by a name and the position at which it goes on."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        plan = planned_move()
        self.plan = plan
        self.steps = rules.order(plan.steps)
        self.undo_steps = rules.undo_order(planned_undo(plan).steps)
        self.flip_at = _position(self.steps, StepKind.FLIP)
        prune_at = _position(self.steps, StepKind.PRUNE_PAGES)
        self._made: dict[tuple[str, int], list[Action]] = {("move", 0): self._move()}
        for goal in ("resume", "abort", "undo"):
            self._made[f"to {goal}", 0] = self._taking_over(goal, prune_at)
        for position in range(-1, len(self.steps) + 1):
            self._made["resume", position] = self._resume(position)
            self._made["abort", position] = self._abort(position)
        self._made["undo", 0] = self._undo()

    def __getitem__(self, name: tuple[str, int]) -> list[Action]:
        return self._made[name]

    def _move(self) -> list[Action]:
        """Return what the first process does, which writes everything into the journal."""
        done = [actions.enter(SOURCE), actions.enter(TARGET)]
        for position, step in enumerate(self.steps):
            done.append(actions.journal("begun", position))
            done += self.run(step)
            done.append(actions.journal("done", position))
        return [*done, *_left(), actions.journal("ended")]

    def _taking_over(self, goal: str, prune_at: int) -> list[Action]:
        look = [actions.read_journal(), actions.read_state(goal, self.flip_at, prune_at)]
        if not self.rules.journal_first:
            look.reverse()
        done = [*look, *([actions.preflight()] if goal == "undo" else []), actions.take_over()]
        done += [actions.enter(SOURCE), actions.enter(TARGET)]
        return done if goal == "undo" else [*done, *actions.count_takeover()]

    def _resume(self, position: int) -> list[Action]:
        steps = [action for step in self.steps[max(position, 0) :] for action in self.run(step)]
        return [*steps, *_left()]

    def _abort(self, position: int) -> list[Action]:
        """Return how the steps up to a position are taken back, in the order of the engine."""
        plan = replace(self.plan, steps=tuple(self.steps))
        begun = range(min(position + 1, len(self.steps)))
        order = sorted(begun, key=lambda i: abort_order(plan, i))
        if not self.rules.abort_unpublishes_last:
            order.sort(key=lambda i: self.steps[i].kind is not StepKind.PUBLISH)
        return [action for i in order for action in self.take_back(self.steps[i])] + _left()

    def _undo(self) -> list[Action]:
        return [action for step in self.undo_steps for action in self.run(step)] + _left()

    def run(self, step: Step) -> list[Action]:
        """Return what a step does."""
        source = NAMES.index(step.arguments.get("source", "source"))
        target = NAMES.index(step.arguments.get("target", "target"))
        pages = range(PAGES)
        match step.kind:
            case StepKind.PUBLISH:
                saved = actions.change_map("publish", actions.publish(target))
                return [*saved, *actions.wait(lambda rules: rules.waits_published)]
            case StepKind.FENCE:
                return [actions.fence(source)]
            case StepKind.COPY:
                copies = [actions.copy_page(page, source, target) for page in pages]
                count = 1 if self.rules.checkpoints_in_batch else 2
                return [action for copy in copies for action in copy[:count]]
            case StepKind.VERIFY:
                return [actions.verify_page(page, source, target) for page in pages]
            case StepKind.FLIP:
                flipped = actions.change_map("flip", actions.flip(source, target))
                if self.rules.flip_at_once:
                    return flipped
                return [*actions.change_map("disown", actions.disown), *flipped]
            case StepKind.OPEN:
                opened = actions.open_slots(source, target)
                return opened if self.rules.closes_source else opened[1:]
            case StepKind.HOLD:
                return actions.wait(lambda rules: rules.waits_held)
            case StepKind.PRUNE_PAGES:
                return [actions.prune_page(page, source, target) for page in pages]
            case StepKind.UNPUBLISH:
                return actions.change_map("unpublish", actions.unpublish(source))
        raise NotImplementedError(f"the model does not know the step {step.kind}")

    def take_back(self, step: Step) -> list[Action]:
        """Return how abort takes a step back."""
        match step.kind:
            case StepKind.PUBLISH:
                return actions.change_map("unpublish", actions.unpublish(TARGET))
            case StepKind.FENCE if self.rules.abort_reopens:
                return [actions.reopen(SOURCE)]
            case StepKind.COPY if self.rules.abort_deletes:
                return [actions.delete_copy(page, TARGET) for page in range(PAGES)]
            case StepKind.VERIFY:
                return [actions.forget_pages(SOURCE)]
        return []


def _left() -> list[Action]:
    return [actions.leave(SOURCE), actions.leave(TARGET)]


def _position(steps: Sequence[Step], kind: StepKind) -> int:
    return next((i for i, step in enumerate(steps) if step.kind is kind), len(steps))
