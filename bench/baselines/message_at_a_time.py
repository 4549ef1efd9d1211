"""Baseline for ingest, the usual implementation: validates, stores and commits one message at a time.

It uses pydantic models, SQLAlchemy's ORM and a poll loop, with one session and one transaction per message. It skips
orders that are stored already, and commits the offset after the row. It lacks versions, dead letters and retries, which
cost the consumer time, and ignores fields that it does not declare. Run as
`python -m bench.baselines.message_at_a_time TOPIC COUNT`.
"""

import sys
from contextlib import closing
from datetime import UTC, datetime
from time import monotonic, process_time
from typing import Annotated, Final
from uuid import uuid4

import psycopg
from confluent_kafka import Consumer, Message
from pydantic import BaseModel, Field
from sqlalchemy import BigInteger, ForeignKeyConstraint, Sequence, create_engine, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship

from bench.ingest_result import IngestResult
from service import config
from service.pkg.output import echo
from service.repo.shards import shard_of

_POLL_TIMEOUT_SECONDS: Final = 30.0

Whole = Annotated[int, Field(ge=0, le=2**63 - 1)]
Text = Annotated[str, Field(max_length=256)]


class Delivery(BaseModel):
    name: Text
    phone: Annotated[str, Field(pattern=r"^\+\d{7,15}$")]
    zip: Text
    city: Text
    address: Text
    region: Text
    email: Annotated[str, Field(pattern=r"^[^@\s]+@[^@\s]+\.[^@\s]+$")]


class Payment(BaseModel):
    transaction: Text
    request_id: Text | None = None
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
    provider: Text
    amount: Whole
    payment_dt: Whole
    bank: Text
    delivery_cost: Whole
    goods_total: Whole
    custom_fee: Whole


class Item(BaseModel):
    chrt_id: Whole
    track_number: Text
    price: Whole
    rid: Text
    name: Text
    sale: Annotated[int, Field(ge=0, le=100)]
    size: Text
    total_price: Whole
    nm_id: Whole
    brand: Text
    status: Annotated[int, Field(ge=0, le=999)]


class Order(BaseModel):
    order_uid: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
    track_number: Text
    entry: Text
    delivery: Delivery
    payment: Payment
    items: Annotated[list[Item], Field(min_length=1, max_length=1_000)]
    locale: Text
    internal_signature: Text | None = None
    customer_id: Text
    delivery_service: Text
    shardkey: Text
    sm_id: Whole
    date_created: datetime
    oof_shard: Text


class Row(DeclarativeBase):
    pass


def _foreign_key() -> ForeignKeyConstraint:
    return ForeignKeyConstraint(["order_id", "shard"], ["orders.id", "orders.shard"])


class DeliveryRow(Row):
    __tablename__ = "deliveries"
    __table_args__ = (_foreign_key(),)

    order_id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    shard: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    phone: Mapped[str]
    zip: Mapped[str]
    city: Mapped[str]
    address: Mapped[str]
    region: Mapped[str]
    email: Mapped[str]


class PaymentRow(Row):
    __tablename__ = "payments"
    __table_args__ = (_foreign_key(),)

    order_id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    shard: Mapped[int] = mapped_column(primary_key=True)
    transaction: Mapped[str]
    request_id: Mapped[str | None]
    currency: Mapped[str]
    provider: Mapped[str]
    amount: Mapped[int] = mapped_column(BigInteger)
    payment_dt: Mapped[int] = mapped_column(BigInteger)
    bank: Mapped[str]
    delivery_cost: Mapped[int] = mapped_column(BigInteger)
    goods_total: Mapped[int] = mapped_column(BigInteger)
    custom_fee: Mapped[int] = mapped_column(BigInteger)


class ItemRow(Row):
    __tablename__ = "items"
    __table_args__ = (_foreign_key(),)

    order_id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    shard: Mapped[int] = mapped_column(primary_key=True)
    chrt_id: Mapped[int] = mapped_column(BigInteger)
    track_number: Mapped[str]
    price: Mapped[int] = mapped_column(BigInteger)
    rid: Mapped[str]
    name: Mapped[str]
    sale: Mapped[int]
    size: Mapped[str]
    total_price: Mapped[int] = mapped_column(BigInteger)
    nm_id: Mapped[int] = mapped_column(BigInteger)
    brand: Mapped[str]
    status: Mapped[int]


class OrderRow(Row):
    __tablename__ = "orders"

    id: Mapped[int] = mapped_column(BigInteger, Sequence("orders_id_seq"), primary_key=True)
    shard: Mapped[int] = mapped_column(primary_key=True)
    order_uid: Mapped[str]
    track_number: Mapped[str]
    entry: Mapped[str]
    locale: Mapped[str]
    internal_signature: Mapped[str | None]
    customer_id: Mapped[str]
    delivery_service: Mapped[str]
    shardkey: Mapped[str]
    sm_id: Mapped[int] = mapped_column(BigInteger)
    date_created: Mapped[datetime]
    oof_shard: Mapped[str]
    source_topic: Mapped[str]
    source_partition: Mapped[int]
    source_offset: Mapped[int] = mapped_column(BigInteger)
    source_timestamp: Mapped[datetime]
    delivery: Mapped[DeliveryRow] = relationship()
    payment: Mapped[PaymentRow] = relationship()
    items: Mapped[list[ItemRow]] = relationship()


def main() -> None:
    """Store `COUNT` orders and print an IngestResult from the first commit to the last, as one line of JSON."""
    topic, count = sys.argv[1], int(sys.argv[2])
    settings = config.load()
    engine = create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(settings.postgres.dsn))
    with closing(_consumer(settings.kafka.bootstrap_servers)) as consumer:
        consumer.subscribe([topic])
        cpu = process_time()
        commits: list[float] = []
        while len(commits) < count and (message := consumer.poll(_POLL_TIMEOUT_SECONDS)) is not None:
            with Session(engine) as session:
                _store(session, message)
            consumer.commit(message=message, asynchronous=False)
            commits.append(monotonic())
        cpu = process_time() - cpu
    echo(IngestResult(len(commits) - 1, commits[-1] - commits[0], len(commits), cpu).to_json())


def _consumer(bootstrap_servers: str) -> Consumer:
    return Consumer(
        {
            "bootstrap.servers": bootstrap_servers,
            "group.id": f"orders-bench-{uuid4().hex[:12]}",
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
        }
    )


def _store(session: Session, message: Message) -> None:
    order = Order.model_validate_json(message.value() or b"")
    if session.scalar(select(OrderRow.id).where(OrderRow.order_uid == order.order_uid)) is None:
        session.add(_row(order, message))
    session.commit()


def _row(order: Order, message: Message) -> OrderRow:
    return OrderRow(
        **order.model_dump(exclude={"delivery", "payment", "items"}),
        shard=shard_of(order.order_uid),
        source_topic=message.topic(),
        source_partition=message.partition(),
        source_offset=message.offset(),
        source_timestamp=datetime.fromtimestamp(message.timestamp()[1] / 1_000, UTC),
        delivery=DeliveryRow(**order.delivery.model_dump()),
        payment=PaymentRow(**order.payment.model_dump()),
        items=[ItemRow(position=position, **item.model_dump()) for position, item in enumerate(order.items)],
    )


if __name__ == "__main__":
    main()
