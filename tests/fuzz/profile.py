"""How much the fuzz tests try: some hundred examples each, or as many as `ORDERS_FUZZ_MINUTES` allow (`make fuzz`)."""

import os

from hypothesis import HealthCheck, settings

MINUTES = float(os.environ.get("ORDERS_FUZZ_MINUTES", "0"))
"""For all properties together; each begins anew until its share is over."""

fuzzed = settings(
    max_examples=2_000 if MINUTES else 150,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    print_blob=True,
)
fuzzed_a_little = settings(
    fuzzed,
    max_examples=200 if MINUTES else 15,
    suppress_health_check=[*fuzzed.suppress_health_check, HealthCheck.function_scoped_fixture],
)
"""For what asks a server, always the same one."""
