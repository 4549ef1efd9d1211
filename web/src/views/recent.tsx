import type { JSX } from "preact";
import { useCallback, useState } from "preact/hooks";
import { withQuery, type Result } from "../api";
import { useApi } from "../context";
import { fromIso, money } from "../format";
import { useInterval, useLoaded, usePaging, type Load } from "../hooks";
import { orderFragment } from "../route";
import { ORDERS, failureMessage } from "../messages";
import type { OrderPage, Summary } from "../types";
import { Filters, NO_FILTERS, type FilterValues } from "./filters";
import { Pager, Scroll } from "./parts";
import { ShortTime } from "./time";

const PAGE_SIZE = "20";
/** Only the first page is reloaded: on other pages, orders would move while the user reads. */
const RELOAD_INTERVAL_MS = 5_000;

export function Recent(): JSX.Element {
  const paging = usePaging();
  const [filters, setFilters] = useState(NO_FILTERS);
  const { result, lastSuccess, isLoading, reload } = useLoaded(useLoad(filters, paging.cursor));
  useInterval(RELOAD_INTERVAL_MS, paging.cursor === null ? reload : null);
  return (
    <section class="panel" aria-labelledby="recent-title" aria-busy={isLoading}>
      <div class="title">
        <h2 id="recent-title">Recent orders</h2>
        <button type="button" onClick={reload}>
          Refresh
        </button>
      </div>
      <Filters
        onChange={(values) => {
          setFilters(values);
          paging.first();
        }}
      />
      <p role="status" aria-label="Recent orders" class={result?.ok === false ? "bad" : ""}>
        {statusMessage(result)}
      </p>
      {lastSuccess && <OrdersTable orders={lastSuccess.body.orders} />}
      <Pager label="Pages of recent orders" paging={paging} next={lastSuccess ? lastSuccess.body.next_cursor : null} />
    </section>
  );
}

function useLoad(filters: FilterValues, cursor: string | null): Load<OrderPage> {
  const api = useApi();
  return useCallback(
    (signal) => api.get(withQuery("orders", { ...filters, cursor, limit: PAGE_SIZE }), signal),
    [api, filters, cursor],
  );
}

function statusMessage(result: Result<OrderPage> | null): string {
  if (!result) return "Loading …";
  if (!result.ok) return failureMessage(result, ORDERS);
  return result.body.orders.length > 0 ? "" : ORDERS.missing;
}

export function OrdersTable({ orders }: { orders: Summary[] }): JSX.Element {
  return (
    <Scroll label="Recent orders">
      <table>
        <caption class="visually-hidden">Orders, newest first</caption>
        <thead>
          <tr>
            <th scope="col">Order</th>
            <th scope="col">Created</th>
            <th scope="col">Stored</th>
            <th scope="col">Track number</th>
            <th scope="col">Delivery</th>
            <th scope="col" class="figure">
              Items
            </th>
            <th scope="col" class="figure">
              Amount
            </th>
          </tr>
        </thead>
        <tbody>
          {orders.map((order) => (
            <OrderRow key={order.order_uid} order={order} />
          ))}
        </tbody>
      </table>
    </Scroll>
  );
}

function OrderRow({ order }: { order: Summary }): JSX.Element {
  const created = fromIso(order.date_created);
  const stored = fromIso(order.stored_at);
  return (
    <tr>
      <th scope="row">
        <a href={orderFragment(order.order_uid)}>{order.order_uid}</a>
      </th>
      <td>{created ? <ShortTime at={created} /> : order.date_created}</td>
      <td>{stored ? <ShortTime at={stored} /> : order.stored_at}</td>
      <td>{order.track_number}</td>
      <td>{order.delivery_service}</td>
      <td class="figure">{order.items}</td>
      <td class="figure">{money(order.amount, order.currency)}</td>
    </tr>
  );
}
