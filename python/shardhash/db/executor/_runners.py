"""The runner of each kind of step."""

from collections.abc import Mapping

from shardhash.db.executor import _config_steps, _row_steps, _shard_steps, _slot_steps
from shardhash.db.executor._runner import Runner
from shardhash.db.executor._table_steps import (
    COPY_GLOBAL,
    COPY_SNAPSHOT,
    CREATE_PROGRAMS,
    CREATE_TABLES,
)
from shardhash.db.plan import StepKind

__all__ = ["CONFIG_STEPS", "RUNNERS"]

RUNNERS: Mapping[StepKind, Runner] = {
    StepKind.CREATE_DATABASE: _shard_steps.CREATE_DATABASE,
    StepKind.CREATE_TABLES: CREATE_TABLES,
    StepKind.CREATE_PROGRAMS: CREATE_PROGRAMS,
    StepKind.COPY_GLOBAL: COPY_GLOBAL,
    StepKind.COPY_SNAPSHOT: COPY_SNAPSHOT,
    StepKind.GRANT: _shard_steps.GRANT,
    StepKind.REVOKE: _shard_steps.REVOKE,
    StepKind.GUARD: _slot_steps.GUARD,
    StepKind.UNGUARD: _slot_steps.UNGUARD,
    StepKind.GUARD_RANGES: _slot_steps.GUARD_RANGES,
    StepKind.CUT: _config_steps.CUT,
    StepKind.REGISTER: _config_steps.REGISTER,
    StepKind.DEREGISTER: _config_steps.DEREGISTER,
    StepKind.NUMBER_IDS: _shard_steps.NUMBER_IDS,
    StepKind.PUBLISH: _config_steps.PUBLISH,
    StepKind.FENCE: _slot_steps.FENCE,
    StepKind.COPY: _row_steps.COPY,
    StepKind.VERIFY: _row_steps.VERIFY,
    StepKind.FLIP: _config_steps.FLIP,
    StepKind.OPEN: _slot_steps.OPEN,
    StepKind.HOLD: _config_steps.HOLD,
    StepKind.PRUNE: _row_steps.PRUNE,
    StepKind.PRUNE_PAGES: _row_steps.PRUNE_PAGES,
    StepKind.UNPUBLISH: _config_steps.UNPUBLISH,
    StepKind.RELEASE: _shard_steps.RELEASE,
    StepKind.DROP_DATABASE: _shard_steps.DROP_DATABASE,
    StepKind.RESTORE: _row_steps.RESTORE,
}

CONFIG_STEPS = frozenset(
    {
        StepKind.REGISTER,
        StepKind.DEREGISTER,
        StepKind.NUMBER_IDS,
        StepKind.CUT,
        StepKind.PUBLISH,
        StepKind.FLIP,
        StepKind.UNPUBLISH,
    }
)
"""Steps that save the configuration: whoever takes over one of theirs saves it first."""
