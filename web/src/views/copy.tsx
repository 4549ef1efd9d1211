import type { JSX } from "preact";
import { useState } from "preact/hooks";

const FAILED = "This browser does not allow copying here: select the text instead.";

export function Copy({ label, text }: { label: string; text: string }): JSX.Element {
  const [told, setTold] = useState("");
  const copy = async () => {
    setTold(""); // so that a second copy is announced too
    setTold((await copied(text)) ? "Copied" : FAILED);
  };
  return (
    <span class="copy">
      <button type="button" onClick={() => void copy()}>
        {label}
      </button>
      <span role="status" aria-label={label}>
        {told}
      </span>
    </span>
  );
}

/** Without a secure connection there is no clipboard; with one, it may be refused. */
async function copied(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false;
  }
}
