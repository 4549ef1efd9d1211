import type { JSX } from "preact";
import type { Fate } from "../follow";
import type { Validation, Violation } from "../replay";
import { NO_FILTER, fragmentOf, orderFragment } from "../route";

interface ValidationMessageProps {
  validation: Validation;
  /** What the unchanged document violates; null if it was edited. */
  original: Violation[] | null;
  onSelect: (path: string) => void;
}

export function ValidationMessage({ validation, original, onSelect }: ValidationMessageProps): JSX.Element {
  switch (validation.kind) {
    case "checking":
    case "possible":
      return original ? (
        <>
          <p class="hint">The original stays in the dead-letter topic. Edit the document to repair it.</p>
          <Violations violations={original} onSelect={onSelect} />
        </>
      ) : validation.kind === "checking" ? (
        <p class="hint">Checking …</p>
      ) : (
        <p class="good">The document is valid.</p>
      );
    case "invalid":
      return <Violations violations={validation.violations} onSelect={onSelect} />;
    case "refused":
      return <p class="bad">Cannot be replayed: {validation.message}</p>;
    case "unchecked":
      return <p class="warn">Not checked: {validation.message}</p>;
  }
}

/** A path is a button that selects its value in the document. */
function Violations({ violations, onSelect }: { violations: Violation[]; onSelect: (path: string) => void }): JSX.Element {
  return (
    <ul class="rules">
      {violations.map(({ path, rule }) => (
        <li key={`${path} ${rule}`} class="bad">
          {path && (
            <button type="button" class="place" title="Select in the document" onClick={() => onSelect(path)}>
              {path}
            </button>
          )}{" "}
          {rule}
        </li>
      ))}
    </ul>
  );
}

export function FateMessage({ fate, uid }: { fate: Fate; uid: string | null }): JSX.Element {
  switch (fate.kind) {
    case "stored":
      return (
        <span class="good">
          Stored: <a href={orderFragment(uid ?? "")}>open order {uid}</a>
        </span>
      );
    case "back":
      return (
        <span class="bad">
          It failed again ({fate.deadLetter.reason}):{" "}
          <a href={fragmentOf({ name: "dead-letters", filter: NO_FILTER, cursors: [], selected: fate.deadLetter })}>
            open the new dead letter
          </a>
        </span>
      );
    case "unchanged":
      return <span class="warn">Sent. The stored order did not change: its version is the same or newer.</span>;
    case "unknown":
      return <span class="warn">Sent, but neither stored nor dead-lettered again after 30 s. Check that a consumer is running.</span>;
  }
}
