"""The table of packages in docs/architecture.md: which may import which. tests/meta/test_imports.py enforces it."""

import re
from collections.abc import Mapping
from itertools import takewhile
from typing import Final, NamedTuple

from reference import ROOT

ERRORS: Final = "service.errors"
PORTS: Final = "service.usecases.ports"
STATS: Final = "service.usecases.stats"
INWARDS: Final = {ERRORS, "service.entities", "service.pkg", PORTS, "service.usecases", STATS}
DECODING: Final = "service.decoding"

REPO: Final = "service.repo"
WRITER, READER, LISTENER, SCHEMA = f"{REPO}.writer", f"{REPO}.reader", f"{REPO}.listener", f"{REPO}.schema"
REPO_OPERATIONS: Final = f"{REPO}.operations"
REPOS: Final = {REPO, WRITER, READER, LISTENER, SCHEMA, REPO_OPERATIONS}

HTTP: Final = "service.handler.http"
RESPONSES, REQUESTS, SECURITY = f"{HTTP}.responses", f"{HTTP}.requests", f"{HTTP}.security"
OPENAPI, EVENTS, ROUTES, FASTPATH = f"{HTTP}.openapi", f"{HTTP}.events", f"{HTTP}.routes", f"{HTTP}.fastpath"
HTTP_PARTS: Final = {RESPONSES, REQUESTS, SECURITY, OPENAPI, EVENTS}
"""What routes are made of."""

KAFKA: Final = "service.handler.kafka"
CLIENT, CONSUMER, DEAD_LETTERS = f"{KAFKA}.client", f"{KAFKA}.consumer", f"{KAFKA}.dead_letters"
KAFKA_OPERATIONS: Final = f"{KAFKA}.operations"
REGISTRY: Final = f"{KAFKA}.registry"
FLOW_CONTROL, PARTITIONS = f"{CONSUMER}.flow_control", f"{CONSUMER}.partitions"
FORMATS, REPORTS, TOPIC = f"{CONSUMER}.formats", f"{CONSUMER}.reports", f"{CONSUMER}.topic"
CONSUMER_PARTS: Final = {FORMATS, FLOW_CONTROL, PARTITIONS, REPORTS, TOPIC}

HANDLERS: Final = {
    *(HTTP, ROUTES, FASTPATH, *HTTP_PARTS),
    *(CLIENT, REGISTRY, DEAD_LETTERS, KAFKA_OPERATIONS, CONSUMER, *CONSUMER_PARTS),
}
SERVICE: Final = INWARDS | REPOS | HANDLERS | {DECODING, "service.config", "service.logs", "service.metrics"}


class Package(NamedTuple):
    contents: str
    may_import: set[str]


