"""All settings: environment variables `ORDERS_<GROUP>__<NAME>`, or files with those names in `ORDERS_SECRETS_DIR`.

Variables take precedence over files. Unknown names and unsafe values are rejected.
"""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Final, Literal, get_origin

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    InitSettingsSource,
    NestedSecretsSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from service.errors import InvalidSettings
from service.pkg import addresses
from service.pkg.units import Bytes, Seconds

PREFIX: Final = "ORDERS_"
DELIMITER: Final = "__"
REDACTED: Final = "***"

SECRET_NAME: Final = re.compile(
    r"(?i)password|passphrase|secret|token|jaas|key[._]pem|credentials|keystore|api[._]key|oauthbearer[._]config|otlp.*headers"
)
PLAIN_NAME: Final = re.compile(r"(?i)[._](location|file|url|dir|client[._]id)$")
"""Exceptions from `SECRET_NAME`: these only locate a secret. A test keeps the chart's `_validation.tpl` in sync."""
_COMMITTED_BY_US: Final = "the consumer commits offsets itself, after it has stored the orders"
_IDEMPOTENT: Final = "dead letters need an idempotent producer and acks=all"
_FUNCTION: Final = "it takes a Python function"
_RESERVED_PROPERTIES: Final = {
    "bootstrap.servers": "set ORDERS_KAFKA__BOOTSTRAP_SERVERS",
    "metadata.broker.list": "set ORDERS_KAFKA__BOOTSTRAP_SERVERS",
    "group.id": "set ORDERS_KAFKA__GROUP_ID",
    "group.protocol": "set ORDERS_KAFKA__GROUP_PROTOCOL",
    "partition.assignment.strategy": "the consumer supports incremental rebalancing only (cooperative-sticky)",
    "enable.auto.commit": _COMMITTED_BY_US,
    "auto.commit.enable": _COMMITTED_BY_US,
    "enable.auto.offset.store": _COMMITTED_BY_US,
    "auto.offset.reset": "the consumer counts and logs offsets that are out of range, and resets them itself",
    "enable.partition.eof": "the consumer needs end-of-partition events to measure its progress",
    "isolation.level": "the consumer must not store messages of aborted transactions",
    "enable.idempotence": _IDEMPOTENT,
    "acks": _IDEMPOTENT,
    "request.required.acks": _IDEMPOTENT,
    "message.timeout.ms": "the consumer retries a dead letter until it is acknowledged",
    "delivery.timeout.ms": "the consumer retries a dead letter until it is acknowledged",
    "message.max.bytes": "max.message.bytes of the dead-letter topic sets the limit",
    "transactional.id": "set ORDERS_DEAD_LETTERS__EXACTLY_ONCE",
    "transaction.timeout.ms": "an open transaction of a crashed consumer blocks the next owner of its partitions",
    "allow.auto.create.topics": "`orders migrate` creates the topics, with the right settings",
    "default.topic.config": "set each property by its own name",
    "logger": _FUNCTION,
    "on_commit": _FUNCTION,
    "on_delivery": _FUNCTION,
}
"""librdkafka properties that users can't set, and why. Names that end in `_cb` are rejected as functions."""

_URL: Final = re.compile(
    r"(?P<scheme>postgres(ql)?)://((?P<user>[^\s:@/?#]*)(:[^/?#]*)?@)?(?P<where>[^\s@/?#]*(/[^\s@/?#]*)?)(\?[^@#]*)?"
)


def _topic_name(value: str) -> str:
    if value in {".", ".."}:
        raise ValueError("Kafka does not allow this topic name")
    return value


Topic = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,249}$"), AfterValidator(_topic_name)]
Dsn = Annotated[str, AfterValidator(addresses.dsn)]
Port = Annotated[int, Field(ge=0, le=65_535)]
Count = Annotated[int, Field(ge=1)]
Positive = Annotated[Seconds, Field(gt=0)]
Timeout = Annotated[Seconds, Field(ge=0.001, le=86_400)]
"""At least 1 ms, PostgreSQL's unit: it takes 0 as no limit. The maximum fits PostgreSQL's integers."""


