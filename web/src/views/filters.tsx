import type { JSX } from "preact";
import { useState } from "preact/hooks";

/** Keys are the names of the API's parameters. An empty string does not filter. */
export const NO_FILTERS = { customer_id: "", track_number: "" };
export type FilterValues = typeof NO_FILTERS;

export function Filters({ onChange }: { onChange: (values: FilterValues) => void }): JSX.Element {
  const [typed, setTyped] = useState(NO_FILTERS);
  const submit = (event: Event) => {
    event.preventDefault();
    onChange({ customer_id: typed.customer_id.trim(), track_number: typed.track_number.trim() });
  };
  const clear = () => {
    setTyped(NO_FILTERS);
    onChange(NO_FILTERS);
  };
  return (
    <form class="fields" aria-label="Filter recent orders" onSubmit={submit}>
      <Field
        label="Customer id"
        value={typed.customer_id}
        onType={(text) => setTyped({ ...typed, customer_id: text })}
      />
      <Field
        label="Track number"
        value={typed.track_number}
        onType={(text) => setTyped({ ...typed, track_number: text })}
      />
      <button type="submit">Filter</button>
      <button type="button" onClick={clear}>
        Clear
      </button>
    </form>
  );
}

interface FieldProps {
  label: string;
  value: string;
  onType: (text: string) => void;
}

function Field({ label, value, onType }: FieldProps): JSX.Element {
  return (
    <label>
      {label}
      <input
        value={value}
        maxLength={255}
        autocomplete="off"
        spellcheck={false}
        onInput={(event) => onType(event.currentTarget.value)}
      />
    </label>
  );
}
