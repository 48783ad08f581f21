"""Settings of all benchmarks: CPU time of the process, medians."""

import pytest


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Set what options of pytest-benchmark would."""
    option = config.option
    option.benchmark_timer = "time.process_time"
    option.benchmark_columns = ["min", "median", "iqr", "rounds"]
    option.benchmark_max_time = "0.5"
    option.benchmark_min_rounds = 7
    option.benchmark_disable_gc = True
