import type { JSX } from "preact";
import { useState } from "preact/hooks";
import type { AccessState } from "../access";
import { useAccess, useApi } from "../context";

const MESSAGES: Partial<Record<AccessState, string>> = {
  required: "This API requires a key.",
  rejected: "Unknown API key.",
};

/** Shown only if the API requires a key. */
export function KeyForm(): JSX.Element | null {
  const { access } = useApi();
  const message = MESSAGES[useAccess().state];
  const [key, setKey] = useState("");
  if (!message) return null;
  const use = (event: Event) => {
    event.preventDefault();
    setKey("");
    access.use(key.trim());
  };
  return (
    <section class="panel notice" aria-labelledby="key-title">
      <h2 id="key-title">Access</h2>
      <p role="alert">{message}</p>
      <form class="fields" onSubmit={use}>
        <label>
          API key
          <input
            type="password"
            autocomplete="off"
            required
            value={key}
            onInput={(event) => setKey(event.currentTarget.value)}
          />
        </label>
        <button type="submit">Use this key</button>
      </form>
      <p class="hint">The key stays in this tab until you close the tab or forget the key.</p>
    </section>
  );
}
