"""librdkafka's mock cluster, which lacks some features of a real broker."""

from typing import Final

from confluent_kafka import Consumer

from service.errors import CommandError

_CLUSTER: Final = "mockCluster"


def is_mock_cluster(consumer: Consumer, seconds: float) -> bool:
    """Block for at most `seconds`; return whether the consumer is connected to a mock cluster, False on timeout."""
    return (consumer.cluster_id(seconds) or "").startswith(_CLUSTER)


def require_real_kafka(consumer: Consumer, seconds: float) -> None:
    """Raise CommandError if the consumer is connected to a mock cluster. Blocks for at most `seconds`."""
    if is_mock_cluster(consumer, seconds):
        raise CommandError("replay needs a real Kafka: the mock cluster cannot look up offsets by timestamp")
