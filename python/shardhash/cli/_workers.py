"""``--dask``: the workers of a cluster of machines, in place of threads of the command."""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from shardhash.cli._commands import Parser
from shardhash.errors import UsageError

if TYPE_CHECKING:
    from concurrent.futures import Executor

__all__ = ["add_dask_options", "dask_workers"]

_FILES = ("tls_ca", "tls_cert", "tls_key")


def add_dask_options(parser: Parser, *, what: str) -> None:
    """Add what names a Dask cluster; ``what`` is what runs on its workers."""
    options = parser.add_argument_group("a Dask cluster")
    options.add_argument(
        "--dask",
        metavar="URL",
        help=f"run {what} on the workers of this scheduler, tls://HOST:PORT or tcp://HOST:PORT",
    )
    options.add_argument(
        "--dask-tls-ca", metavar="FILE", help="certificates that sign the cluster's (PEM)"
    )
    options.add_argument("--dask-tls-cert", metavar="FILE", help="this client's certificate (PEM)")
    options.add_argument("--dask-tls-key", metavar="FILE", help="its key (PEM)")


@contextmanager
def dask_workers(options: argparse.Namespace) -> "Iterator[Executor | None]":
    """Yield an executor on the workers that the options name; None where they name none.

    Leaving the block, also by Ctrl-C, takes back what the workers have not begun.

    Raises:
        UsageError: TLS files without a scheduler, or with one that does not use them.
        MissingExtraError: Dask is not installed.
        ServerUnreachableError: the scheduler does not answer.
    """
    files = {name: getattr(options, f"dask_{name}") for name in _FILES}
    if options.dask is None:
        given = [f"--dask-{name.replace('_', '-')}" for name, file in files.items() if file]
        if given:
            raise UsageError(
                f"{', '.join(given)} without --dask: there is no scheduler to connect to",
                next_step="name it: --dask tls://HOST:8786",
            )
        yield None
        return
    import logging

    from shardhash.db.workers import dask_executor

    logging.getLogger("distributed").setLevel(logging.CRITICAL)  # what fails is told by an error
    with dask_executor(options.dask, **files) as executor:
        yield executor
