"""What holds for every test: how hard hypothesis looks."""

import os

from hypothesis import HealthCheck, settings

# The gate asks the same questions every time: a red run is the change's doing, never the dice's.
settings.register_profile("gate", max_examples=100, derandomize=True, deadline=None)
settings.register_profile(
    "thorough",
    max_examples=5_000,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "gate"))
