import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { REASONS } from "../commands";
import type { DeadLetterFilter } from "../route";

const PERIODS = { "1h": "last hour", "24h": "last 24 hours", "7d": "last 7 days", "": "any time" };

interface FiltersProps {
  filter: DeadLetterFilter;
  onChange: (changed: Partial<DeadLetterFilter>) => void;
}

export function DeadLetterFilters({ filter, onChange }: FiltersProps): JSX.Element {
  const [order, setOrder] = useState(filter.order);
  const [text, setText] = useState(filter.text);
  const submit = (event: Event) => {
    event.preventDefault();
    onChange({ order: order.trim(), text: text.trim() });
  };
  return (
    <form class="fields" aria-label="Filter dead letters" onSubmit={submit}>
      <label>
        Reason
        <select value={filter.reason} onChange={(event) => onChange({ reason: event.currentTarget.value })}>
          <option value="">all</option>
          {REASONS.map((reason) => (
            <option key={reason} value={reason}>
              {reason}
            </option>
          ))}
        </select>
      </label>
      <label>
        Time
        <select value={filter.since} onChange={(event) => onChange({ since: event.currentTarget.value })}>
          {Object.entries({ [filter.since]: `last ${filter.since}`, ...PERIODS }).map(([period, name]) => (
            <option key={period} value={period}>
              {name}
            </option>
          ))}
        </select>
      </label>
      <label>
        Order UID
        <input value={order} maxLength={255} autocomplete="off" spellcheck={false} onInput={(event) => setOrder(event.currentTarget.value)} />
      </label>
      <label>
        Text in detail
        <input value={text} maxLength={255} autocomplete="off" spellcheck={false} onInput={(event) => setText(event.currentTarget.value)} />
      </label>
      <button type="submit">Filter</button>
    </form>
  );
}
