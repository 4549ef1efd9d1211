"""Requests orders until standard input is closed, then prints the results as JSON.

Runs inside the cluster as `python -c SOURCE URL HOST PAUSE_SECONDS`, so it uses the standard library only. HOST is the
header of this name; each client pauses between its requests. Half of the clients open a connection per request. The
others reuse a connection, and retry once if the server has closed it.
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
RESPONSE_TIMEOUT_SECONDS = 5.0


class Client:
    def __init__(self, address: str, headers: dict[str, str], uids: list[str], *, keep_alive: bool) -> None:
        self._address = address
        self._headers = headers if keep_alive else headers | {"Connection": "close"}
        self._uids = uids
        self._keep_alive = keep_alive
        self._connection: HTTPConnection | None = None
        self.results: Counter[str] = Counter()

    def run(self, stop: Event, pause_seconds: float) -> None:
        number = 0
        while not stop.wait(pause_seconds):
            number += 1
            self.results[self._result(self._uids[number % len(self._uids)])] += 1

    def _result(self, uid: str) -> str:
        try:
            return self._get(uid)
        except (OSError, HTTPException) as error:
            self._connection = None
            return f"{type(error).__name__}: {error}"

    def _get(self, uid: str) -> str:
        if self._connection:
            try:
                return self._send(self._connection, uid)
            except (ConnectionError, HTTPException):
                self._connection = None  # the server may close an idle connection
        return self._send(HTTPConnection(self._address, timeout=RESPONSE_TIMEOUT_SECONDS), uid)

    def _send(self, connection: HTTPConnection, uid: str) -> str:
        connection.request("GET", f"/orders/{uid}", headers=self._headers)
        response = connection.getresponse()
        body = response.read()
        self._connection = connection if self._keep_alive and not response.will_close else None
        return "200" if response.status == HTTPStatus.OK else f"{response.status} {body!r}"


def main(url: str, host: str, pause_seconds: float) -> None:
    address, headers = urlsplit(url).netloc, {"Host": host}
    uids = some_uids(address, headers)
    clients = [Client(address, headers, uids, keep_alive=bool(number % 2)) for number in range(CLIENTS)]
    stop = Event()
    threads = [Thread(target=client.run, args=(stop, pause_seconds)) for client in clients]
    for thread in threads:
        thread.start()
    write_line("started")
    sys.stdin.read()
    stop.set()
    for thread in threads:
        thread.join()
    results: Counter[str] = sum((client.results for client in clients), Counter())
    write_line(json.dumps({"succeeded": results.pop("200", 0), "failed": results}))


def write_line(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def some_uids(address: str, headers: dict[str, str]) -> list[str]:
    connection = HTTPConnection(address, timeout=RESPONSE_TIMEOUT_SECONDS)
    connection.request("GET", "/orders?limit=100", headers=headers)
    page: dict[str, Any] = json.loads(connection.getresponse().read())
    return [order["order_uid"] for order in page["orders"]]


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], float(sys.argv[3]))
