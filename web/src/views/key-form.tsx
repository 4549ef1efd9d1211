import type { JSX } from "preact";
import { useState } from "preact/hooks";
import type { AccessState } from "../access";
import { useAccess, useApi } from "../context";

const TOLD: Partial<Record<AccessState, string>> = {
  needed: "This API needs a key.",
  wrong: "The API does not know this key.",
};

/** Shown only when the API asks for a key. */
export function KeyForm(): JSX.Element | null {
  const { access } = useApi();
  const told = TOLD[useAccess().state];
  const [key, setKey] = useState("");
  if (!told) return null;
  const use = (event: Event) => {
    event.preventDefault();
    setKey("");
    access.use(key.trim());
  };
  return (
    <section class="panel notice" aria-labelledby="key-title">
      <h2 id="key-title">Access</h2>
      <p role="alert">{told}</p>
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
      <p class="hint">It is kept in this tab only, until the tab is closed or you forget the key.</p>
    </section>
  );
}
