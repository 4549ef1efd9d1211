import type { JSX } from "preact";
import { useCallback } from "preact/hooks";
import { useApi } from "../context";
import { useLoaded } from "../hooks";
import { ORDER, failureMessage } from "../messages";
import { NO_FILTER, fragmentOf } from "../route";
import type { OrderHistory } from "../types";
import { Scroll } from "./parts";
import { HeaderTime } from "./time";

/** Where each known version of an order came from, and what it changed. */
export function History({ id }: { id: string }): JSX.Element {
  const api = useApi();
  const { result } = useLoaded(
    useCallback((signal: AbortSignal) => api.get<OrderHistory>(`orders/${id}/history`, signal), [api, id]),
  );
  return (
    <>
      <p role="status" aria-label="History" class={result?.ok === false ? "bad" : "hint"}>
        {!result && "Loading …"}
        {result?.ok === false && failureMessage(result, ORDER)}
        {result?.ok && summary(result.body)}
      </p>
      {result?.ok && <Versions {...result.body} />}
      <p>
        <a href={fragmentOf({ name: "dead-letters", filter: { ...NO_FILTER, order: id }, cursors: [], selected: null })}>
          Dead letters of this order
        </a>
      </p>
    </>
  );
}

function summary({ replacements, versions }: OrderHistory): string {
  const replaced = { 0: "never replaced", 1: "replaced once" }[replacements] ?? `replaced ${replacements} times`;
  const missing = replacements + 1 - versions.length;
  return `Stored, and ${replaced}.${missing > 0 ? ` ${missing} older versions are not recorded.` : ""}`;
}

function Versions({ versions, replacements }: OrderHistory): JSX.Element {
  return (
    <Scroll label="Versions">
      <table>
        <caption class="visually-hidden">Versions of the order</caption>
        <thead>
          <tr>
            <th scope="col">Stored</th>
            <th scope="col">Sent</th>
            <th scope="col">Kafka record</th>
            <th scope="col">Changed fields</th>
          </tr>
        </thead>
        <tbody>
          {versions.map(({ stored_at, source, changed_fields }, position) => (
            <tr key={position}>
              <th scope="row">
                <HeaderTime text={stored_at} />
              </th>
              <td>
                <HeaderTime text={source.timestamp} />
              </td>
              <td>
                {source.topic}, partition {source.partition}, offset {source.offset}
              </td>
              <td>{changed_fields?.join(", ") ?? (position === replacements ? "first version" : "not recorded")}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </Scroll>
  );
}
