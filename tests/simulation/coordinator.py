"""The group coordinator: members, generations, cooperative rebalances, committed offsets."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from confluent_kafka import KafkaError, TopicPartition

Key = tuple[str, int]
"""Topic and partition."""


class Assignee(Protocol):
    """A client that is a member of the group."""

    @property
    def owned(self) -> frozenset[Key]:
        """What it tells the coordinator when it joins."""

    def on_assignment(self, generation: int, granted: frozenset[Key]) -> None: ...


class Offset(NamedTuple):
    offset: int
    metadata: str


@dataclass(slots=True)
class _Member:
    client: Assignee
    seen_at: float
    has_joined: bool = True
    """Whether it has joined the rebalance that is in progress."""


@dataclass(slots=True)
class Coordinator:
    """One group. A rebalance is complete when each member has joined it, or its session has expired."""

    partitions: Callable[[], Sequence[Key]]
    session_seconds: float
    rebalance_seconds: float
    on_commit: Callable[[Mapping[Key, Offset]], None] = lambda _: None
    generation: int = 0
    offsets: dict[Key, Offset] = field(default_factory=dict)
    pending: dict[str, dict[Key, Offset]] = field(default_factory=dict)
    """Offsets of open transactions, by transactional id."""
    _acknowledged: dict[tuple[Key, str], int] = field(default_factory=dict)
    """The last committed offset of each partition and metadata. A deletion of the topic does not change it."""
    _members: dict[str, _Member] = field(default_factory=dict)
    _rebalancing_since: float | None = None
    _assigned: Sequence[Key] = ()
    """The partitions that existed at the last assignment."""

    @property
    def members(self) -> Iterable[str]:
        return self._members

    @property
    def is_rebalancing(self) -> bool:
        return self._rebalancing_since is not None

    def is_pending(self, key: Key) -> bool:
        return any(key in offsets for offsets in self.pending.values())

    def join(self, member: str, client: Assignee, now: float) -> None:
        known = self._members.get(member)
        if known is None or not self.is_rebalancing:
            self._start_rebalance(now)
        self._members[member] = _Member(client, now)
        self._complete_if_all_joined()

    def heartbeat(self, member: str, now: float) -> KafkaError | None:
        if member not in self._members:
            return KafkaError(KafkaError.UNKNOWN_MEMBER_ID)
        self._members[member].seen_at = now
        if self.is_rebalancing and not self._members[member].has_joined:
            return KafkaError(KafkaError.REBALANCE_IN_PROGRESS)
        return None

    def leave(self, member: str, now: float) -> None:
        if self._members.pop(member, None) is not None:
            self._start_rebalance(now)
            self._complete_if_all_joined()

    def expire(self, now: float) -> list[str]:
        """Remove members whose session has expired, or that have not joined in time; return them."""
        expired = [name for name, each in self._members.items() if now - each.seen_at > self.session_seconds]
        if self._rebalancing_since is not None and now - self._rebalancing_since > self.rebalance_seconds:
            expired += [name for name, each in self._members.items() if not each.has_joined and name not in expired]
        for name in expired:
            self.leave(name, now)
        return expired

    def on_metadata(self, now: float) -> None:
        """Assign partitions again if some were created or deleted."""
        if self._members and self.partitions() != self._assigned:
            self._start_rebalance(now)

    def restart_sessions(self, now: float) -> None:
        """A coordinator that has restarted gives each member a whole session."""
        for member in self._members.values():
            member.seen_at = now

    def check(self, member: str, generation: int) -> KafkaError | None:
        """Return why a commit of this member is rejected. A client that never joined has no generation."""
        if generation < 0:
            return KafkaError(KafkaError.UNKNOWN_MEMBER_ID) if self._members else None
        if member not in self._members:
            return KafkaError(KafkaError.UNKNOWN_MEMBER_ID)
        return None if generation == self.generation else KafkaError(KafkaError.ILLEGAL_GENERATION)

    def check_in_transaction(self, member: str, generation: int) -> KafkaError | None:
        """As `check`, but a client without a generation is trusted."""
        return None if generation < 0 else self.check(member, generation)

    def commit(self, offsets: Iterable[TopicPartition]) -> None:
        self._apply({(each.topic, each.partition): Offset(each.offset, each.metadata or "") for each in offsets})

    def has_acknowledged(self, commit: TopicPartition) -> bool:
        """Return whether this offset, or a later one, was the last one committed in the same topic.

        An earlier commit may lack the topic id, because the member did not know it yet.
        """
        key = commit.topic, commit.partition
        return any(self._acknowledged.get((key, each), -1) >= commit.offset for each in (commit.metadata or "", ""))

    def add_to_transaction(self, transaction: str, offsets: Iterable[TopicPartition]) -> None:
        added = {(each.topic, each.partition): Offset(each.offset, each.metadata or "") for each in offsets}
        self.pending.setdefault(transaction, {}).update(added)

    def end_transaction(self, transaction: str, *, commit: bool) -> None:
        offsets = self.pending.pop(transaction, {})
        if commit and offsets:
            self._apply(offsets)

    def _apply(self, offsets: Mapping[Key, Offset]) -> None:
        self.on_commit(offsets)
        self.offsets |= offsets
        self._acknowledged |= {(key, each.metadata): each.offset for key, each in offsets.items()}

    def _start_rebalance(self, now: float) -> None:
        if self._rebalancing_since is None:
            self._rebalancing_since = now
            for member in self._members.values():
                member.has_joined = False

    def _complete_if_all_joined(self) -> None:
        if self._rebalancing_since is None or not all(each.has_joined for each in self._members.values()):
            return
        self._rebalancing_since = None
        self.generation += 1
        self._assigned = self.partitions()
        granted = self._assign()
        for name, member in self._members.items():
            member.client.on_assignment(self.generation, frozenset(granted[name]))

    def _assign(self) -> dict[str, list[Key]]:
        """Spread the partitions, moving few. One that its owner must give up first has no owner in this generation."""
        owners = {key: name for name, member in self._members.items() for key in sorted(member.client.owned)}
        granted: dict[str, list[Key]] = {name: [] for name in self._members}
        quotas = self._quotas([*owners.values()])
        for key in sorted(self.partitions()) if granted else ():
            owner = owners.get(key) or max(granted, key=lambda name: quotas[name] - len(granted[name]))
            if len(granted[owner]) < quotas[owner]:
                granted[owner].append(key)
        return granted

    def _quotas(self, owners: Sequence[str]) -> dict[str, int]:
        """Return how many partitions each member gets: one more for those that have most."""
        names = sorted(self._members, key=owners.count, reverse=True)
        count, more = divmod(len(self.partitions()), max(len(names), 1))
        return {name: count + (number < more) for number, name in enumerate(names)}
