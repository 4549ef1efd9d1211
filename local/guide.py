"""What the demo prints when it is ready: how to reach its servers, and what to try next."""

import shlex
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from local.ports import HOST


class Running(NamedTuple):
    """What runs, and where."""

    url: str
    """Of the page and the API."""
    started: Mapping[str, str]
    """Settings of the servers that the demo started; the user knows how to reach others."""
    metrics: Mapping[str, int]
    """Admin ports, by name of the service."""
    orders: str
    """The program `orders`."""
    key: str = ""
    """The API key, if one is required."""


def guide(running: Running) -> Iterator[str]:
    """Yield the lines. The first URL is the page's, on a line of its own."""
    yield "web page, API and /docs (press Ctrl-C to stop everything):"
    yield running.url
    if running.key:
        yield f"API key: {running.key}"
    for name, port in running.metrics.items():
        yield f"metrics of the {name}: http://{HOST}:{port}/metrics"
    if running.started:
        yield "to use these servers in another terminal:"
        for name, value in running.started.items():
            yield f"  export {name}={shlex.quote(value)}"
    yield "to try next, there:"
    header = f"-H 'X-API-Key: {running.key}' " if running.key else ""
    yield f"  curl {header}'{running.url}/orders?limit=3'"
    yield f"  {running.orders} dlq list --max 5"
    yield f"  {running.orders} generate --count 1000 --invalid 0.1"
