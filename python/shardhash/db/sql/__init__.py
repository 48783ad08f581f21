"""Every piece of SQL text that the toolkit sends, built from values and nothing else.

Identifiers are quoted here, values are always bound. The bytes of a shard key are spelled once,
in ``key_bytes_expression``; router, plan, prune and verify all use it.
"""

from shardhash.db.sql._digest import row_digest_expression
from shardhash.db.sql._keys import (
    distinct_key_expression,
    intervals,
    key_bytes_expression,
    slot_expression,
    slot_proof,
    unusable_keys,
)
from shardhash.db.sql._rows import (
    check_references,
    count_folded,
    count_key_rows,
    count_rows,
    delete_rows,
    group_keys,
    key_rows,
    lock_file,
    next_page,
    null_primary_keys,
    page_rows,
    read_rows,
)
from shardhash.db.sql._schema import (
    create_database,
    create_trial_table,
    create_trial_trigger,
    drop_database,
    drop_table,
)
from shardhash.db.sql._text import Statement, quote

__all__ = [
    "Statement",
    "check_references",
    "count_folded",
    "count_key_rows",
    "count_rows",
    "create_database",
    "create_trial_table",
    "create_trial_trigger",
    "delete_rows",
    "distinct_key_expression",
    "drop_database",
    "drop_table",
    "group_keys",
    "intervals",
    "key_bytes_expression",
    "key_rows",
    "lock_file",
    "next_page",
    "null_primary_keys",
    "page_rows",
    "quote",
    "read_rows",
    "row_digest_expression",
    "slot_expression",
    "slot_proof",
    "unusable_keys",
]
