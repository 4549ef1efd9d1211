"""Variables of OpenTelemetry are checked before the consumer connects."""

import pytest

from service import main
from service.app.consumer import command as consumer
from service.app.tracing import tracing
from service.errors import InvalidSettings

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
TRACES_ENDPOINT = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
HEADERS = "OTEL_EXPORTER_OTLP_HEADERS"
TRACES_HEADERS = "OTEL_EXPORTER_OTLP_TRACES_HEADERS"
SECRET = "hunter2"  # noqa: S105
COLLECTOR = "http://collector:4318"


@pytest.fixture(autouse=True)
def without_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (ENDPOINT, TRACES_ENDPOINT, HEADERS, TRACES_HEADERS):
        monkeypatch.delenv(name, raising=False)


def rejection() -> str:
    with pytest.raises(InvalidSettings) as rejected, tracing("consumer", "1"):
        pass
    assert SECRET not in str(rejected.value)
    return str(rejected.value)


@pytest.mark.parametrize("name", [ENDPOINT, TRACES_ENDPOINT])
@pytest.mark.parametrize(
    "value",
    [
        SECRET, "collector:4318", "//collector:4318", "grpc://collector:4317", "http://", "http://:4318",
        "http://collector:port", "http://collector:99999", "http://collector:0", "http://[::1", f"{COLLECTOR} {SECRET}",
    ],
)  # fmt: skip
def test_an_endpoint_that_is_no_http_url_is_rejected(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    assert rejection() == f"{name}: must be an HTTP URL, such as http://collector:4318"


def test_each_endpoint_is_validated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TRACES_ENDPOINT, f"{COLLECTOR}/v1/traces")
    monkeypatch.setenv(ENDPOINT, SECRET)
    assert rejection().startswith(f"{ENDPOINT}: ")


@pytest.mark.parametrize("name", [HEADERS, TRACES_HEADERS])
@pytest.mark.parametrize("value", [SECRET, f"a=b,{SECRET}", f"={SECRET}", f"a={SECRET};b", f"a b={SECRET}", "a=ä"])
def test_headers_that_cannot_be_parsed_are_rejected(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(ENDPOINT, COLLECTOR)
    monkeypatch.setenv(name, value)
    assert rejection() == f"{name}: must be name=value,name=value with URL-encoded values"


@pytest.mark.parametrize("value", ["", "a=b", "authorization=Bearer abc", "a=b%20c , x-y = d=,"])
def test_other_headers_are_accepted(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, value: str
) -> None:
    monkeypatch.setenv(TRACES_ENDPOINT, f"{COLLECTOR}/v1/traces")
    monkeypatch.setenv(HEADERS, value)
    with tracing("consumer", "1"):
        pass
    assert caplog.messages == []


def test_a_value_that_only_opentelemetry_rejects_is_reported_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ENDPOINT, COLLECTOR)
    monkeypatch.setenv("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", SECRET)
    assert rejection() == f"OpenTelemetry rejects the value of one of {ENDPOINT}, OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT"


def test_the_consumer_exits_with_2(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(consumer, "build", None)  # not called
    monkeypatch.setenv(ENDPOINT, "nonsense")
    assert main.main(["consumer"]) == 2
    assert capsys.readouterr().err == f"orders: {ENDPOINT}: must be an HTTP URL, such as http://collector:4318\n"
