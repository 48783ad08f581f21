"""Control tables, slot states, guards and fences of one shard.

Every function takes a connection whose current database is the shard's. The caller begins and
commits; only DDL on MySQL commits by itself. Nothing here knows plans or who owns what.
"""

from shardhash.db.guard._control import (
    Identity,
    add_pass,
    check_identity,
    check_token,
    create_control,
    drop_control,
    has_control,
    raise_token,
    read_identity,
    read_token,
    remove_pass,
    use_pass,
    write_identity,
)
from shardhash.db.guard._fence import check_durable, check_fence, fence_slots
from shardhash.db.guard._slots import drop_slots, fill_slots, read_slots, set_slots
from shardhash.db.guard._triggers import (
    GuardedTable,
    GuardFault,
    find_guard_faults,
    install_guards,
    remove_guards,
)
from shardhash.db.sql import ControlPlace, SlotState

__all__ = [
    "ControlPlace",
    "GuardFault",
    "GuardedTable",
    "Identity",
    "SlotState",
    "add_pass",
    "check_durable",
    "check_fence",
    "check_identity",
    "check_token",
    "create_control",
    "drop_control",
    "drop_slots",
    "fence_slots",
    "fill_slots",
    "find_guard_faults",
    "has_control",
    "install_guards",
    "raise_token",
    "read_identity",
    "read_slots",
    "read_token",
    "remove_guards",
    "remove_pass",
    "set_slots",
    "use_pass",
    "write_identity",
]
