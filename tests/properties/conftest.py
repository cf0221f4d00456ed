"""The same problems in every run, so that what failed once fails again."""

import os

from hypothesis import HealthCheck, settings

settings.register_profile(
    "properties",
    max_examples=int(os.environ.get("UOTP_EXAMPLES", "100")),
    derandomize=True,
    deadline=None,  # the machine may be busy
    # The instruction set is the same for all problems of a test.
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
    ],
    print_blob=False,
)
settings.load_profile("properties")
