import type { JSX } from "preact";
import { useState } from "preact/hooks";

const FAILED = "The browser blocked copying: select the text instead.";

export function Copy({ label, text }: { label: string; text: string }): JSX.Element {
  const [message, setMessage] = useState("");
  const copy = async () => {
    setMessage(""); // so that screen readers announce a second copy too
    setMessage((await copyText(text)) ? "Copied" : FAILED);
  };
  return (
    <span class="copy">
      <button type="button" onClick={() => void copy()}>
        {label}
      </button>
      <span role="status" aria-label={label}>
        {message}
      </span>
    </span>
  );
}

/** Return whether it worked: browsers have no clipboard without HTTPS, and may deny access. */
async function copyText(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false;
  }
}
