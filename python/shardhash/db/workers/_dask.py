"""A cluster of worker processes as an executor."""

import logging
from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from urllib.parse import urlsplit

from shardhash.db.drivers import import_extra
from shardhash.errors import ServerUnreachableError, UsageError

__all__ = ["dask_executor"]

_LOG = logging.getLogger("shardhash.db.workers")
_HERE = frozenset({"127.0.0.1", "localhost", "::1"})


@contextmanager
def dask_executor(
    address: str,
    *,
    tls_ca: str | None = None,
    tls_cert: str | None = None,
    tls_key: str | None = None,
    timeout_s: float = 10.0,
) -> Iterator[Executor]:
    """Yield an executor on the workers of a Dask scheduler; connects over the network.

    The link carries the SQL, its values and the rows: over ``tls://`` it is encrypted and both
    sides are authenticated, over ``tcp://`` it is neither, which is logged unless the scheduler is
    on this machine. Workers need shardhash and the configuration's files and secrets.

    Args:
        address: ``tls://host:8786`` or ``tcp://host:8786``.
        tls_ca: file of PEM certificates that sign the cluster's; None: as Dask is configured.
        tls_cert: file of this client's PEM certificate.
        tls_key: file of its key.
        timeout_s: longest wait for the scheduler.

    Raises:
        MissingExtraError: Dask is not installed.
        UsageError: TLS files with an address that does not use them.
        ServerUnreachableError: the scheduler does not answer.

    Source: https://distributed.dask.org/en/stable/tls.html.
    """
    distributed = import_extra("distributed", extra="cluster", what="a Dask cluster")
    parts = urlsplit(address)
    files = {"tls_ca_file": tls_ca, "tls_client_cert": tls_cert, "tls_client_key": tls_key}
    given = {name: value for name, value in files.items() if value is not None}
    if given and parts.scheme != "tls":
        raise UsageError(
            f"TLS files were given, and the address {address} does not use them",
            next_step=f"write tls://{parts.netloc}",
        )
    if parts.scheme != "tls" and parts.hostname not in _HERE:
        _LOG.warning("unencrypted_link", extra={"fields": {"scheduler": address}})
    security = distributed.Security(require_encryption=True, **given) if given else None
    try:
        client = distributed.Client(
            address, security=security, timeout=timeout_s, set_as_default=False
        )
    except (OSError, TimeoutError) as error:
        raise ServerUnreachableError(
            f"the Dask scheduler {address} does not answer: {error}",
            next_step="check the address, that the scheduler runs, and TLS on both sides",
        ) from error
    with client:
        yield client.get_executor()
