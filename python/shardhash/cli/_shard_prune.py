"""``shardhash shard prune``: delete the rows of a shard that belong to other shards."""

import argparse

from shardhash.cli._applying import changing_command, plan_or_apply
from shardhash.cli._changes import names
from shardhash.cli._commands import Commands
from shardhash.cli._console import Console, Outcome
from shardhash.cli._workers import add_dask_options, dask_workers

__all__ = ["register_prune"]


def register_prune(shard: Commands) -> None:
    """Add the command."""
    prune = changing_command(
        shard,
        "prune",
        _prune,
        "delete the rows of a shard that belong to other shards",
        "Each batch is one transaction, and a row goes only if its owner has an equal row "
        "then. Rows that stay for want of proof are listed, with exit code 5. Running it again "
        "goes on where it stopped.",
    )
    prune.add_argument(
        "--mapping", metavar="M", help="its mapping, if the shard is in more than one"
    )
    prune.add_argument(
        "--tables", metavar="T,T", type=names, help="only these tables of the mapping"
    )
    prune.add_argument(
        "--using",
        choices=("keys", "pages"),
        help="how foreign rows are found; otherwise the plan chooses and says why",
    )
    prune.add_argument(
        "--no-proof",
        dest="proof",
        action="store_false",
        help="delete on the word of the configuration alone, whether the owner has the row or not",
    )
    prune.add_argument(
        "--quarantine", action="store_true", help="keep what is deleted, for `op undo`"
    )
    add_dask_options(prune, what="its batches")


def _prune(options: argparse.Namespace, console: Console) -> Outcome:
    with dask_workers(options) as executor:
        return plan_or_apply(
            options,
            console,
            lambda operations: operations.plan_prune(
                options.name,
                mapping=options.mapping,
                tables=options.tables,
                using=options.using,
                proof=options.proof,
                quarantine=options.quarantine,
            ),
            executor=executor,
        )
