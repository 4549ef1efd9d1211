"""The order in the examples of the OpenAPI document."""

from datetime import UTC, datetime
from typing import Final

from service.entities.order import Delivery, Item, Order, Payment

ORDER: Final = Order(
    order_uid="b563feb7b2b84b6test",
    track_number="WBILMTESTTRACK",
    entry="WBIL",
    delivery=Delivery(
        name="Test Testov",
        phone="+9720000000",
        zip="2639809",
        city="Kiryat Mozkin",
        address="Ploshad Mira 15",
        region="Kraiot",
        email="test@gmail.com",
    ),
    payment=Payment(
        transaction="b563feb7b2b84b6test",
        request_id="",
        currency="USD",
        provider="wbpay",
        amount=1817,
        payment_dt=1637907727,
        bank="alpha",
        delivery_cost=1500,
        goods_total=317,
        custom_fee=0,
    ),
    items=[
        Item(
            chrt_id=9934930,
            track_number="WBILMTESTTRACK",
            price=453,
            rid="ab4219087a764ae0btest",
            name="Mascaras",
            sale=30,
            size="0",
            total_price=317,
            nm_id=2389212,
            brand="Vivienne Sabo",
            status=202,
        )
    ],
    locale="en",
    internal_signature="",
    customer_id="test",
    delivery_service="meest",
    shardkey="9",
    sm_id=99,
    date_created=datetime(2021, 11, 26, 6, 22, 19, tzinfo=UTC),
    oof_shard="1",
)
