"""GETs orders without a pause until its standard input ends, then prints what came of them, as JSON.

Runs inside the cluster, on the standard library alone: `python -c SOURCE URL`. One half of the clients opens a
connection for each request; the other half keeps its own, and repeats a request once where the server had closed it.
"""

import json
import sys
from collections import Counter
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from threading import Event, Thread
from typing import Any
from urllib.parse import urlsplit

CLIENTS = 4
PAUSE_SECONDS = 0.02
ANSWER_SECONDS = 5.0


class Client:
    def __init__(self, address: str, uids: list[str], *, keeps: bool) -> None:
        self._address = address
        self._uids = uids
        self._keeps = keeps
        self._kept: HTTPConnection | None = None
        self.results: Counter[str] = Counter()

    def run(self, over: Event) -> None:
        number = 0
        while not over.wait(PAUSE_SECONDS):
            number += 1
            self.results[self._result(self._uids[number % len(self._uids)])] += 1

    def _result(self, uid: str) -> str:
        try:
            return self._get(uid)
        except (OSError, HTTPException) as error:
            self._kept = None
            return f"{type(error).__name__}: {error}"

    def _get(self, uid: str) -> str:
        if self._kept:
            try:
                return self._ask(self._kept, uid)
            except (ConnectionError, HTTPException):
                self._kept = None  # closed while it was idle, as every client has to expect
        return self._ask(HTTPConnection(self._address, timeout=ANSWER_SECONDS), uid)

    def _ask(self, connection: HTTPConnection, uid: str) -> str:
        connection.request("GET", f"/orders/{uid}", headers={} if self._keeps else {"Connection": "close"})
        answer = connection.getresponse()
        body = answer.read()
        self._kept = connection if self._keeps and not answer.will_close else None
        return "200" if answer.status == HTTPStatus.OK else f"{answer.status} {body!r}"


def main(url: str) -> None:
    address = urlsplit(url).netloc
    clients = [Client(address, some_uids(address), keeps=bool(number % 2)) for number in range(CLIENTS)]
    over = Event()
    threads = [Thread(target=client.run, args=(over,)) for client in clients]
    for thread in threads:
        thread.start()
    tell("started")
    sys.stdin.read()
    over.set()
    for thread in threads:
        thread.join()
    results: Counter[str] = sum((client.results for client in clients), Counter())
    tell(json.dumps({"answered": results.pop("200", 0), "failed": results}))


def tell(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def some_uids(address: str) -> list[str]:
    connection = HTTPConnection(address, timeout=ANSWER_SECONDS)
    connection.request("GET", "/orders?limit=100")
    page: dict[str, Any] = json.loads(connection.getresponse().read())
    return [order["order_uid"] for order in page["orders"]]


if __name__ == "__main__":
    main(sys.argv[1])
