"""Server-Sent Events, encoded once for all streams."""

from collections.abc import Iterator
from datetime import datetime
from functools import lru_cache
from itertools import repeat
from typing import Final

from service.entities.version import Version
from service.pkg.timestamps import from_milliseconds, rfc3339
from service.usecases.ports.reads import Notification

_END: Final = b"}\n\n"


class BufferedEvent:
    """`with_summary` is None until the summary has been read. A `reset` has no order and no summary."""

    __slots__ = ("order_uid", "plain", "with_summary")

    def __init__(self, event_id: str, kind: str, data: str, order_uid: str = "") -> None:
        self.order_uid = order_uid
        self.plain = f"id: {event_id}\nevent: {kind}\ndata: {data}\n\n".encode()
        self.with_summary = None if order_uid else self.plain

    def add_summary(self, summary: bytes | None) -> None:
        """Encode the event with the summary; None if the order is not stored."""
        self.with_summary = b'%s,"summary":%s%s' % (self.plain.removesuffix(_END), summary or b"null", _END)


def order_data(notification: Notification, at: datetime) -> Iterator[tuple[str, str, str]]:
    """Yield kind, uid and data of the event of each order."""
    kinds = [*repeat("stored", len(notification.new)), *repeat("replaced", len(notification.changed))]
    uids = notification.new + notification.changed
    stored_at = f'"{notification.stored_at}"' if notification.stored_at else "null"
    topic = f'"{notification.topic}"' if notification.topic else "null"
    times = f'"at":"{rfc3339(at)}","stored_at":{stored_at}'
    for kind, uid, version in zip(kinds, uids, notification.versions or repeat(None), strict=False):
        yield kind, uid, f'{{"order_uid":"{uid}",{times},"version":{_version(topic, version)}}}'


def reset_data(at: datetime, since: datetime | None = None) -> str:
    since_member = f',"since":"{rfc3339(since)}"' if since else ""
    return f'{{"at":"{rfc3339(at)}"{since_member}}}'


def _version(topic: str, version: Version | None) -> str:
    if version is None:
        return "null"
    timestamp_ms, partition, offset = version
    time = _time_text(timestamp_ms)
    return f'{{"topic":{topic},"partition":{partition},"offset":{offset},"timestamp":"{time}"}}'


@lru_cache(1_024)
def _time_text(timestamp_ms: int) -> str:
    return rfc3339(from_milliseconds(timestamp_ms))
