from local.guide import Running, guide

RUNNING = Running(
    url="http://127.0.0.1:8000",
    started={"ORDERS_POSTGRES__DSN": "postgresql://orders:p&w@127.0.0.1:5/orders"},
    metrics={"consumer": 20_001, "API": 20_002},
    orders=".venv/bin/orders",
)


def test_the_first_url_is_the_page_on_a_line_of_its_own() -> None:
    first = next(line for line in guide(RUNNING) if "://" in line)
    assert first == "http://127.0.0.1:8000"


def test_variables_are_quoted_for_the_shell() -> None:
    assert "  export ORDERS_POSTGRES__DSN='postgresql://orders:p&w@127.0.0.1:5/orders'" in guide(RUNNING)


def test_servers_of_the_user_are_not_printed() -> None:
    assert not any("export" in line for line in guide(RUNNING._replace(started={})))


def test_with_a_key_it_is_printed_and_sent() -> None:
    lines = [*guide(RUNNING._replace(key="secret"))]
    assert "API key: secret" in lines
    assert "  curl -H 'X-API-Key: secret' 'http://127.0.0.1:8000/orders?limit=3'" in lines
