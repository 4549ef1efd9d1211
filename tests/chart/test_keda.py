"""`consumer.keda`: KEDA reads the lag of the consumer's group, with the consumer's login to Kafka."""

import json
from typing import Any, Final

import pytest

from tests.chart.helm import Manifest, of_kind, one, parse, rejection, render, render_yaml
from tests.chart.test_pods import RELEASES

ENABLED: Final = "consumer.keda.enabled=true"
KAFKA: Final = (ENABLED, "kafka.enabled=false", "kafka.bootstrapServers=a:9093")
PASSWORD: Final = ("kafka.sasl.username=shop", "kafka.sasl.passwordSecret=kafka-user")
SASL_SSL: Final = ("kafka.securityProtocol=SASL_SSL", "kafka.sasl.mechanism=SCRAM-SHA-512", *PASSWORD)
PROPERTIES: Final = "ORDERS_KAFKA__PROPERTIES"
CALLBACK: Final = "ORDERS_KAFKA__TOKEN_CALLBACK"


def trigger(objects: list[Manifest]) -> Manifest:
    (found,) = one(objects, "ScaledObject")["spec"]["triggers"]
    return dict(found)


def parameters(objects: list[Manifest], *sources: str) -> dict[str, tuple[str, str]]:
    """Return the name and key of each parameter that the TriggerAuthentication reads from these sources."""
    spec = one(objects, "TriggerAuthentication", "orders-consumer")["spec"]
    return {each["parameter"]: (each["name"], each["key"]) for source in sources for each in spec.get(source, [])}


def test_keda_scales_on_the_group_and_topic_that_the_consumer_reads() -> None:
    names = {"GROUP_ID": "a", "TOPIC": "b", "BOOTSTRAP_SERVERS": "c:9092"}
    settings = [f"settings.ORDERS_KAFKA__{name}={value}" for name, value in names.items()]
    found = trigger(render(settings=[ENABLED, *settings]))["metadata"]
    assert (found["consumerGroup"], found["topic"], found["bootstrapServers"]) == ("a", "b", "c:9092")


def triggered_topics(*settings: str) -> list[str | None]:
    spec = one(render(settings=[ENABLED, *settings]), "ScaledObject")["spec"]
    return [each["metadata"].get("topic") for each in spec["triggers"]]


def test_keda_has_a_trigger_for_each_topic() -> None:
    assert triggered_topics("kafka.topics.names={orders.eu,orders.us}") == ["orders.eu", "orders.us"]
    assert triggered_topics(r"settings.ORDERS_KAFKA__TOPICS=a\, b") == ["a", "b"]


def test_keda_adds_up_the_lag_of_all_topics_of_the_group_if_they_match_a_pattern() -> None:
    assert triggered_topics("kafka.topics.names={^orders[.]}") == [None]


@pytest.mark.parametrize(
    ("setting", "problem"),
    [
        ("minReplicas=0", "consumer.keda.minReplicas must be at least 1 if kafka.topics.names is a pattern"),
        ("limitToPartitionsWithLag=true", "consumer.keda.limitToPartitionsWithLag requires topics"),
    ],
)
def test_what_keda_needs_a_topic_for_is_refused_with_a_pattern(setting: str, problem: str) -> None:
    pattern = "kafka.topics.names={^orders}"
    assert sum(problem in line for line in rejection(ENABLED, pattern, f"consumer.keda.{setting}")) == 1
    assert render(settings=[ENABLED, f"consumer.keda.{setting}", "kafka.topics.names={a,b}"])


def test_keda_reaches_the_charts_kafka_from_another_namespace() -> None:
    found = trigger(render(settings=[ENABLED]))
    assert found["metadata"]["bootstrapServers"] == "orders-kafka.shop.svc:9092"
    assert "authenticationRef" not in found


def test_keda_scales_with_the_options_of_its_kafka_trigger() -> None:
    behavior = {"scaleUp": {"stabilizationWindowSeconds": 60}}
    fallback = {"failureThreshold": 3, "replicas": 2}
    switches = (ENABLED, "consumer.keda.activationLagThreshold=100", "consumer.keda.limitToPartitionsWithLag=true")
    values: dict[str, Any] = {"fallback": fallback, "behavior": behavior}
    json_settings = tuple(f"consumer.keda.{name}={json.dumps(value)}" for name, value in values.items())
    objects = parse(render_yaml(settings=switches, json_settings=json_settings))
    expected = {"activationLagThreshold": "100", "limitToPartitionsWithLag": "true"}
    assert trigger(objects)["metadata"].items() >= expected.items()
    spec = one(objects, "ScaledObject")["spec"]
    assert spec["fallback"] == fallback
    assert spec["advanced"] == {"horizontalPodAutoscalerConfig": {"behavior": behavior}}


def test_keda_logs_in_as_the_consumer_does() -> None:
    objects = render(RELEASES["tls"], settings=[ENABLED])
    found = trigger(objects)
    assert (found["metadata"]["tls"], found["metadata"]["sasl"]) == ("enable", "scram_sha512")
    assert found["authenticationRef"] == {"name": "orders-consumer"}
    assert parameters(objects, "secretTargetRef") == {
        "password": ("kafka-user", "secret"),
        "ca": ("kafka-authority", "root.pem"),
        "cert": ("kafka-client", "tls.crt"),
        "key": ("kafka-client", "tls.key"),
    }
    ((name, key),) = parameters(objects, "configMapTargetRef").values()
    assert one(objects, "ConfigMap", name)["data"][key] == "shop"


