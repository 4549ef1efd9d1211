import type { JSX } from "preact";

/** Without API keys, dead letters cannot be read: says how to configure keys. */
export function DeadLettersOff(): JSX.Element {
  return (
    <div class="empty">
      <p>
        1. Write a file with one key a line: scopes, a space, and the key. Scopes: <code>read</code>,{" "}
        <code>dead-letters</code>.
      </p>
      <pre class="wrap">{'echo "read,dead-letters $(openssl rand -hex 24)" > keys'}</pre>
      <p>
        2. Set <code>ORDERS_AUTH__KEYS_FILE</code> to its path, or <code>auth.existingSecret</code> in the Helm chart, and
        restart the API. Reading orders needs a key then too. In the demo: <code>make demo ARGS=--keys</code>.
      </p>
    </div>
  );
}
