"""All settings, with their defaults and limits."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from service.config import addresses, callbacks, kafka_properties, topics
from service.config.sources import DELIMITER, PREFIX, sources
from service.entities.field_paths import check_alias, check_default
from service.entities.message_format import FormatChoice
from service.entities.order import MAX_AGE_SECONDS, AmountMismatchPolicy
from service.entities.subscription import Subscription
from service.entities.version import CompareBy
from service.pkg.backoff import Backoff
from service.pkg.network import MAX_PORT
from service.pkg.units import parse_age, parse_bytes, parse_seconds


def _checked(check: Callable[[str, Any], None]) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Return a validator that checks each entry of an object."""

    def validate(entries: dict[str, Any]) -> dict[str, Any]:
        for name, value in entries.items():
            check(name, value)
        return entries

    return validate


TopicName = Annotated[str, Field(pattern=topics.TOPIC_NAME), AfterValidator(topics.topic_name)]
Topics = Annotated[str, AfterValidator(topics.topics)]
KafkaProperties = Annotated[
    dict[str, str | int | float | bool],
    BeforeValidator(kafka_properties.require_scalars),
    AfterValidator(kafka_properties.reject_reserved),
]
Aliases = Annotated[dict[str, str], AfterValidator(_checked(check_alias))]
Defaults = Annotated[dict[str, Any], AfterValidator(_checked(check_default))]
Dsn = Annotated[str, AfterValidator(addresses.dsn)]
DsnList = Annotated[str, AfterValidator(addresses.dsn_list)]
Callback = Annotated[str, AfterValidator(callbacks.importable)]
Port = Annotated[int, Field(ge=0, le=MAX_PORT)]
Url = Annotated[str, AfterValidator(addresses.web_url)]
RegistryUrls = Annotated[str, AfterValidator(addresses.registry_urls)]
HostName = Annotated[str, Field(pattern=r"^(\*|(\*\.)?[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])$")]
Seconds = Annotated[float, BeforeValidator(parse_seconds), Field(ge=0, allow_inf_nan=False)]
Age = Annotated[float, BeforeValidator(parse_age), Field(ge=0, allow_inf_nan=False)]
Bytes = Annotated[int, BeforeValidator(parse_bytes), Field(ge=1)]
Count = Annotated[int, Field(ge=1)]
Limit = Annotated[int, Field(ge=0)]
Positive = Annotated[Seconds, Field(gt=0)]
Timeout = Annotated[Seconds, Field(ge=0.001, le=86_400)]
"""The minimum is PostgreSQL's unit, which treats 0 as no limit. The maximum fits PostgreSQL's integers."""


