"""Which topics `orders doctor` checks, and which checks are skipped if one of them is missing."""

from service.app.commands.doctor.checks import checks
from service.config import KafkaSettings, Settings

LIMIT, GROUP = "dead-letter size limit", "group orders"


def requirements(kafka: KafkaSettings) -> dict[str, tuple[str, ...]]:
    return {check.name: check.requires for check in checks(Settings(kafka=kafka))}


def test_each_topic_of_a_list_is_checked() -> None:
    found = requirements(KafkaSettings(topics="orders.eu,orders.us"))
    each = ("topic orders.eu", "topic orders.us")
    assert [name for name in found if name.startswith("topic")] == [*each, "topic orders.dlq"]
    assert (found[LIMIT], found[GROUP]) == ((*each, "topic orders.dlq"), each)


def test_a_pattern_is_checked_as_a_whole() -> None:
    found = requirements(KafkaSettings(topics="^orders"))
    whole = "topics that match ^orders"
    assert [name for name in found if name.startswith("topic")] == [whole, "topic orders.dlq"]
    assert (found[LIMIT], found[GROUP]) == ((whole, "topic orders.dlq"), (whole,))
