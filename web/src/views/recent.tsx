import type { JSX } from "preact";
import { useCallback, useState } from "preact/hooks";
import { withQuery, type Result } from "../api";
import { useApi } from "../context";
import { fromIso, integer, money } from "../format";
import { useInterval, useLoaded, type Load } from "../hooks";
import { START, fragmentOf, orderFragment, type OrderFilter } from "../route";
import { ORDERS, failureMessage } from "../messages";
import type { OrderPage, Summary } from "../types";
import { useFrames, type FollowedFeed } from "../use-feed";
import { Pager, Scroll } from "./parts";
import { ShortTime } from "./time";

const PAGE_SIZE = "20";
/** An empty list cannot move while the user reads it, so it is reloaded. */
const EMPTY_RELOAD_INTERVAL_MS = 3_000;
const FILTER_NAMES: Record<keyof OrderFilter, string> = { customer_id: "Customer id", track_number: "Track number" };

interface RecentProps {
  filter: OrderFilter;
  cursors: string[];
  followed: FollowedFeed;
}

export function Recent({ filter, cursors, followed }: RecentProps): JSX.Element {
  const { result, lastSuccess, isLoading, reload } = useLoaded(useLoad(filter, cursors.at(-1) ?? null));
  const isEmpty = result?.ok === true && result.body.orders.length === 0;
  useInterval(EMPTY_RELOAD_INTERVAL_MS, isEmpty ? reload : null);
  const isFiltered = Object.values(filter).some((value) => value !== "");
  return (
    <section class="panel" aria-labelledby="recent-title" aria-busy={isLoading}>
      <div class="title">
        <h2 id="recent-title">{isFiltered ? "Matching orders" : "Recent orders"}</h2>
        <button type="button" onClick={reload}>
          Refresh
        </button>
        {!isFiltered && !isEmpty && cursors.length === 0 && lastSuccess && (
          <NewOrders key={lastSuccess} followed={followed} onShow={reload} />
        )}
      </div>
      <FilterChips filter={filter} />
      <p role="status" aria-label="Recent orders" class={result?.ok === false ? "bad" : ""}>
        {statusMessage(result)}
      </p>
      {lastSuccess && lastSuccess.body.orders.length > 0 && <OrdersTable orders={lastSuccess.body.orders} />}
      {isEmpty && <NoOrders isFiltered={isFiltered} />}
      <Pager
        label="Pages of recent orders"
        cursors={cursors}
        next={lastSuccess ? lastSuccess.body.next_cursor : null}
        linkTo={(passed) => fragmentOf({ name: "orders", filter, cursors: passed })}
      />
    </section>
  );
}

/** Counts the orders stored since it was mounted, which is when the list was loaded, instead of moving the list while the user reads it. */
function NewOrders({ followed, onShow }: { followed: FollowedFeed; onShow: () => void }): JSX.Element | null {
  useFrames(followed.frames);
  const [before] = useState(followed.feed.stored);
  const count = followed.feed.stored - before;
  if (count === 0) return null;
  return (
    <button type="button" class="primary" onClick={onShow}>
      Show {integer(count)} new
    </button>
  );
}

function FilterChips({ filter }: { filter: OrderFilter }): JSX.Element | null {
  const set = (Object.keys(FILTER_NAMES) as (keyof OrderFilter)[]).filter((name) => filter[name] !== "");
  if (set.length === 0) return null;
  return (
    <p class="chips">
      {set.map((name) => (
        <span key={name} class="badge">
          {FILTER_NAMES[name]}: {filter[name]}{" "}
          <a
            href={fragmentOf({ name: "orders", filter: { ...filter, [name]: "" }, cursors: [] })}
            aria-label={`Remove the filter by ${FILTER_NAMES[name].toLowerCase()}`}
          >
            ✕
          </a>
        </span>
      ))}
    </p>
  );
}

function NoOrders({ isFiltered }: { isFiltered: boolean }): JSX.Element {
  return (
    <div class="empty hint">
      {isFiltered ? (
        <p>
          Filters compare whole values. <a href={fragmentOf(START)}>Show all orders</a>
        </p>
      ) : (
        <p>
          Orders appear here when a consumer has stored them. To send some, run <code>orders generate --count 100</code>.
        </p>
      )}
    </div>
  );
}

function useLoad(filter: OrderFilter, cursor: string | null): Load<OrderPage> {
  const api = useApi();
  const { customer_id, track_number } = filter;
  return useCallback(
    (signal) => api.get(withQuery("orders", { customer_id, track_number, cursor, limit: PAGE_SIZE }), signal),
    [api, customer_id, track_number, cursor],
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
