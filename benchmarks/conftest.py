"""Settings of all benchmarks: CPU time of the process, medians."""

import pytest


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Set what `--benchmark-timer` and `--benchmark-columns` would."""
    config.option.benchmark_timer = "time.process_time"
    config.option.benchmark_columns = ["min", "median", "iqr", "rounds"]
