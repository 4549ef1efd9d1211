import type { JSX } from "preact";
import { useCallback, useEffect, useState } from "preact/hooks";
import { useApi } from "../context";
import { useLoaded } from "../hooks";
import { isOrderId, orderFragment } from "../route";
import { lookUpSentence } from "../sentences";
import type { Order } from "../types";
import { OrderView } from "./order";

/** The form, and the order that the address names; `id` is null while it names none. */
export function LookUp({ id }: { id: string | null }): JSX.Element {
  const api = useApi();
  const load = useCallback((signal: AbortSignal) => api.get<Order>(`orders/${id}`, signal), [api, id]);
  const isMalformed = id !== null && !isOrderId(id);
  const { result, isLoading, reload } = useLoaded(id === null || isMalformed ? null : load);
  const isBad = isMalformed || (!isLoading && result?.ok === false);
  return (
    <>
      <section class="panel" aria-label="Look up">
        <LookUpForm id={id} isMalformed={isMalformed} onAgain={reload} />
        <p id="look-up-status" role="status" aria-label="Look-up" class={isBad ? "bad" : ""}>
          {lookUpSentence(id, isLoading ? null : result)}
        </p>
      </section>
      {result?.ok && result.body.order_uid === id && <OrderView answer={result} />}
    </>
  );
}

interface FormProps {
  id: string | null;
  isMalformed: boolean;
  /** The id that is shown was submitted again. */
  onAgain: () => void;
}

function LookUpForm({ id, isMalformed, onAgain }: FormProps): JSX.Element {
  const [text, setText] = useState("");
  useEffect(() => setText(id ?? ""), [id]);
  const submit = (event: Event) => {
    event.preventDefault();
    const asked = text.trim();
    if (asked === id) onAgain();
    else location.hash = orderFragment(asked);
  };
  return (
    <form role="search" class="fields" onSubmit={submit}>
      <label class="wide">
        Order id
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
