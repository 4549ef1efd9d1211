"""All settings: environment variables `ORDERS_<GROUP>__<NAME>`, and files of the same names in `ORDERS_SECRETS_DIR`.

A variable wins over a file. A misspelt name, and an unsafe value, are refused.
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

from service.entities.errors import InvalidSettings
from service.pkg import addresses
from service.pkg.units import Bytes, Seconds

PREFIX: Final = "ORDERS_"
DELIMITER: Final = "__"
REDACTED: Final = "***"

SECRET_NAME: Final = re.compile(
    r"(?i)password|passphrase|secret|token|jaas|key[._]pem|credentials|keystore|api[._]key|oauthbearer[._]config|otlp.*headers"
)
PLAIN_NAME: Final = re.compile(r"(?i)[._](location|file|url|dir|client[._]id)$")
"""Those of them that only say where a secret is. The chart's `_validation.tpl` has the same two, held by a test."""
_STORED_FIRST: Final = "offsets are committed after the orders are stored"
_ACKNOWLEDGED: Final = "a dead letter counts as sent when all replicas have it, once"
_FUNCTION: Final = "it takes a function"
_OURS: Final = {
    "bootstrap.servers": "set ORDERS_KAFKA__BOOTSTRAP_SERVERS",
    "metadata.broker.list": "set ORDERS_KAFKA__BOOTSTRAP_SERVERS",
    "group.id": "set ORDERS_KAFKA__GROUP_ID",
    "group.protocol": "set ORDERS_KAFKA__GROUP_PROTOCOL",
    "partition.assignment.strategy": "partitions are taken over one by one, which only cooperative-sticky does",
    "enable.auto.commit": _STORED_FIRST,
    "auto.commit.enable": _STORED_FIRST,
    "enable.auto.offset.store": _STORED_FIRST,
    "auto.offset.reset": "an offset that is no longer in the topic is counted and logged before reading goes on",
    "enable.partition.eof": "the consumer learns from it how far a partition was read",
    "isolation.level": "messages of aborted transactions are not stored",
    "enable.idempotence": _ACKNOWLEDGED,
    "acks": _ACKNOWLEDGED,
    "request.required.acks": _ACKNOWLEDGED,
    "message.timeout.ms": "a dead letter is sent again until it is acknowledged",
    "delivery.timeout.ms": "a dead letter is sent again until it is acknowledged",
    "message.max.bytes": "max.message.bytes of the dead-letter topic decides what it takes",
    "transactional.id": "set ORDERS_DEAD_LETTERS__EXACTLY_ONCE",
    "transaction.timeout.ms": "an open transaction holds up the next owner of its partitions",
    "allow.auto.create.topics": "`orders migrate` creates topics, with their settings",
    "default.topic.config": "it takes other properties",
    "logger": _FUNCTION,
    "on_commit": _FUNCTION,
    "on_delivery": _FUNCTION,
}
"""librdkafka properties that can't be passed through, and why; names that end with `_cb` are functions too."""

_URL: Final = re.compile(
    r"(?P<scheme>postgres(ql)?)://((?P<user>[^\s:@/?#]*)(:[^/?#]*)?@)?(?P<where>[^\s@/?#]*(/[^\s@/?#]*)?)(\?[^@#]*)?"
)


def _topic_name(value: str) -> str:
    if value in {".", ".."}:
        raise ValueError("no topic can have this name")
    return value


Topic = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,249}$"), AfterValidator(_topic_name)]
Dsn = Annotated[str, AfterValidator(addresses.dsn)]
Port = Annotated[int, Field(ge=0, le=65_535)]
Count = Annotated[int, Field(ge=1)]
Positive = Annotated[Seconds, Field(gt=0)]
Timeout = Annotated[Seconds, Field(ge=0.001, le=86_400)]
"""At least PostgreSQL's unit, for 0 would be no limit to it and no time to us; far below what its integers hold."""


