"""The same problems in every run, so that what failed once fails again."""

import os
from math import ceil

from hypothesis import HealthCheck, settings

# Among so many tests the problems are divided.
PROPERTIES = 15

settings.register_profile(
    "properties",
    max_examples=ceil(int(os.environ.get("UOTP_PROBLEMS", "1500")) / PROPERTIES),
    derandomize=True,
    deadline=None,  # the machine may be busy
    suppress_health_check=[
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
    ],
    print_blob=False,
)
settings.load_profile("properties")
