"""A mutation, and the modules that mutations of several files change."""

from typing import Final, NamedTuple

from tests.faults.replace import Replacement

PIPELINE: Final = "service/handler/kafka/consumer/pipeline.py"
WRITES: Final = "service/repo/writer/order_store.py"
PROPERTIES: Final = "service/handler/kafka/client/properties.py"
ENCODER: Final = "service/handler/kafka/dead_letters/encoder.py"
TRANSACTIONS: Final = "service/handler/kafka/dead_letters/transactional.py"


class Mutation(NamedTuple):
    """A part of the guarantee, the replacement that breaks it, and the scenarios that must then fail."""

    guarantee: str
    replacement: Replacement
    scenarios: tuple[str, ...]
