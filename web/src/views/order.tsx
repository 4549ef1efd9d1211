import type { JSX } from "preact";
import type { Success } from "../api";
import { duration, fromIso, fromUnix, money } from "../format";
import { orderFragment } from "../route";
import { isHit } from "../messages";
import type { Order } from "../types";
import { Copy } from "./copy";
import { Items } from "./items";
import { Fact, Facts, Scroll } from "./parts";
import { Time } from "./time";

export function OrderView({ response }: { response: Success<Order> }): JSX.Element {
  const order = response.body;
  return (
    <article class="panel" aria-labelledby="order-title">
      <div class="title">
        <h2 id="order-title">{order.order_uid}</h2>
        <CacheBadge response={response} />
        <DeepLink id={order.order_uid} />
      </div>
      <Overview order={order} />
      <div class="columns even">
        <Delivery order={order} />
        <Payment order={order} />
      </div>
      <Items items={order.items} payment={order.payment} />
      <Document text={response.text} />
    </article>
  );
}

function CacheBadge({ response }: { response: Success<Order> }): JSX.Element {
  return (
    <span class="timing">
      <span class="badge">{isHit(response) ? "hit" : "miss"}</span> {duration(response.milliseconds)}
    </span>
  );
}

function DeepLink({ id }: { id: string }): JSX.Element {
  const address = new URL(orderFragment(id), location.href).href;
  return (
    <span class="links">
      <a href={orderFragment(id)}>Link to this order</a>
      <Copy label="Copy link" text={address} />
    </span>
  );
}

function Overview({ order }: { order: Order }): JSX.Element {
  const created = fromIso(order.date_created);
  return (
    <Facts>
      <Fact name="Track number">{order.track_number}</Fact>
      <Fact name="Entry">{order.entry}</Fact>
      <Fact name="Customer id">{order.customer_id}</Fact>
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
  return (
    <details>
      <summary>JSON document</summary>
      <Copy label="Copy JSON" text={text} />
      <Scroll label="JSON">
        <pre class="wrap">{text}</pre>
      </Scroll>
    </details>
  );
}
