import type { JSX } from "preact";
import { useCallback } from "preact/hooks";
import { useApi } from "../context";
import { useLoaded } from "../hooks";
import { isOrderId, type OrderTab } from "../route";
import { lookUpMessage } from "../messages";
import { readOrder } from "../orders";
import { OrderView } from "./order";

/** The order with this UID, or why it is not shown. */
export function LookUp({ id, tab }: { id: string; tab: OrderTab }): JSX.Element {
  const api = useApi();
  const load = useCallback((signal: AbortSignal) => readOrder(api, id, signal), [api, id]);
  const { result } = useLoaded(isOrderId(id) ? load : null);
  const isBad = !isOrderId(id) || result?.ok === false;
  return (
    <>
      <p role="status" aria-label="Look-up" class={isBad ? "bad" : "hint"}>
        {lookUpMessage(id, result)}
      </p>
      {result?.ok && <OrderView key={id} response={result} tab={tab} />}
    </>
  );
}
