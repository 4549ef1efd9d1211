"""Settings that name a function, and sources of passwords that exclude each other."""

from pathlib import Path

import pytest

from tests.kit.config import SECRET, load_with, refusal

VARIABLE = "ORDERS_POSTGRES__TOKEN_CALLBACK"


def test_a_callback_is_a_function_of_a_module(monkeypatch: pytest.MonkeyPatch) -> None:
    name = "tests.kit.callbacks:token_of_file"
    assert load_with(monkeypatch, **{VARIABLE: name}).postgres.token_callback == name


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("tests.kit.callbacks", "must be module:function"),
        ("os.system('ls'):x", "must be module:function"),
        ("no_such_module:token", "cannot import no_such_module:token: No module named 'no_such_module'"),
        ("tests.kit.callbacks:none", "has no attribute 'none'"),
        ("tests.kit.callbacks:not_a_function", "tests.kit.callbacks:not_a_function is not a function"),
    ],
)
def test_another_callback_is_refused(monkeypatch: pytest.MonkeyPatch, name: str, problem: str) -> None:
    text = refusal(monkeypatch, **{VARIABLE: name})
    assert text.startswith(f"{VARIABLE}: ")
    assert text.endswith(problem)


def test_a_module_that_fails_is_refused_without_its_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "failing_plugin.py").write_text(f"raise RuntimeError('{SECRET}')")
    monkeypatch.syspath_prepend(tmp_path)
    assert refusal(monkeypatch, **{VARIABLE: "failing_plugin:token"}).endswith(": RuntimeError")


@pytest.mark.parametrize(
    ("variables", "problem"),
    [
        ({VARIABLE: "os:getpid", "ORDERS_POSTGRES__PASSWORD_FILE": "/p"}, "set either password_file or token_callback"),
        (
            {"ORDERS_POSTGRES__PASSWORD_FILE": "/p", "ORDERS_POSTGRES__DSN": f"postgresql://me:{SECRET}@db/orders"},
            "dsn contains a password, which password_file or token_callback would not replace",
        ),
        (
            {VARIABLE: "os:getpid", "ORDERS_POSTGRES__DSN": f"host=db password={SECRET}"},
            "dsn contains a password, which password_file or token_callback would not replace",
        ),
    ],
)
def test_two_sources_of_a_password_are_refused(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], problem: str
) -> None:
    assert refusal(monkeypatch, **variables) == f"ORDERS_POSTGRES: {problem}"