class SettingsGroup(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class KafkaSettings(SettingsGroup):
    bootstrap_servers: Annotated[str, AfterValidator(addresses.bootstrap_servers)] = "localhost:9092"
    """Comma-separated addresses of the brokers."""
    topic: TopicName = "orders"
    """The topic that the consumer reads, unless `topics` is set, and that `orders generate` and `orders smoke` write
    to."""
    topics: Topics = ""
    """Comma-separated topics that the consumer reads instead of `topic`; or one pattern that starts with `^`, such as
    `^orders[.]`, for all topics whose names start with a match, except the dead-letter topic and those that start with
    `__`. Empty: only `topic`."""
    group_id: str = Field("orders", min_length=1)
    """The consumer group."""
    dead_letter_topic: TopicName = "orders.dlq"
    """The topic for messages that are invalid or that PostgreSQL rejects."""
    properties: KafkaProperties = {}
    """JSON object of librdkafka properties for every client: SASL, TLS, timeouts.
    `ORDERS_KAFKA__PROPERTIES__<property>` sets a single property and takes precedence. Properties that the delivery
    guarantee depends on are rejected."""
    password_file: Path | None = None
    """File with `sasl.password`, for PLAIN and SCRAM. Running clients use a new password for their next connection."""
    token_callback: Callback | None = None
    """Python function (`module:function`) that returns a token and its expiry, for OAUTHBEARER."""
    group_protocol: Literal["classic", "consumer"] = "classic"
    """`consumer` selects the KIP-848 protocol, where the broker sets the assignor and the session timeout."""
    session_timeout: Seconds = Field(6, ge=0.001, le=3_600)
    """`session.timeout.ms`: how long a crashed consumer keeps its partitions. Classic protocol only; the brokers'
    default minimum is 6 s."""
    topic_id_timeout: Seconds = 10
    """How long the consumer waits for the topic's id if a broker delivers messages but does not return the id. Then it
    reads the topic, but cannot detect that the topic was deleted and recreated."""
    prefetch: Bytes = Field(8 * 2**20, le=2_097_151 * 1_024)
    """`queued.max.messages.kbytes`: how much librdkafka prefetches, in bytes."""
    partitions: Count = 6
    """Partitions of the topics that `orders migrate` creates."""
    replication_factor: int = Field(-1, ge=-1)
    """Replication factor of the topics that `orders migrate` creates; -1 means the broker's default."""
    retention: Positive | None = None
    """Retention of the order topic if `orders migrate` creates it; empty means the broker's default."""
    dead_letter_retention: Positive = 30 * 86_400
    """Retention of the dead-letter topic if `orders migrate` creates it."""
    dead_letter_max_bytes: Bytes = Field(10 * 2**20, le=2**31 - 1)
    """`max.message.bytes` of the dead-letter topic if `orders migrate` creates it."""
    create_topics: bool = True
    """Whether `orders migrate` creates missing topics."""

    @field_validator("replication_factor")
    @classmethod
    def validate_replication_factor(cls, value: int) -> int:
        if value == 0:
            raise ValueError("must be 1 or more, or -1 for the broker's default")
        return value

    @model_validator(mode="after")
    def require_one_login(self) -> "KafkaSettings":
        mechanism = self.properties.get("sasl.mechanism", self.properties.get("sasl.mechanisms"))
        if self.password_file and "sasl.password" in self.properties:
            raise ValueError("properties contain sasl.password: set either that or password_file")
        if self.token_callback and (self.password_file or mechanism != "OAUTHBEARER"):
            raise ValueError("token_callback requires sasl.mechanism=OAUTHBEARER in properties, and no password_file")
        return self

    @model_validator(mode="after")
    def require_different_topics(self) -> "KafkaSettings":
        if self.topic == self.dead_letter_topic:
            raise ValueError("topic and dead_letter_topic must differ")
        if self.dead_letter_topic in self.subscription.names:
            raise ValueError("topics and dead_letter_topic must differ")
        if self.group_protocol == "consumer" and self.subscription.matches_excluded_topics:
            raise ValueError(
                "with group_protocol=consumer, the pattern in topics must match neither dead_letter_topic nor Kafka's "
                "internal topics: the client cannot exclude them, because brokers evaluate the pattern"
            )
        return self

    @property
    def subscription(self) -> Subscription:
        """The topics that the consumer reads."""
        if self.topics.startswith("^"):
            return Subscription((), self.topics, self.dead_letter_topic)
        return Subscription(tuple(self.topics.split(",")) if self.topics else (self.topic,))


class PostgresSettings(SettingsGroup):
    dsn: Dsn = "postgresql://localhost/orders"
    """A libpq connection string or URL. Set TLS with libpq's parameters (`sslmode`, `sslrootcert`)."""
    listen_dsn: DsnList | None = None
    """A direct connection to the primary for LISTEN. Needed if `dsn` leads to a standby or to a pooler in transaction
    mode; without it the API caches nothing in these cases. If writers connect to several servers (Citus), a JSON list
    with one connection for each of them."""
    password_file: Path | None = None
    """File with the password of all connection strings that have none. It is read for each new connection."""
    token_callback: Callback | None = None
    """Python function (`module:function`) that returns the password of these connection strings, such as a cloud's
    IAM token, and its expiry."""
    connect_timeout: Timeout = 5
    """Timeout for connecting."""
    statement_timeout: Timeout = 30
    """PostgreSQL's `statement_timeout`. The client stops waiting after the same time (API) or 5 s later (consumer)."""
    lock_timeout: Timeout = 10
    """PostgreSQL's `lock_timeout`: how long a statement may wait for a lock."""
    pool_size: int = Field(8, ge=1, le=1_000)
    """Size of the API's connection pool, per process."""
    prepared_statements: bool | None = None
    """Whether to use server-side prepared statements. Empty: only on a direct connection, not through a pooler.
    `true`: always, for poolers that support them (PgBouncer 1.21 with `max_prepared_statements`)."""

    @model_validator(mode="after")
    def require_one_source_of_the_password(self) -> "PostgresSettings":
        if self.password_file and self.token_callback:
            raise ValueError("set either password_file or token_callback")
        if (self.password_file or self.token_callback) and addresses.has_password(self.dsn):
            raise ValueError("dsn contains a password, which password_file or token_callback would not replace")
        return self

    @property
    def listen_dsns(self) -> list[str]:
        """One direct connection for each server that writers connect to."""
        return addresses.dsns(self.listen_dsn or self.dsn)


class HttpSettings(SettingsGroup):
    host: str = "::"
    """The address that the API listens on. `::` means all addresses, IPv6 and IPv4."""
    port: Port = 8000
    """The port of the API and its page; 0 picks a free one."""
    cors_origins: tuple[str, ...] = ()
    """JSON list of origins for CORS."""
    allowed_hosts: tuple[HostName, ...] = ()
    """JSON list of host names in the Host header, without ports; `*.example.com` means all subdomains. Other requests
    get 421, except for probes. Empty: all. It protects an API without keys from DNS rebinding: from web pages whose
    name resolves to the API's address. In a cluster, list the Service's name, too."""
    drain_timeout: Seconds = 20
    """How long running requests may take to finish after SIGTERM."""
    max_header_bytes: Bytes = 16 * 2**10
    """Maximum size of a request's header block."""
    max_connections: Count = 10_000
    """Maximum number of connections; further ones get 503."""
    keep_alive: Seconds = Field(75, gt=0)
    """Idle timeout of a connection. It must exceed the load balancer's, which is usually 60 s."""
    max_buffered_bytes: Bytes = 64 * 2**20
    """Memory for the unsent responses, queued requests and incomplete headers of all connections. Above it, the API
    closes the connections that have been stalled the longest."""
    max_event_clients: Count = 1_000
    """Maximum number of event streams; further ones get 503."""
    event_buffer_size: Count = 50_000
    """Number of events kept for clients that reconnect with `Last-Event-ID` or fall behind."""


class AuthSettings(SettingsGroup):
    keys_file: Path | None = None
    """File of API keys. Each line holds a name, scopes (`read,dead-letters,replay`) and the key, separated by spaces.
    If empty, anyone who can reach the API can read orders, and the dead-letter endpoints are disabled."""


class AdminSettings(SettingsGroup):
    host: str = "::"
    """The address that probes and metrics are served on. `::` means all addresses, IPv6 and IPv4."""
    port: Port = 9000
    """The port of `/livez`, `/readyz`, `/startupz`, `/metrics` and `/version`; 0 picks a free one."""
    liveness_timeout: Seconds = Field(30, gt=0)
    """`/livez` fails when the consumer's loop has been blocked for this long."""


class CacheSettings(SettingsGroup):
    max_entries: Count = 10_000
    """Maximum number of cached orders."""
    max_bytes: Bytes = 256 * 2**20
    """Maximum size of the cache in memory, overhead included."""
    warm_up_size: int = Field(10_000, ge=0)
    """Number of orders that the API loads at startup, newest first."""
    warm_deadline: Seconds = 60
    """Maximum time for the warm-up. After it the API becomes ready with a partly filled cache and logs a warning."""
    max_stale: Seconds | None = None
    """How long cached orders may be served while notifications from PostgreSQL do not arrive; empty means forever."""
    negative_ttl: Seconds = 2
    """How long a \"not found\" is cached."""
    max_negative_entries: Count = 10_000
    """Maximum number of cached \"not found\" results."""
    ready_without_database: bool = True
    """Whether the API stays ready while PostgreSQL is unreachable."""


class ListenerSettings(SettingsGroup):
    heartbeat: Seconds = Field(0.5, gt=0)
    """How often the API verifies that notifications from PostgreSQL arrive."""


class BatchSettings(SettingsGroup):
    max_messages: int = Field(4_000, ge=1, le=100_000)
    """Maximum number of messages in a batch."""
    max_bytes: Bytes = 16 * 2**20
    """Maximum size of a batch in bytes."""
    max_items: Count = 50_000
    """Maximum number of order items in a batch."""


class RetrySettings(SettingsGroup):
    initial_backoff: Seconds = Field(0.1, gt=0)
    """Maximum wait before the first retry. The maximum doubles with each retry; the wait is random (full jitter)."""
    max_backoff: Seconds = Field(5, gt=0)
    """Upper limit of the backoff."""
    give_up_after: Positive | None = None
    """How long to retry a batch before its orders go to the dead-letter topic; empty means forever."""

    @property
    def backoff(self) -> Backoff:
        return Backoff(**self.model_dump())


class DeadLetterSettings(SettingsGroup):
    exactly_once: bool = False
    """Whether to commit dead letters and offsets in one Kafka transaction. Readers then need `read_committed`."""


class CircuitBreakerSettings(SettingsGroup):
    enabled: bool = True
    """Whether too many bad messages pause the consumer. If `false`, all of them go to the dead-letter topic."""
    ratio: float = Field(0.5, gt=0, le=1)
    """The breaker opens when more than this share of the last `window` messages is bad, or of the last `window` orders
    is rejected by PostgreSQL."""
    window: Count = 1_000
    """Number of messages, or orders, over which the share is computed."""
    max_consecutive: Count = 1_000
    """The breaker opens after this many consecutive bad messages."""
    min_rejected: Count = 10
    """The breaker opens after PostgreSQL has rejected this many orders, in one or more batches, and stored none in
    between."""
    retry_after: Positive = 60
    """How long the consumer pauses before it probes: it tries a few messages."""
    probe_messages: Count = 10
    """Number of messages of a probe. It doubles with each probe while PostgreSQL rejects orders."""


class RebalanceSettings(SettingsGroup):
    revoke_timeout: Seconds = 5
    """How long a rebalance waits for the running batch before the partitions are revoked."""


class DocumentSettings(SettingsGroup):
    max_message_bytes: Bytes = 2**20
    """Maximum size of a message; larger ones are dead-lettered as `too-large`."""
    max_nesting: Count = 32
    """Maximum nesting depth of the JSON; deeper messages are dead-lettered as `undecodable`."""
    max_future: Seconds = Field(86_400, le=MAX_AGE_SECONDS)
    """How far `date_created` may be in the future."""
    format: FormatChoice = "auto"
    """The only accepted format of messages (`docs/formats.md`); all others are dead-lettered as `undecodable`. `auto`
    accepts all formats, and recognizes the format of each message."""
    aliases: Aliases = {}
    """JSON object of alternative field names: from the path in a message to the path in the order, such as
    `{"shard_key": "shardkey", "address.zip": "delivery.zip", "items.article": "items.nm_id"}`. A field under its own
    name takes precedence."""
    defaults: Defaults = {}
    """JSON object of defaults for required fields that a message lacks, such as `{"locale": "en", "items.sale": 0}`."""
    coerce: bool = False
    """Whether integers may also be strings (`"12"`) or decimals (`12.0`). They are counted."""
    amount_mismatch: AmountMismatchPolicy = "warn"
    """What to do with an order whose amounts do not add up: `warn` stores and counts it, `reject` dead-letters it."""


class RegistrySettings(SettingsGroup):
    urls: RegistryUrls | None = None
    """Comma-separated URLs of a schema registry with Confluent's API, tried in this order. Needed for
    messages in the Confluent wire format. For Apicurio, the URL ends in `/apis/ccompat/v7`."""
    username: str | None = None
    """User of the registry, for basic authentication."""
    password: str | None = None
    """Password of the user."""
    password_file: Path | None = None
    """File with the password. It is read for each schema."""
    ca_file: Path | None = None
    """PEM file of the CAs that may sign the registry's certificate; empty means the public CAs."""
    certificate_file: Path | None = None
    """PEM file of the client certificate."""
    key_file: Path | None = None
    """PEM file of the client certificate's private key."""
    token_url: Url | None = None
    """Token endpoint of OAuth 2.0 with client credentials."""
    client_id: str | None = None
    """OAuth client."""
    client_secret: str | None = None
    """Secret of the OAuth client."""
    client_secret_file: Path | None = None
    """File with the secret. It is read for each schema."""
    scope: str = ""
    """OAuth scope."""
    logical_cluster: str = ""
    """`target-sr-cluster` of Confluent Cloud, for OAuth."""
    timeout: Timeout = 5
    """Timeout of a request."""
    cache_size: Count = 1_000
    """Number of schemas that are cached. A schema never changes, so it is fetched once."""
    unknown_id_attempts: Count = 15
    """How often a schema that the registry does not know is requested (by default within about 20 s) before the message
    is dead-lettered."""

    @model_validator(mode="after")
    def require_one_login(self) -> "RegistrySettings":
        if self.username and self.token_url:
            raise ValueError("set either username or token_url")
        if self.username and (self.password is None) == (self.password_file is None):
            raise ValueError("username requires either password or password_file")
        if self.token_url and (not self.client_id or (self.client_secret is None) == (self.client_secret_file is None)):
            raise ValueError("token_url requires client_id, and either client_secret or client_secret_file")
        return self

    @model_validator(mode="after")
    def require_whole_certificate(self) -> "RegistrySettings":
        if self.key_file and not self.certificate_file:
            raise ValueError("key_file requires certificate_file")
        return self


class VersionSettings(SettingsGroup):
    compare_by: CompareBy = "timestamp"
    """How to tell the newer of two versions of an order: by the record's timestamp, or, within one partition, by its
    offset first."""


class RetentionSettings(SettingsGroup):
    max_age: Annotated[Age, Field(gt=0, le=MAX_AGE_SECONDS)] | None = None
    """The consumer does not store new orders whose `date_created` is older than this. Default of
    `orders prune --older-than`. Empty: orders are kept forever."""


class HistorySettings(SettingsGroup):
    max_versions: int = Field(20, ge=0, le=1_000)
    """Number of replaced versions that are recorded per order: their version, time and changed fields, without
    values. 0 records none."""


class PageSettings(SettingsGroup):
    max_lag: Limit | None = None
    """Lag in messages above which the page marks it. The chart sets it to the threshold of OrdersLagGrows."""
    max_waiting_reads: Limit | None = None
    """Waiting reads above which the page marks the connection pool. The chart sets it to the
    threshold of OrdersPoolSaturated."""
    metrics_url: Url | None = None
    """Link to the metrics, such as Prometheus."""
    grafana_url: Url | None = None
    """Link to the Grafana dashboard."""
    kafka_ui_url: Url | None = None
    """Link to a Kafka UI, such as Kafka-UI or AKHQ."""
    runbooks_url: Url | None = None
    """Link to the runbooks (`docs/runbooks`)."""


class LogSettings(SettingsGroup):
    level: Literal["debug", "info", "warning", "error"] = "info"
    """Minimum level of log records."""
    format: Literal["auto", "json", "text"] = "auto"
    """`auto` is `text` on a terminal, else `json`. `NO_COLOR` disables the colors of `text`."""


class MigrationSettings(SettingsGroup):
    timeout: Positive = 600
    """How long `orders migrate` and `orders wait-for-migrations` wait for DNS, the servers and the schema."""
    lock_timeout: Timeout = 10
    """How long a migration waits for a table lock before it is retried."""
    statement_timeout: Timeout = 300
    """Timeout of each statement of a migration."""


class Settings(BaseSettings):
    """All settings; frozen."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter=DELIMITER,
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        use_attribute_docstrings=True,
    )

    mode: Literal["consumer", "api"] | None = None
    """`consumer` or `api`; a subcommand takes precedence."""
    commit: Annotated[str, Field(pattern=r"^[\w.-]{1,64}$")] | None = None
    """The commit that the program was built from, for `/stats`. Images set it."""
    kafka: KafkaSettings = KafkaSettings()
    postgres: PostgresSettings = PostgresSettings()
    http: HttpSettings = HttpSettings()
    auth: AuthSettings = AuthSettings()
    admin: AdminSettings = AdminSettings()
    cache: CacheSettings = CacheSettings()
    listener: ListenerSettings = ListenerSettings()
    batch: BatchSettings = BatchSettings()
    retry: RetrySettings = RetrySettings()
    dead_letters: DeadLetterSettings = DeadLetterSettings()
    circuit_breaker: CircuitBreakerSettings = CircuitBreakerSettings()
    rebalance: RebalanceSettings = RebalanceSettings()
    document: DocumentSettings = DocumentSettings()
    registry: RegistrySettings = RegistrySettings()
    version: VersionSettings = VersionSettings()
    retention: RetentionSettings = RetentionSettings()
    history: HistorySettings = HistorySettings()
    page: PageSettings = PageSettings()
    log: LogSettings = LogSettings()
    migration: MigrationSettings = MigrationSettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - pydantic's interface
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        assert isinstance(env_settings, EnvSettingsSource)  # noqa: S101 - for the type checker
        return init_settings, *sources(settings_cls, env_settings, file_secret_settings)
