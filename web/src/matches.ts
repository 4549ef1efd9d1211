import { withQuery, type Api, type Failure, type Result } from "./api";
import { isOrderId, listFragment, orderFragment } from "./route";
import type { Order, OrderPage } from "./types";

/** A place that a search leads to. */
export interface Choice {
  label: string;
  detail: string;
  fragment: string;
}

const LIMIT = 5;
const MISSING = 404;
const MALFORMED = 422;

/** Search for an order UID, a track number and a customer id. Fails only if nothing was found and a request failed. */
export async function search(api: Api, text: string, signal: AbortSignal): Promise<Result<Choice[]>> {
  const list = (filter: Record<string, string>) =>
    api.get<OrderPage>(withQuery("orders", { ...filter, limit: String(LIMIT) }), signal);
  const [order, withTrackNumber, ofCustomer] = await Promise.all([
    isOrderId(text) ? api.get<Order>(`orders/${text}`, signal) : null,
    list({ track_number: text }),
    list({ customer_id: text }),
  ]);
  const found = [
    ...(order?.ok ? [{ label: text, detail: "Order", fragment: orderFragment(text) }] : []),
    ...listed(withTrackNumber, "track number", text, listFragment({ track_number: text })),
    ...listed(ofCustomer, "customer id", text, listFragment({ customer_id: text })),
  ];
  const failed = [order, withTrackNumber, ofCustomer].find(isUnexpected);
  if (found.length === 0 && failed) return failed;
  return { ok: true, body: found, text: "", headers: new Headers(), milliseconds: 0 };
}

/** One matching order is opened directly, several as a list. */
function listed(result: Result<OrderPage>, kind: string, text: string, fragment: string): Choice[] {
  if (!result.ok) return [];
  const { orders, next_cursor } = result.body;
  const [first] = orders;
  if (!first) return [];
  if (orders.length === 1) {
    return [{ label: first.order_uid, detail: `Order with the ${kind} ${text}`, fragment: orderFragment(first.order_uid) }];
  }
  const count = next_cursor === null ? String(orders.length) : `More than ${orders.length}`;
  return [{ label: text, detail: `${count} orders with this ${kind}`, fragment }];
}

function isUnexpected(result: Result<unknown> | null): result is Failure {
  return result !== null && !result.ok && result.status !== MISSING && result.status !== MALFORMED;
}