PACKAGES: Final[Mapping[str, Package]] = {
    ERRORS: Package("the tree of exceptions", set()),
    "service.entities": Package("the order and its rules", set()),
    "service.pkg": Package("general-purpose code", {ERRORS}),
    PORTS: Package(
        "interfaces that `repo` and `handler` implement, and the values that they exchange",
        {ERRORS, "service.entities", "service.pkg"},
    ),
    "service.usecases": Package(
        "ingest, lookup, warm-up, circuit breaker, replay, erase, rewind, distribute, doctor",
        {ERRORS, "service.entities", "service.pkg", PORTS},
    ),
    STATS: Package(
        "the statistics of the API and its dependencies",
        {ERRORS, "service.entities", "service.pkg", PORTS, "service.usecases"},
    ),
    DECODING: Package("documents to orders or rejections", {ERRORS, "service.entities"}),
    REPO: Package("PostgreSQL: connections, errors, the document's SQL, notifications", INWARDS),
    WRITER: Package("the consumer's writes", INWARDS | {REPO}),
    READER: Package("the API's reads", INWARDS | {REPO}),
    LISTENER: Package("the API's notifications", INWARDS | {REPO}),
    SCHEMA: Package("tables, migration, privileges", INWARDS | {REPO}),
    REPO_OPERATIONS: Package(
        "PostgreSQL for commands: erase, prune, distribute, doctor", INWARDS | {REPO, WRITER, LISTENER, SCHEMA}
    ),
    RESPONSES: Package("problem details, headers, ETags, compression: what does not depend on the route", INWARDS),
    REQUESTS: Package("bodies, parameters and idempotency keys", INWARDS | {RESPONSES}),
    SECURITY: Package("API keys", INWARDS | {RESPONSES}),
    EVENTS: Package("the stream of events", INWARDS | {RESPONSES}),
    OPENAPI: Package("the OpenAPI document", INWARDS | {RESPONSES, SECURITY}),
    ROUTES: Package("one module per resource", INWARDS | HTTP_PARTS),
    FASTPATH: Package("cache hits, without FastAPI", INWARDS | {RESPONSES, SECURITY, ROUTES}),
    HTTP: Package(
        "the API's application, the admin port's, and the server of both", INWARDS | HTTP_PARTS | {ROUTES, FASTPATH}
    ),
    CLIENT: Package("the Kafka client: properties, errors, topics, groups", INWARDS),
    REGISTRY: Package("the schema registry: its client, the cache, readers of Avro and Protobuf", INWARDS),
    FORMATS: Package("messages in each format to documents, and these to orders", INWARDS | {DECODING, REGISTRY}),
    FLOW_CONTROL: Package("pauses and the circuit breaker", INWARDS),
    PARTITIONS: Package("which offsets were read, written and committed", INWARDS | {CLIENT}),
    REPORTS: Package("metrics, log events and spans of the consumer", INWARDS | {CLIENT, PARTITIONS}),
    TOPIC: Package("the topic's identity, and the positions in it", INWARDS | {CLIENT}),
    CONSUMER: Package("the reading and the writing thread", INWARDS | {CLIENT, REGISTRY} | CONSUMER_PARTS),
    DEAD_LETTERS: Package("dead letters: encoding, producing, reading, replaying", INWARDS | {CLIENT}),
    KAFKA_OPERATIONS: Package("Kafka for commands: erase, rewind, skip, doctor", INWARDS | {CLIENT}),
    "service.config": Package("settings", {ERRORS, "service.entities", "service.pkg"}),
    "service.logs": Package("logging", {"service.pkg"}),
    "service.unlocked_metrics": Package("counters and histograms without locks", set()),
    "service.metrics": Package("metrics", {"service.entities", "service.pkg", "service.unlocked_metrics"}),
    "service.command_line": Package("the table of commands, and the parser of their arguments", {ERRORS}),
    "service.app": Package("object wiring and commands", SERVICE | {"service.command_line"}),
    "service.main": Package(
        "the command line",
        {ERRORS, "service.pkg", "service.config", "service.logs", "service.command_line", "service.app"},
    ),
    "service.__main__": Package("the entry point", {"service.pkg", "service.main"}),
    "migrations": Package("the schema's migrations", {REPO, SCHEMA, "service.config"}),
    "generator": Package("test orders and their verification", SERVICE),
    "local": Package("the demo and embedded servers", INWARDS | {"service.config"}),
    "bench": Package(
        "the benchmark", INWARDS | REPOS | {CLIENT, REGISTRY, "service.app", "service.config", "generator", "local"}
    ),
    "tests.kit": Package(
        "what the tests share: servers, factories, fakes",
        SERVICE | {"service.app", "service.main", "generator", "local"},
    ),
    "reference": Package(
        "generates pages, schemas, the dashboard and more from code (`make reference`)",
        {"service.entities", "service.pkg", RESPONSES, CLIENT, "service.config", "service.metrics", "tests.kit"},
    ),
}
"""Packages, and modules of `service` that belong to none, so that each imports only earlier ones."""

GROUPS: Final = {"all of `service` up to `metrics`": SERVICE, "the inner packages": INWARDS}
"""Names of sets, the largest first."""


def render() -> str:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    rows = "".join(
        f"| `{name}` | {each.contents} | {_names(name, each.may_import)} |\n" for name, each in PACKAGES.items()
    )
    head = r"(\| package \| contents \| may import \|\n\|---\|---\|---\|\n)"
    return re.sub(rf"{head}(\|.*\n)*", lambda table: table[1] + rows, page, count=1)


def _names(importer: str, packages: set[str]) -> str:
    """Return the largest group, then the other packages in the order of PACKAGES."""
    group = next((group for group in GROUPS if GROUPS[group] <= packages), None)
    others = packages - GROUPS[group] if group else packages
    names = [f"`{_relative(package, importer)}`" for package in PACKAGES if package in others]
    return ", ".join([group, *names] if group else names) or "nothing of the project"


def _relative(package: str, importer: str) -> str:
    """Leave out `service`, and what both names start with."""
    *parents, last = package.split(".")
    pairs = zip(parents, importer.split("."), strict=False)
    shared = len([*takewhile(lambda pair: pair[0] == pair[1], pairs)])
    return ".".join([*parents[shared or 1 :], last])