class Group(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class Kafka(Group):
    bootstrap_servers: Annotated[str, AfterValidator(addresses.bootstrap_servers)] = "localhost:9092"
    """Comma-separated addresses of the brokers."""
    topic: Topic = "orders"
    """The topic that the consumer reads orders from."""
    group_id: str = Field("orders", min_length=1)
    """The consumer group."""
    dead_letter_topic: Topic = "orders.dlq"
    """The topic for messages that are invalid or that PostgreSQL rejects."""
    properties: dict[str, str | int | float | bool] = {}
    """JSON object of librdkafka properties for every client: SASL, TLS, timeouts.
    `ORDERS_KAFKA__PROPERTIES__<property>` sets a single property and takes precedence. Properties that the delivery
    guarantee depends on are rejected."""
    group_protocol: Literal["classic", "consumer"] = "classic"
    """`consumer` selects the KIP-848 protocol, where the broker sets the assignor and the session timeout."""
    session_timeout: Seconds = Field(6, ge=0.001, le=3_600)
    """`session.timeout.ms`: how long a crashed consumer keeps its partitions. Classic protocol only; the brokers'
    default minimum is 6 s."""
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

    @field_validator("properties", mode="before")
    @classmethod
    def validate_property_types(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            raise ValueError("must be a JSON object")  # noqa: TRY004 - pydantic's interface
        for name, each in value.items():
            if not isinstance(each, str | int | float | bool):
                raise ValueError(f"{name} must be a string, a number or a boolean")  # noqa: TRY004
        return value

    @field_validator("replication_factor")
    @classmethod
    def validate_replication_factor(cls, value: int) -> int:
        if value == 0:
            raise ValueError("must be 1 or more, or -1 for the broker's default")
        return value

    @field_validator("properties")
    @classmethod
    def reject_reserved_properties(cls, value: dict[str, Any]) -> dict[str, Any]:
        for name in value:
            if reason := _FUNCTION if name.endswith("_cb") else _RESERVED_PROPERTIES.get(name):
                raise ValueError(f"{name} can't be set here: {reason}")
        return value

    @model_validator(mode="after")
    def require_different_topics(self) -> "Kafka":
        if self.topic == self.dead_letter_topic:
            raise ValueError("topic and dead_letter_topic must differ")
        return self


class Postgres(Group):
    dsn: Dsn = "postgresql://localhost/orders"
    """A libpq connection string or URL. Set TLS with libpq's parameters (`sslmode`, `sslrootcert`)."""
    listen_dsn: Dsn | None = None
    """A direct connection to the primary for LISTEN. Needed if `dsn` leads to a standby or to a pooler in transaction
    mode; without it the API caches nothing in these cases."""
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


class Http(Group):
    host: str = "0.0.0.0"  # noqa: S104 - clients connect from outside the pod
    """The address that the API listens on."""
    port: Port = 8000
    """The port of the API and its page; 0 picks a free one."""
    cors_origins: tuple[str, ...] = ()
    """JSON list of origins for CORS."""
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


class Auth(Group):
    keys_file: Path | None = None
    """File of API keys. Each line holds scopes (`read,dead-letters`), a space and the key. If empty, anyone who can
    reach the API can read orders, and the dead-letter endpoints are disabled."""


class Admin(Group):
    host: str = "0.0.0.0"  # noqa: S104 - kubelet and Prometheus connect from outside
    """The address that probes and metrics are served on."""
    port: Port = 9000
    """The port of `/livez`, `/readyz`, `/startupz`, `/metrics` and `/version`; 0 picks a free one."""
    liveness_timeout: Seconds = Field(30, gt=0)
    """`/livez` fails when the consumer's loop has been blocked for this long."""


class Cache(Group):
    max_entries: Count = 10_000
    """Maximum number of cached orders."""
    max_bytes: Bytes = 256 * 2**20
    """Maximum size of the cache in memory, overhead included."""
    warm_up_size: int = Field(10_000, ge=0)
    """Number of orders that the API loads at startup, newest first."""
    warm_deadline: Seconds = 60
    """Maximum time for the warm-up. After it the API becomes ready with a partly filled cache and logs a warning."""
    max_stale: Seconds | None = None
    """How long cached orders may be served while notifications from PostgreSQL don't arrive; empty means forever."""
    negative_ttl: Seconds = 2
    """How long a \"not found\" is cached."""
    max_negative_entries: Count = 10_000
    """Maximum number of cached \"not found\" results."""
    ready_without_database: bool = True
    """Whether the API stays ready while PostgreSQL is unreachable."""


class Listener(Group):
    heartbeat: Seconds = Field(0.5, gt=0)
    """How often the API verifies that notifications from PostgreSQL arrive."""


class Batch(Group):
    max_messages: int = Field(4_000, ge=1, le=100_000)
    """Maximum number of messages in a batch."""
    max_bytes: Bytes = 16 * 2**20
    """Maximum size of a batch in bytes."""
    max_items: Count = 50_000
    """Maximum number of order items in a batch."""


class Retry(Group):
    initial_backoff: Seconds = Field(0.1, gt=0)
    """Maximum wait before the first retry. The maximum doubles with each retry; the wait is random (full jitter)."""
    max_backoff: Seconds = Field(5, gt=0)
    """Upper limit of the backoff."""
    give_up_after: Positive | None = None
    """How long to retry a batch before its orders go to the dead-letter topic; empty means forever."""


class DeadLetters(Group):
    exactly_once: bool = False
    """Whether to commit dead letters and offsets in one Kafka transaction. Readers then need `read_committed`."""


class CircuitBreaker(Group):
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
    """How long the breaker stays open before it is half-open and a few messages are tried."""
    probe_messages: Count = 10
    """Number of messages that a half-open breaker tries. It doubles with each try while PostgreSQL rejects orders."""


class Rebalance(Group):
    revoke_timeout: Seconds = 5
    """How long a rebalance waits for the running batch before the partitions are revoked."""


class Document(Group):
    max_message_bytes: Bytes = 2**20
    """Maximum size of a message; larger ones are dead-lettered as `too-large`."""
    max_nesting: Count = 32
    """Maximum nesting depth of the JSON; deeper messages are dead-lettered as `undecodable`."""
    max_future: Seconds = Field(86_400, le=100 * 366 * 86_400)
    """How far `date_created` may be in the future."""
    amount_mismatch: Literal["warn", "reject", "ignore"] = "warn"
    """What to do with an order whose amounts don't add up: `warn` stores and counts it, `reject` dead-letters it."""


class Version(Group):
    compare_by: Literal["timestamp", "offset"] = "timestamp"
    """How to tell the newer of two versions of an order: by the record's timestamp, or, within one partition, by its
    offset first."""


class Logging(Group):
    level: Literal["debug", "info", "warning", "error"] = "info"
    """Minimum level of log records."""
    format: Literal["json", "text"] = "json"
    """`text` is human-readable."""


class Migration(Group):
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
    kafka: Kafka = Kafka()
    postgres: Postgres = Postgres()
    http: Http = Http()
    auth: Auth = Auth()
    admin: Admin = Admin()
    cache: Cache = Cache()
    listener: Listener = Listener()
    batch: Batch = Batch()
    retry: Retry = Retry()
    dead_letters: DeadLetters = DeadLetters()
    circuit_breaker: CircuitBreaker = CircuitBreaker()
    rebalance: Rebalance = Rebalance()
    document: Document = Document()
    version: Version = Version()
    log: Logging = Logging()
    migration: Migration = Migration()

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
        variables = _single_properties(settings_cls, env_settings), env_settings
        folder = os.environ.get(f"{PREFIX}SECRETS_DIR")
        if not folder:
            return init_settings, *variables
        files = _PrefixedSecrets(
            file_secret_settings,
            secrets_dir=folder,
            secrets_dir_missing="error",
            secrets_prefix=PREFIX,
            secrets_nested_delimiter=DELIMITER,
        )
        return init_settings, *variables, _single_properties(settings_cls, files), files


class _PrefixedSecrets(NestedSecretsSettingsSource):
    """Reads only files whose names start with the prefix; other files in the folder may be unreadable or not text."""

    @classmethod
    def load_secrets(cls, path: Path) -> dict[str, str]:
        files = (each for each in cls._iter_secret_files(path) if each.name.upper().startswith(PREFIX))
        return {str(each.relative_to(path)): _read_secret(each) for each in files}


def _read_secret(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise InvalidSettings(f"{path.name}: cannot read the file ({error.strerror})") from None
    except UnicodeDecodeError:
        raise InvalidSettings(f"{path.name}: the file is not UTF-8 text") from None


def _single_properties(settings_cls: type[BaseSettings], source: EnvSettingsSource) -> InitSettingsSource:
    """Return the librdkafka properties that have their own variable or file.

    pydantic-settings alone would let the JSON override them, depending on the order of the environment.
    """
    prefix = f"{PREFIX}KAFKA{DELIMITER}PROPERTIES{DELIMITER}".lower()
    single = {name.removeprefix(prefix): text for name, text in source.env_vars.items() if name.startswith(prefix)}
    return InitSettingsSource(settings_cls, {"kafka": {"properties": single}} if single else {})


def load(**overrides: Any) -> Settings:
    """Read the settings from the environment; `overrides` replace whole groups. Raises InvalidSettings."""
    try:
        _reject_unknown_groups()
        return Settings(**overrides)
    except ValidationError as error:
        raise InvalidSettings("; ".join(map(_line, error.errors(include_input=False, include_url=False)))) from None
    except (SettingsError, OSError) as error:
        # Invalid JSON or a missing folder. The text of the original error may contain the value.
        raise InvalidSettings(_source_problem(error)) from None


def _reject_unknown_groups() -> None:
    """Raise InvalidSettings for an unknown group.

    Names without `__` are ignored: Kubernetes sets such variables for a Service named `orders`.
    """
    for name in _names():
        group, delimiter, _ = name.upper().removeprefix(PREFIX).partition(DELIMITER)
        if name.upper().startswith(PREFIX) and delimiter and group.lower() not in Settings.model_fields:
            raise InvalidSettings(f"{name}: unknown setting")


def _names() -> list[str]:
    folder = os.environ.get(f"{PREFIX}SECRETS_DIR")
    files = os.listdir(folder) if folder and os.path.isdir(folder) else []  # noqa: PTH112, PTH208 - one call each
    return [*os.environ, *files]


def _line(problem: Any) -> str:
    names = [str(part) for part in problem["loc"]]
    variable = PREFIX + DELIMITER.join(names).upper() if names else "settings"
    message = (
        "unknown setting" if problem["type"] == "extra_forbidden" else problem["msg"].removeprefix("Value error, ")
    )
    return f"{variable}: {message[:1].lower()}{message[1:]}"


def _source_problem(error: Exception) -> str:
    folder = os.environ.get(f"{PREFIX}SECRETS_DIR")
    if folder and not os.path.isdir(folder):  # noqa: PTH112 - one call
        return f"{PREFIX}SECRETS_DIR: not a directory"
    if isinstance(error, OSError):
        return f"{PREFIX}SECRETS_DIR: cannot read the directory ({error.strerror})"
    return "; ".join(f"{name}: invalid JSON" for name in _invalid_json(folder)) or "settings: invalid JSON"


def _invalid_json(folder: str | None) -> Iterator[str]:
    """Yield the variables and files with invalid JSON: pydantic names only their group."""
    for name in _names():
        if _takes_json(name.upper()) and not _is_json(os.environ.get(name) or (Path(folder or "") / name).read_text()):
            yield name


def _takes_json(variable: str) -> bool:
    group, _, field = variable.removeprefix(PREFIX).lower().partition(DELIMITER)
    known = Settings.model_fields.get(group)
    if not variable.startswith(PREFIX) or known is None or not isinstance(known.default, Group):
        return False
    info = type(known.default).model_fields.get(field)
    return not field or (info is not None and get_origin(info.annotation) in {dict, tuple})


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def redacted(settings: Settings) -> dict[str, Any]:
    """Return the settings as plain values, with secrets replaced by `REDACTED`."""
    plain = settings.model_dump(mode="json")
    for name in ("dsn", "listen_dsn"):
        plain["postgres"][name] = redacted_dsn(plain["postgres"][name])
    properties = plain["kafka"]["properties"]
    plain["kafka"]["properties"] = {name: REDACTED if _is_secret(name) else value for name, value in properties.items()}
    return plain


def redacted_dsn(dsn: str | None) -> str | None:
    """Keep only user, host, port and database of a URL; replace any other connection string whole.

    A malformed URL is replaced whole too: an unescaped slash in a password would make part of it look like a path.
    """
    if not dsn:
        return dsn
    match = _URL.fullmatch(dsn)
    if match is None:
        return REDACTED
    user = f"{match['user']}@" if match["user"] else ""
    return f"{match['scheme']}://{user}{match['where']}"


def _is_secret(name: str) -> bool:
    return bool(SECRET_NAME.search(name)) and not PLAIN_NAME.search(name)