@pytest.mark.parametrize(
    ("mechanism", "sasl"),
    [("PLAIN", "plaintext"), ("SCRAM-SHA-256", "scram_sha256"), ("SCRAM-SHA-512", "scram_sha512")],
)
def test_each_mechanism_has_its_name_in_keda(mechanism: str, sasl: str) -> None:
    settings = [*KAFKA, "kafka.securityProtocol=SASL_PLAINTEXT", f"kafka.sasl.mechanism={mechanism}", *PASSWORD]
    objects = render(settings=settings)
    assert trigger(objects)["metadata"]["sasl"] == sasl
    assert "tls" not in trigger(objects)["metadata"]
    assert parameters(objects, "configMapTargetRef", "secretTargetRef").keys() == {"username", "password"}


def test_tls_needs_a_trigger_authentication_only_for_certificates() -> None:
    tls = [*KAFKA, "kafka.securityProtocol=SSL"]
    found = trigger(render(settings=tls))
    assert found["metadata"]["tls"] == "enable"
    assert "authenticationRef" not in found
    objects = render(settings=[*tls, "kafka.tls.caSecret=authority"])
    assert trigger(objects)["authenticationRef"] == {"name": "orders-consumer"}
    assert parameters(objects, "configMapTargetRef", "secretTargetRef") == {"ca": ("authority", "ca.crt")}


def test_an_own_trigger_authentication_replaces_the_charts() -> None:
    """KEDA rejects `tls` and `sasl` in both objects."""
    objects = render(settings=[*KAFKA, *SASL_SSL, "consumer.keda.triggerAuthentication=own"])
    assert trigger(objects)["authenticationRef"] == {"name": "own"}
    assert not {"tls", "sasl"} & trigger(objects)["metadata"].keys()
    assert of_kind(objects, "TriggerAuthentication") == []


@pytest.mark.parametrize(
    ("settings", "place"),
    [
        (["kafka.existingSecret=a"], "kafka.existingSecret"),
        (["kafka.existingSecret=a", "kafka.securityProtocol=SASL_SSL"], "kafka.existingSecret"),
        (
            ["kafka.existingSecret=a", "kafka.securityProtocol=SASL_SSL", "kafka.sasl.mechanism=PLAIN"],
            "kafka.existingSecret",
        ),
        ([rf"settings.{PROPERTIES}__security\.protocol=SSL"], f"settings.{PROPERTIES}__security.protocol"),
        ([rf'settings.{PROPERTIES}=\{{"ssl.ca.location": "/a"}}'], f"settings.{PROPERTIES}"),
        (
            [f"extraEnv[0].name={PROPERTIES}__ssl.ca.location", "extraEnv[0].value=/a"],
            f"extraEnv ({PROPERTIES}__ssl.ca.location)",
        ),
        (
            [f"extraEnv[0].name={PROPERTIES}", "extraEnv[0].valueFrom.secretKeyRef.name=a"],
            f"extraEnv ({PROPERTIES})",
        ),
    ],
)
def test_a_login_that_keda_cannot_use_is_rejected(settings: list[str], place: str) -> None:
    lines = rejection(*KAFKA, *settings)
    assert sum(f"consumer.keda cannot log in to Kafka with {place}: set" in line for line in lines) == 1
    assert render(settings=[*KAFKA, *settings, "consumer.keda.triggerAuthentication=own"])


@pytest.mark.parametrize(
    "settings",
    [
        ["kafka.securityProtocol=SASL_SSL", "kafka.sasl.mechanism=OAUTHBEARER", f"settings.{CALLBACK}=plug_in:token"],
        ["kafka.existingSecret=a", f"settings.{CALLBACK}=plug_in:token"],
        ["kafka.existingSecret=a", f"extraEnv[0].name={CALLBACK}", "extraEnv[0].value=plug_in:token"],
        ["kafka.existingSecret=a", *SASL_SSL, "kafka.sasl.mechanism=OAUTHBEARER"],
    ],
)
def test_tokens_of_a_callback_that_keda_cannot_call_are_rejected(settings: list[str]) -> None:
    message = f"consumer.keda cannot log in to Kafka with the tokens of {CALLBACK}: set"
    assert sum(message in line for line in rejection(*KAFKA, *settings)) == 1
    assert render(settings=[*KAFKA, *settings, "consumer.keda.triggerAuthentication=own"])


@pytest.mark.parametrize(
    "settings",
    [
        ["kafka.existingSecret=a", "kafka.securityProtocol=PLAINTEXT"],
        ["kafka.existingSecret=a", *SASL_SSL],
        [rf"settings.{PROPERTIES}__fetch\.min\.bytes=9"],
    ],
)
def test_properties_besides_the_login_are_accepted(settings: list[str]) -> None:
    assert trigger(render(settings=[*KAFKA, *settings]))
