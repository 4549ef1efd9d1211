"""Number of examples per fuzz test: 150, or as many as fit into `ORDERS_FUZZ_MINUTES` (`make fuzz`)."""

import os

from hypothesis import HealthCheck, settings

MINUTES = float(os.environ.get("ORDERS_FUZZ_MINUTES", "0"))
"""Time for all properties together; each is repeated until its share has elapsed."""

fuzzed = settings(
    max_examples=2_000 if MINUTES else 150,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    print_blob=True,
)
fuzzed_briefly = settings(
    fuzzed,
    max_examples=200 if MINUTES else 15,
    suppress_health_check=[*fuzzed.suppress_health_check, HealthCheck.function_scoped_fixture],
)
"""Profile of properties that use a server, which all examples share."""