class Group(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class Kafka(Group):
    bootstrap_servers: Annotated[str, AfterValidator(addresses.bootstrap_servers)] = "localhost:9092"
    """Addresses of the brokers, with commas between them."""
    topic: Topic = "orders"
    """The topic that orders are read from."""
    group_id: str = Field("orders", min_length=1)
    """The consumer group."""
    dead_letter_topic: Topic = "orders.dlq"
    """The topic that takes what is invalid or can't be saved."""
    properties: dict[str, str | int | float | bool] = {}
    """JSON of librdkafka properties for every client: SASL, TLS, timeouts. `ORDERS_KAFKA__PROPERTIES__<property>`
    sets one of them, and wins over the JSON. What the delivery guarantee rests on is refused."""
    group_protocol: Literal["classic", "consumer"] = "classic"
    """`consumer` is KIP-848: assignment and session timeout are then the broker's."""
    session_timeout: Seconds = Field(6, ge=0.001, le=3_600)
    """How long a dead consumer keeps its partitions (classic protocol; 6 s is the brokers' usual minimum)."""
    prefetch: Bytes = Field(8 * 2**20, le=2_097_151 * 1_024)
    """How much librdkafka may fetch ahead of the batches."""
    partitions: Count = 6
    """Partitions of a topic that `orders migrate` creates."""
    replication_factor: int = Field(-1, ge=-1)
    """Replicas of a topic that `orders migrate` creates; -1 is the broker's default."""
    retention: Positive | None = None
    """Retention of an order topic that `orders migrate` creates; empty is the broker's default."""
    dead_letter_retention: Positive = 30 * 86_400
    """Retention of a dead-letter topic that `orders migrate` creates."""
    dead_letter_max_bytes: Bytes = Field(10 * 2**20, le=2**31 - 1)
    """`max.message.bytes` of a dead-letter topic that `orders migrate` creates."""
    create_topics: bool = True
    """Whether `orders migrate` creates missing topics."""

    @field_validator("properties", mode="before")
    @classmethod
    def require_plain_values(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            raise ValueError("must be a JSON object")  # noqa: TRY004 - pydantic's interface
        for name, each in value.items():
            if not isinstance(each, str | int | float | bool):
                raise ValueError(f"{name} must be a string, a number or a boolean")  # noqa: TRY004
        return value

    @field_validator("replication_factor")
    @classmethod
    def require_a_replica(cls, value: int) -> int:
        if value == 0:
            raise ValueError("must be 1 or more, or -1 for the broker's default")
        return value

    @field_validator("properties")
    @classmethod
    def leave_guarantees_alone(cls, value: dict[str, Any]) -> dict[str, Any]:
        for name in value:
            if reason := _FUNCTION if name.endswith("_cb") else _OURS.get(name):
                raise ValueError(f"{name} can't be passed through: {reason}")
        return value

    @model_validator(mode="after")
    def keep_topics_apart(self) -> "Kafka":
        if self.topic == self.dead_letter_topic:
            raise ValueError("topic and dead_letter_topic must differ")
        return self


class Postgres(Group):
    dsn: Dsn = "postgresql://localhost/orders"
    """A libpq connection string or URL; TLS by libpq's parameters (`sslmode`, `sslrootcert`)."""
    listen_dsn: Dsn | None = None
    """A direct connection to the primary for LISTEN, where `dsn` goes through a pooler in transaction mode or to a
    standby. Without it nothing is cached there."""
    connect_timeout: Timeout = 5
    """How long to wait for a connection."""
    statement_timeout: Timeout = 30
    """How long PostgreSQL may work on one statement; the API gives up then too, the consumer 5 s later."""
    lock_timeout: Timeout = 10
    """How long a statement may wait for a lock."""
    pool_size: int = Field(8, ge=1, le=1_000)
    """Connections of one API process."""
    prepared_statements: bool | None = None
    """Whether the server keeps statements prepared; empty is yes on a direct connection and no through a pooler.
    `true` is for one that supports it (PgBouncer 1.21, `max_prepared_statements`)."""


class Http(Group):
    host: str = "0.0.0.0"  # noqa: S104 - a pod is reached from outside
    """The address that the API listens on."""
    port: Port = 8000
    """The port of the API and its page; 0 takes a free one."""
    cors_origins: tuple[str, ...] = ()
    """JSON list of origins that may read the API from a browser."""
    drain_timeout: Seconds = 20
    """How long running requests may take after SIGTERM."""
    max_header_bytes: Bytes = 16 * 2**10
    """Longest header block that is accepted."""
    max_connections: Count = 10_000
    """More connections at once are answered 503."""
    keep_alive: Seconds = Field(75, gt=0)
    """How long an idle connection stays open: longer than a load balancer reuses it, usually 60 s."""
    max_buffered_bytes: Bytes = 64 * 2**20
    """What all connections together may hold of unsent answers, waiting requests and unfinished heads; beyond it the
    connections that made no progress for longest are closed."""
    event_clients: Count = 1_000
    """Event streams at once; more are answered 503."""
    event_buffer_size: Count = 50_000
    """Events kept for `Last-Event-ID` and for readers that are behind."""


class Auth(Group):
    keys_file: Path | None = None
    """File of API keys, a line for each: scopes (`read,dead-letters`), a blank, the key. Empty lets everybody read."""


class Admin(Group):
    host: str = "0.0.0.0"  # noqa: S104 - kubelet and Prometheus come from outside
    """The address of the probes and metrics."""
    port: Port = 9000
    """The port of `/livez /readyz /startupz /metrics /version`; 0 takes a free one."""
    liveness_timeout: Seconds = Field(30, gt=0)
    """A loop that has not turned for this long fails `/livez`."""


class Cache(Group):
    max_entries: Count = 10_000
    """Orders kept in memory."""
    max_bytes: Bytes = 256 * 2**20
    """Bytes kept in memory, overhead included."""
    warm_up_size: int = Field(10_000, ge=0)
    """Newest orders that are loaded at start."""
    warm_deadline: Seconds = 60
    """After this the API serves although it is not warm, and says so."""
    max_stale: Seconds | None = None
    """Longest time that hits are served without a proven listener; empty is without end."""
    negative_ttl: Seconds = 2
    """How long an unknown id is remembered."""
    negative_entries: Count = 10_000
    """Unknown ids that are remembered."""
    ready_without_database: bool = True
    """Whether the API stays ready while PostgreSQL is away."""


class Listener(Group):
    heartbeat: Seconds = Field(0.5, gt=0)
    """How often the API verifies that notifications from PostgreSQL arrive."""


class Batch(Group):
    max_messages: int = Field(4_000, ge=1, le=100_000)
    """Messages of one batch."""
    max_bytes: Bytes = 16 * 2**20
    """Bytes of one batch."""
    max_items: Count = 50_000
    """Items of one batch."""


class Retry(Group):
    initial_backoff: Seconds = Field(0.1, gt=0)
    """Upper bound of the first wait; each next bound is twice as long, and the wait is random below it."""
    max_backoff: Seconds = Field(5, gt=0)
    """Longest wait between two attempts."""
    give_up_after: Positive | None = None
    """Send to the dead-letter topic what could not be saved for this long; empty is never."""


class DeadLetters(Group):
    exactly_once: bool = False
    """Whether dead letters and offsets are committed in one Kafka transaction; readers need `read_committed`."""


class CircuitBreaker(Group):
    enabled: bool = True
    """Whether a flood of bad messages pauses the consumer; `false` sends all of them to the dead-letter topic."""
    ratio: float = Field(0.5, gt=0, le=1)
    """Opens when more than this share of the last `window` messages is bad, or of orders refused by PostgreSQL."""
    window: Count = 1_000
    """Messages, or orders, that the share is taken of."""
    max_consecutive: Count = 1_000
    """Opens after this many consecutive bad messages."""
    min_rejected: Count = 10
    """Opens when PostgreSQL has rejected this many orders, in one batch or several, and stored none in between."""
    retry_after: Positive = 60
    """How long the circuit breaker stays open before a few messages are tried."""
    probe_messages: Count = 10
    """How many messages are tried then; while PostgreSQL refuses orders, twice as many each time."""


class Rebalance(Group):
    revoke_timeout: Seconds = 5
    """How long a revoked partition's running transaction may take to end."""


class Document(Group):
    max_message_bytes: Bytes = 2**20
    """A larger message is dead-lettered as `too-large`."""
    max_nesting: Count = 32
    """A deeper document is dead-lettered as `undecodable`."""
    max_future: Seconds = Field(86_400, le=100 * 366 * 86_400)
    """How far `date_created` may lie in the future."""
    amount_mismatch: Literal["warn", "reject", "ignore"] = "warn"
    """What happens to an order whose amounts don't add up."""


class Version(Group):
    compare_by: Literal["timestamp", "offset"] = "timestamp"
    """`offset` compares offsets before timestamps within one partition."""


class Logging(Group):
    level: Literal["debug", "info", "warning", "error"] = "info"
    """Least severe level that is written."""
    format: Literal["json", "text"] = "json"
    """`text` is for people."""


class Migration(Group):
    deadline: Positive = 600
    """How long `orders migrate` and `orders wait-for-migrations` wait for DNS, servers and schema."""
    lock_timeout: Timeout = 10
    """How long a migration may wait for a table's lock before it is tried again."""
    statement_timeout: Timeout = 300
    """How long one statement of a migration may take."""


class Settings(BaseSettings):
    """Everything that can be set; frozen."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter=DELIMITER,
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        use_attribute_docstrings=True,
    )

    mode: Literal["consumer", "api"] | None = None
    """`consumer` or `api`; a subcommand wins over it."""
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
        files = _OwnFiles(
            file_secret_settings,
            secrets_dir=folder,
            secrets_dir_missing="error",
            secrets_prefix=PREFIX,
            secrets_nested_delimiter=DELIMITER,
        )
        return init_settings, *variables, _single_properties(settings_cls, files), files


class _OwnFiles(NestedSecretsSettingsSource):
    """Files whose names begin like our variables; others of the folder are left unread, whatever they hold."""

    @classmethod
    def load_secrets(cls, path: Path) -> dict[str, str]:
        ours = (each for each in cls._iter_secret_files(path) if each.name.upper().startswith(PREFIX))
        return {str(each.relative_to(path)): _read_secret(each) for each in ours}


def _read_secret(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise InvalidSettings(f"{path.name}: the file can't be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise InvalidSettings(f"{path.name}: the file is not UTF-8 text") from None


def _single_properties(settings_cls: type[BaseSettings], source: EnvSettingsSource) -> InitSettingsSource:
    """Return the properties that have a name of their own.

    By itself pydantic-settings lets the JSON replace those that happen to stand before it in the environment.
    """
    prefix = f"{PREFIX}KAFKA{DELIMITER}PROPERTIES{DELIMITER}".lower()
    single = {name.removeprefix(prefix): text for name, text in source.env_vars.items() if name.startswith(prefix)}
    return InitSettingsSource(settings_cls, {"kafka": {"properties": single}} if single else {})


def load(**overrides: Any) -> Settings:
    """Read the settings from the environment; `overrides` are whole groups. Raises InvalidSettings."""
    try:
        _refuse_misspelt_groups()
        return Settings(**overrides)
    except ValidationError as error:
        raise InvalidSettings("; ".join(map(_line, error.errors(include_input=False, include_url=False)))) from None
    except (SettingsError, OSError) as error:
        # JSON that can't be read, a folder that isn't there: the cause's text may hold the value.
        raise InvalidSettings(_source_problem(error)) from None


def _refuse_misspelt_groups() -> None:
    """Raise InvalidSettings. What has no `__` may be another's: Kubernetes makes some of a Service named `orders`."""
    for name in _names():
        group, delimiter, _ = name.upper().removeprefix(PREFIX).partition(DELIMITER)
        if name.upper().startswith(PREFIX) and delimiter and group.lower() not in Settings.model_fields:
            raise InvalidSettings(f"{name}: no such setting")


def _names() -> list[str]:
    folder = os.environ.get(f"{PREFIX}SECRETS_DIR")
    files = os.listdir(folder) if folder and os.path.isdir(folder) else []  # noqa: PTH112, PTH208 - one look
    return [*os.environ, *files]


def _line(problem: Any) -> str:
    names = [str(part) for part in problem["loc"]]
    variable = PREFIX + DELIMITER.join(names).upper() if names else "settings"
    message = (
        "no such setting" if problem["type"] == "extra_forbidden" else problem["msg"].removeprefix("Value error, ")
    )
    return f"{variable}: {message[:1].lower()}{message[1:]}"


def _source_problem(error: Exception) -> str:
    folder = os.environ.get(f"{PREFIX}SECRETS_DIR")
    if folder and not os.path.isdir(folder):  # noqa: PTH112 - one look
        return f"{PREFIX}SECRETS_DIR: is not a folder"
    if isinstance(error, OSError):
        return f"{PREFIX}SECRETS_DIR: can't be read ({error.strerror})"
    return (
        "; ".join(f"{name}: should be valid JSON" for name in _broken_json(folder)) or "settings: should be valid JSON"
    )


def _broken_json(folder: str | None) -> Iterator[str]:
    """Yield the variables and files that should hold JSON and don't: pydantic names their group alone."""
    for name in _names():
        if _wants_json(name.upper()) and not _is_json(os.environ.get(name) or (Path(folder or "") / name).read_text()):
            yield name


def _wants_json(variable: str) -> bool:
    group, _, field = variable.removeprefix(PREFIX).lower().partition(DELIMITER)
    known = Settings.model_fields.get(group)
    if not variable.startswith(PREFIX) or known is None or not isinstance(known.default, Group):
        return False
    wanted = type(known.default).model_fields.get(field)
    return not field or (wanted is not None and get_origin(wanted.annotation) in {dict, tuple})


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def redacted(settings: Settings) -> dict[str, Any]:
    """Return the settings as plain values with every secret replaced."""
    plain = settings.model_dump(mode="json")
    for name in ("dsn", "listen_dsn"):
        plain["postgres"][name] = redacted_dsn(plain["postgres"][name])
    properties = plain["kafka"]["properties"]
    plain["kafka"]["properties"] = {name: REDACTED if _is_secret(name) else value for name, value in properties.items()}
    return plain


def redacted_dsn(dsn: str | None) -> str | None:
    """Keep user, host, port and database of a URL; everything else of a connection string could be a secret.

    So could a part of one that is not spelt as it should be: a password with a slash in it ends where the path begins.
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
