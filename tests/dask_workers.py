"""A Dask cluster of two worker processes on this machine, for tests."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def dask_cluster(**options) -> Iterator[str]:
    from distributed import LocalCluster

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Dask's own and of what it imports
        with LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            processes=True,
            dashboard_address=None,
            silence_logs=logging.ERROR,
            **options,
        ) as cluster:
            yield cluster.scheduler_address
