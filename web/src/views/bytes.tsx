import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { asHex, asText, fromBase64 } from "../bytes";
import { integer } from "../format";
import { Scroll } from "./parts";

interface BytesProps {
  name: string;
  base64: string | null;
  /** Size of the whole value, if `base64` is only its beginning. */
  size?: number;
}

/** Untrusted bytes: shown as text, never as markup, and decoded only when opened. */
export function Bytes({ name, base64, size }: BytesProps): JSX.Element {
  const [isOpen, setOpen] = useState(false);
  if (base64 === null) return <p class="hint">{name}: none</p>;
  return (
    <details onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>{name}</summary>
      {isOpen && <OpenBytes name={name} bytes={fromBase64(base64)} size={size} />}
    </details>
  );
}

interface OpenBytesProps {
  name: string;
  bytes: Uint8Array;
  size: number | undefined;
}

function OpenBytes({ name, bytes, size = bytes.length }: OpenBytesProps): JSX.Element {
  const [wantsHex, setWantsHex] = useState(false);
  const isTruncated = size > bytes.length;
  const text = asText(bytes, isTruncated);
  const isHex = wantsHex || text === null;
  return (
    <>
      <p class="title">
        {sizeText(bytes.length, size)}
        {text === null ? (
          <span class="hint">not UTF-8 text</span>
        ) : (
          <button type="button" onClick={() => setWantsHex(!wantsHex)}>
            {wantsHex ? "Show as text" : "Show as hex"}
          </button>
        )}
      </p>
      <Scroll label={name}>
        <pre class={isHex ? "" : "wrap"}>{isHex ? asHex(bytes) : text}</pre>
      </Scroll>
    </>
  );
}

function sizeText(shown: number, size: number): string {
  return size > shown ? `first ${bytesText(shown)} of ${bytesText(size)}` : bytesText(size);
}

function bytesText(count: number): string {
  return count >= 1_024 && count % 1_024 === 0 ? `${integer(count / 1_024)} KiB` : `${integer(count)} bytes`;
}
