"""Hypothesis profiles: ``dev`` by default; ``HYPOTHESIS_PROFILE=ci`` for more examples.

Fixtures for all tests are in ``server_fixtures``.
"""

import os

from hypothesis import HealthCheck, settings

pytest_plugins = ["server_fixtures", "hostile_servers", "mongo"]

settings.register_profile("dev", max_examples=60, deadline=None)
settings.register_profile(
    "ci",
    max_examples=400,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "dev"))
