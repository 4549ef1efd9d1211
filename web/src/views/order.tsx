import type { JSX } from "preact";
import { useState } from "preact/hooks";
import type { Success } from "../api";
import { curlCommand } from "../commands";
import { useAccess } from "../context";
import { fromIso, fromUnix, money } from "../format";
import { parseTree } from "../json-tree";
import { fragmentOf, listFragment, orderFragment, type OrderTab } from "../route";
import type { Order } from "../types";
import { Copy } from "./copy";
import { History } from "./history";
import { Items } from "./items";
import { Json } from "./json";
import { Fact, Facts, Scroll } from "./parts";
import { Time } from "./time";

const TAB_NAMES: Record<OrderTab, string> = { overview: "Overview", json: "JSON document", history: "History" };

export function OrderView({ response, tab }: { response: Success<Order>; tab: OrderTab }): JSX.Element {
  const order = response.body;
  return (
    <article class="panel" aria-labelledby="order-title">
      <div class="title">
        <h2 id="order-title">{order.order_uid}</h2>
        <CopyButtons id={order.order_uid} />
      </div>
      <Tabs id={order.order_uid} current={tab} />
      {tab === "overview" && <OverviewTab order={order} />}
      {tab === "json" && <Document text={response.text} />}
      {tab === "history" && <History id={order.order_uid} />}
    </article>
  );
}

function Tabs({ id, current }: { id: string; current: OrderTab }): JSX.Element {
  return (
    <nav class="tabs" aria-label="Views of the order">
      {(Object.keys(TAB_NAMES) as OrderTab[]).map((tab) => (
        <a key={tab} href={fragmentOf({ name: "order", id, tab })} aria-current={tab === current ? "page" : undefined}>
          {TAB_NAMES[tab]}
        </a>
      ))}
    </nav>
  );
}

function OverviewTab({ order }: { order: Order }): JSX.Element {
  return (
    <>
      <Overview order={order} />
      <div class="columns even">
        <Delivery order={order} />
        <Payment order={order} />
      </div>
      <Items items={order.items} payment={order.payment} />
    </>
  );
}

function CopyButtons({ id }: { id: string }): JSX.Element {
  const { key } = useAccess();
  const url = new URL(`orders/${id}`, document.baseURI).href;
  return (
    <span class="title end">
      <Copy label="Copy link" text={new URL(orderFragment(id), location.href).href} />
      <Copy label="Copy as curl" text={curlCommand(url, key !== null)} />
    </span>
  );
}

function Overview({ order }: { order: Order }): JSX.Element {
  const created = fromIso(order.date_created);
  return (
    <Facts>
      <Fact name="Track number">{order.track_number}</Fact>
      <Fact name="Entry">{order.entry}</Fact>
      <Fact name="Customer id">
        {order.customer_id} (<a href={listFragment({ customer_id: order.customer_id })}>all orders of the customer</a>)
      </Fact>
      <Fact name="Created, local time">{created ? <Time at={created} /> : order.date_created}</Fact>
      <Fact name="Created, UTC">{created ? <Time at={created} isUtc /> : order.date_created}</Fact>
      <Fact name="Locale">{order.locale}</Fact>
      <Fact name="Shard key">{order.shardkey}</Fact>
      <Fact name="OOF shard">{order.oof_shard}</Fact>
      <Fact name="SM id">{order.sm_id}</Fact>
      {order.internal_signature && <Fact name="Internal signature">{order.internal_signature}</Fact>}
    </Facts>
  );
}

function Delivery({ order: { delivery, delivery_service } }: { order: Order }): JSX.Element {
  return (
    <section aria-labelledby="delivery-title">
      <h3 id="delivery-title">Customer and delivery</h3>
      <Facts>
        <Fact name="Name">{delivery.name}</Fact>
        <Fact name="Phone">{delivery.phone}</Fact>
        <Fact name="Email">{delivery.email}</Fact>
        <Fact name="Address">
          {delivery.address}, {delivery.zip} {delivery.city}, {delivery.region}
        </Fact>
        <Fact name="Delivery service">{delivery_service}</Fact>
      </Facts>
    </section>
  );
}

function Payment({ order: { payment } }: { order: Order }): JSX.Element {
  const paid = fromUnix(payment.payment_dt);
  return (
    <section aria-labelledby="payment-title">
      <h3 id="payment-title">Payment</h3>
      <Facts>
        <Fact name="Amount">{money(payment.amount, payment.currency)}</Fact>
        <Fact name="Goods">{money(payment.goods_total, payment.currency)}</Fact>
        <Fact name="Delivery">{money(payment.delivery_cost, payment.currency)}</Fact>
        <Fact name="Custom fee">{money(payment.custom_fee, payment.currency)}</Fact>
        <Fact name="Paid">{paid ? <Time at={paid} /> : payment.payment_dt}</Fact>
        <Fact name="Provider and bank">
          {payment.provider}, {payment.bank}
        </Fact>
        <Fact name="Transaction">{payment.transaction}</Fact>
        {payment.request_id && <Fact name="Request id">{payment.request_id}</Fact>}
      </Facts>
    </section>
  );
}

function Document({ text }: { text: string }): JSX.Element {
  const [isRaw, setRaw] = useState(false);
  return (
    <>
      <p class="title">
        <button type="button" aria-pressed={isRaw} onClick={() => setRaw(!isRaw)}>
          Raw response
        </button>
        <Copy label="Copy JSON" text={text} />
      </p>
      <Scroll label="JSON">{isRaw ? <pre class="wrap">{text}</pre> : <Json text={text} root={parseTree(text)} />}</Scroll>
    </>
  );
}
