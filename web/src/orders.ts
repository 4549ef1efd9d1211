import type { Api, Result } from "./api";
import { ERASED } from "./messages";
import type { Order } from "./types";

const NOT_FOUND = 404;

/** Reads an order. If it is not stored because it was erased, the failure says so. */
export async function readOrder(api: Pick<Api, "get">, id: string, signal: AbortSignal): Promise<Result<Order>> {
  const order = await api.get<Order>(`orders/${id}`, signal);
  if (order.ok || order.status !== NOT_FOUND) return order;
  const history = await api.get<unknown>(`orders/${id}/history`, signal);
  return !history.ok && history.type === ERASED ? history : order;
}
