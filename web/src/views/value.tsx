import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { BYTES_PER_LINE, asHex, asText, firstInvalidByte, showHidden } from "../bytes";
import { integer } from "../format";
import { JsonSyntaxError, findPaths, parseTree, pathsOf, placeOf, type JsonNode } from "../json-tree";
import { Json } from "./json";
import { Scroll } from "./parts";

interface ValueProps {
  bytes: Uint8Array;
  /** Size of the whole value, of which `bytes` may be only the beginning; null if that is unknown. */
  size: number | null;
  /** The dead letter's detail, whose paths are marked. */
  detail: string;
}

type Form = "json" | "text" | "hex";

/** Untrusted bytes, shown as text and never as markup. Marks what breaks a rule, the JSON syntax or UTF-8. */
export function Value({ bytes, size, detail }: ValueProps): JSX.Element {
  const [chosen, setChosen] = useState<Form | null>(null);
  const isWhole = size !== null && size <= bytes.length;
  const text = asText(bytes, !isWhole);
  const document = text !== null && isWhole ? parse(new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes)) : null;
  const forms = formsOf(text, document);
  const form = chosen !== null && forms.includes(chosen) ? chosen : forms[0];
  return (
    <>
      <p class="title">
        {forms.length > 1 &&
          forms.map((each) => (
            <button key={each} type="button" aria-pressed={each === form} onClick={() => setChosen(each)}>
              {FORM_NAMES[each]}
            </button>
          ))}
        <span class="hint">{sizeText(bytes.length, size)}</span>
        <span class="bad">{problemOf(bytes, text, document)}</span>
      </p>
      <Scroll label="Value">
        {form === "json" && document?.root && (
          <Json text={document.text} root={document.root} marked={findPaths(document.root, pathsOf(detail))} />
        )}
        {form === "text" && <pre class="wrap">{document?.error ? <Broken {...document} /> : text}</pre>}
        {form === "hex" && <pre>{text === null ? <BrokenHex bytes={bytes} /> : asHex(bytes)}</pre>}
      </Scroll>
    </>
  );
}

const FORM_NAMES: Record<Form, string> = { json: "JSON", text: "Text", hex: "Hex" };

interface Parsed {
  text: string;
  root: JsonNode | null;
  error: JsonSyntaxError | null;
}

function parse(text: string): Parsed {
  try {
    return { text, root: parseTree(text), error: null };
  } catch (error) {
    return { text, root: null, error: error as JsonSyntaxError };
  }
}

function formsOf(text: string | null, document: Parsed | null): Form[] {
  if (text === null) return ["hex"];
  return document?.root ? ["json", "text", "hex"] : ["text", "hex"];
}

function problemOf(bytes: Uint8Array, text: string | null, document: Parsed | null): string {
  if (text === null) return `not UTF-8 from byte ${integer(firstInvalidByte(bytes))} on`;
  return document?.error ? `${placeOf(document.text, document.error.position)}: ${document.error.message}` : "";
}

function Broken({ text, error }: Parsed): JSX.Element {
  const position = error?.position ?? 0;
  const rest = position + 1;
  return (
    <>
      {showHidden(text.slice(0, position))}
      <mark>{position < text.length ? showHidden(text.slice(position, rest)) : "⟨end⟩"}</mark>
      {showHidden(text.slice(rest))}
    </>
  );
}

/** A hex dump with the line marked that contains the first byte that is not UTF-8. */
function BrokenHex({ bytes }: { bytes: Uint8Array }): JSX.Element {
  const lines = asHex(bytes).split("\n");
  const broken = Math.floor(firstInvalidByte(bytes) / BYTES_PER_LINE);
  const text = (part: string[]) => part.map((line) => `${line}\n`).join("");
  return (
    <>
      {text(lines.slice(0, broken))}
      <mark>{lines[broken]}</mark>
      {`\n${text(lines.slice(broken + 1))}`}
    </>
  );
}

function sizeText(shown: number, size: number | null): string {
  if (size === null) return `first ${bytesText(shown)}`;
  return size > shown ? `first ${bytesText(shown)} of ${bytesText(size)}` : bytesText(size);
}

function bytesText(count: number): string {
  return count >= 1_024 && count % 1_024 === 0 ? `${integer(count / 1_024)} KiB` : `${integer(count)} bytes`;
}
