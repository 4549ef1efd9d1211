import type { JSX } from "preact";
import { useCallback, useEffect, useState } from "preact/hooks";
import { useApi } from "../context";
import { useLoaded } from "../hooks";
import { isOrderId, orderFragment } from "../route";
import { lookUpMessage } from "../messages";
import type { Order } from "../types";
import { OrderView } from "./order";

/** The form, and the order of the current route. `id` is null on other routes. */
export function LookUp({ id }: { id: string | null }): JSX.Element {
  const api = useApi();
  const load = useCallback((signal: AbortSignal) => api.get<Order>(`orders/${id}`, signal), [api, id]);
  const isMalformed = id !== null && !isOrderId(id);
  const { result, isLoading, reload } = useLoaded(id === null || isMalformed ? null : load);
  const isBad = isMalformed || (!isLoading && result?.ok === false);
  return (
    <>
      <section class="panel" aria-label="Look up">
        <LookUpForm id={id} isMalformed={isMalformed} onRepeat={reload} />
        <p id="look-up-status" role="status" aria-label="Look-up" class={isBad ? "bad" : ""}>
          {lookUpMessage(id, isLoading ? null : result)}
        </p>
      </section>
      {result?.ok && result.body.order_uid === id && <OrderView response={result} />}
    </>
  );
}

interface FormProps {
  id: string | null;
  isMalformed: boolean;
  /** The current id was submitted again. */
  onRepeat: () => void;
}

function LookUpForm({ id, isMalformed, onRepeat }: FormProps): JSX.Element {
  const [text, setText] = useState("");
  useEffect(() => setText(id ?? ""), [id]);
  const submit = (event: Event) => {
    event.preventDefault();
    const submitted = text.trim();
    if (submitted === id) onRepeat();
    else location.hash = orderFragment(submitted);
  };
  return (
    <form role="search" class="fields" onSubmit={submit}>
      <label class="wide">
        Order UID
        <input
          value={text}
          onInput={(event) => setText(event.currentTarget.value)}
          aria-invalid={isMalformed}
          aria-describedby="look-up-status"
          autocomplete="off"
          autocapitalize="off"
          spellcheck={false}
        />
      </label>
      <button type="submit" class="primary">
        Look up
      </button>
    </form>
  );
}
