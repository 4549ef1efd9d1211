import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { fromBase64 } from "../bytes";
import { useApi } from "../context";
import { follow, snapshot, type Fate } from "../follow";
import { uidOf } from "../json";
import { JsonSyntaxError, pretty } from "../json-tree";
import { REPLAY, failureMessage } from "../messages";
import { mayHaveBeenSent, newRequestKey, rangeOf, refusalOf, replay, violationsIn } from "../replay";
import type { WholeDeadLetter } from "../types";
import { useValidation } from "../use-validation";
import { FateMessage, ValidationMessage } from "./replay-messages";

type State =
  | { kind: "editing" | "sending" | "following" }
  | { kind: "refused" | "uncertain"; reason: string }
  | { kind: "over"; fate: Fate };

const MAX_ROWS = 24;

/** Edits a dead letter's document, validates it while the user types, replays it, and follows what becomes of it. */
export function Replay({ deadLetter }: { deadLetter: WholeDeadLetter }): JSX.Element {
  const [original] = useState(() => editableText(deadLetter));
  const [text, setText] = useState(original);
  const value = text === original ? null : text;
  const validation = useValidation(deadLetter, value);
  const { state, send, reset } = useReplay(deadLetter, text, value);
  const editor = useRef<HTMLTextAreaElement>(null);
  const isBusy = state.kind === "sending" || state.kind === "following";
  const isBlocked = isBusy || validation.kind === "invalid" || validation.kind === "refused";
  const edit = (changed: string) => {
    setText(changed);
    reset();
  };
  const select = (path: string) => {
    editor.current?.setSelectionRange(...rangeOf(text, path));
    editor.current?.focus();
  };
  return (
    <section class="replay" aria-labelledby="replay-title">
      <h3 id="replay-title">Repair and replay</h3>
      <div class="columns">
        <label>
          Document
          <textarea
            ref={editor}
            rows={Math.min(MAX_ROWS, Math.max(6, text.split("\n").length))}
            value={text}
            spellcheck={false}
            autocomplete="off"
            readOnly={isBusy}
            aria-invalid={validation.kind === "invalid"}
            aria-describedby="validation"
            onInput={(event) => edit(event.currentTarget.value)}
          />
        </label>
        <div class="outcome">
          <div id="validation" role="status" aria-label="Validation">
            <ValidationMessage
              validation={validation}
              original={value === null ? violationsIn(deadLetter.detail) : null}
              onSelect={select}
            />
          </div>
          <p class="title">
            <button type="button" class="primary" aria-disabled={isBlocked} onClick={() => isBlocked || void send()}>
              {value === null ? "Replay unchanged" : "Replay the edited document"}
            </button>
            <button
              type="button"
              aria-disabled={isBusy || value === null}
              onClick={() => isBusy || value === null || edit(original)}
            >
              Undo changes
            </button>
          </p>
          <p role="status" aria-label="Replay">
            <StateMessage state={state} uid={uidOf(text)} />
          </p>
        </div>
      </div>
    </section>
  );
}

interface Replaying {
  state: State;
  send: () => Promise<void>;
  /** The document has changed: the next request is another one. */
  reset: () => void;
}

/** A request without a response is repeated with the same key, so that it is never sent twice. */
function useReplay(deadLetter: WholeDeadLetter, text: string, value: string | null): Replaying {
  const api = useApi();
  const [state, setState] = useState<State>({ kind: "editing" });
  const requestKey = useRef<string | null>(null);
  const [running] = useState(() => new AbortController());
  useEffect(() => () => running.abort(), [running]);
  const send = async () => {
    setState({ kind: "sending" });
    const uid = uidOf(text);
    const before = await snapshot(api, deadLetter, uid, running.signal);
    requestKey.current ??= newRequestKey();
    const result = await replay(api, { deadLetter, value, dryRun: false }, requestKey.current, running.signal);
    if (!result.ok) {
      const kind = mayHaveBeenSent(result) ? "uncertain" : "refused";
      return setState({ kind, reason: failureMessage(result, REPLAY) });
    }
    requestKey.current = null;
    const refusal = refusalOf(result.body);
    if (refusal !== null) return setState({ kind: "refused", reason: refusal });
    setState({ kind: "following" });
    setState({ kind: "over", fate: await follow(api, deadLetter, uid, before, running.signal) });
  };
  const reset = () => {
    requestKey.current = null;
    setState({ kind: "editing" });
  };
  return { state, send, reset };
}

/** The document, formatted if it is JSON. Bytes that are not UTF-8 become replacement characters. */
function editableText({ value }: WholeDeadLetter): string {
  const text = value === null ? "" : new TextDecoder("utf-8", { ignoreBOM: true }).decode(fromBase64(value));
  try {
    return pretty(text);
  } catch (error) {
    if (error instanceof JsonSyntaxError) return text;
    throw error;
  }
}

function StateMessage({ state, uid }: { state: State; uid: string | null }): JSX.Element | null {
  switch (state.kind) {
    case "editing":
      return null;
    case "sending":
      return <>Sending …</>;
    case "following":
      return <>Sent. Waiting until a consumer has stored it …</>;
    case "refused":
      return <span class="bad">Not replayed: {state.reason}</span>;
    case "uncertain":
      return <span class="warn">{state.reason} It may have been sent. To replay again is safe.</span>;
    case "over":
      return <FateMessage fate={state.fate} uid={uid} />;
  }
}
