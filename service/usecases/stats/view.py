"""The statistics of one process and its dependencies, as JSON documents."""

from msgspec import Struct


class CacheStats(Struct, frozen=True, kw_only=True):
    entries: int
    bytes: int
    hits: int
    misses: int
    hit_ratio: float | None
    """Hits per lookup since the process started; null before the first lookup."""


class WarmUpStats(Struct, frozen=True, kw_only=True):
    is_over: bool
    orders: int
    seconds: float | None


class DependencyStatus(Struct, frozen=True):
    is_up: bool
    since: str
    """Time at which this process detected the change, in RFC 3339."""


class Dependencies(Struct, frozen=True, kw_only=True):
    """Each is null until it is first up, or until the first two seconds have passed."""

    postgresql: DependencyStatus | None
    notifications: DependencyStatus | None
    """PostgreSQL's notifications (LISTEN), which update the cache and the events."""
    kafka: DependencyStatus | None


class PartitionLag(Struct, frozen=True):
    topic: str
    partition: int
    messages: int
    """Messages that the consumer group has not committed."""
    seconds: float | None
    """Age of the oldest of them, by its timestamp; null if it could not be read in time."""


class AssignedTopic(Struct, frozen=True):
    topic: str
    partitions: list[int]


class ConsumerMember(Struct, frozen=True):
    client_id: str
    """By default `orders-` and the host name, which is the pod's name on Kubernetes."""
    topics: list[AssignedTopic]
    """The partitions that it owns, by topic; empty while the group rebalances."""


class Consumers(Struct, frozen=True, kw_only=True):
    """The members of the consumer group."""

    is_running: bool
    """Whether the group has members."""
    since: str
    """Time at which this process detected the change, in RFC 3339."""
    members: list[ConsumerMember]


class ConnectionPool(Struct, frozen=True, kw_only=True):
    """The connections of the process to PostgreSQL, without those for notifications."""

    max_size: int
    size: int
    in_use: int
    """Connections that a read uses, or that are being established."""
    waiting: int
    """Reads that wait for a connection."""


class Thresholds(Struct, frozen=True, kw_only=True):
    """Values above which the page marks a figure; those of the alerts. Null if none is set."""

    lag: int | None
    waiting_reads: int | None


class Links(Struct, frozen=True, kw_only=True):
    """Addresses of other tools. Null if not set."""

    metrics: str | None
    grafana: str | None
    kafka_ui: str | None
    runbooks: str | None


class ProcessInfo(Struct, frozen=True, kw_only=True):
    """What does not change while this process runs."""

    version: str
    commit: str | None
    """Null if unknown."""
    thresholds: Thresholds
    links: Links


class Stats(Struct, frozen=True, kw_only=True):
    process: ProcessInfo
    cache: CacheStats
    warm_up: WarmUpStats
    stored: int | None
    """Number of orders in the database; null while it is unreachable."""
    stored_is_estimate: bool
    """Whether `stored` is an estimate from PostgreSQL's statistics, which it is from 10,000 orders on."""
    stored_per_second: float | None
    """Orders stored or replaced per second, over the last ten seconds; null while notifications do not arrive."""
    event_clients: int
    pool: ConnectionPool
    lag: int | None
    """Messages that the consumer group has not committed; null while Kafka is unreachable."""
    partitions: list[PartitionLag] | None
    """The lag by partition, of all topics that the group reads; null while Kafka is unreachable."""
    consumers: Consumers | None
    """Null while Kafka is unreachable, and with ORDERS_KAFKA__GROUP_PROTOCOL=consumer."""
    dead_letters: int | None
    """Messages in the dead-letter topic; null while Kafka is unreachable."""
    dependencies: Dependencies


def hit_ratio(hits: int, misses: int) -> float | None:
    return hits / (hits + misses) if hits + misses else None
