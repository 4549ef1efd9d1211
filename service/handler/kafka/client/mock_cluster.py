"""The client library's own imitation of a broker, which lacks some of what a real one does."""

from typing import Final

from confluent_kafka import Consumer

_CLUSTER: Final = "mockCluster"


def is_mock_cluster(consumer: Consumer, seconds: float) -> bool:
    """Tell whether that is what the consumer is connected to; blocks for at most `seconds`. False where nobody says."""
    return (consumer.cluster_id(seconds) or "").startswith(_CLUSTER)
