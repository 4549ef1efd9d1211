"""librdkafka's mock cluster, which lacks some features of a real broker."""

from typing import Final

from confluent_kafka import Consumer

_CLUSTER: Final = "mockCluster"


def is_mock_cluster(consumer: Consumer, seconds: float) -> bool:
    """Block for at most `seconds`; return whether the consumer is connected to a mock cluster, False on timeout."""
    return (consumer.cluster_id(seconds) or "").startswith(_CLUSTER)
