import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { asHex, asText, fromBase64 } from "../bytes";
import { whole } from "../format";
import { Scroll } from "./parts";

interface BytesProps {
  name: string;
  base64: string | null;
  /** Of the whole, where `base64` may be its beginning only. */
  size?: number;
}

/** Bytes that may be anything: shown as text, never as markup, and decoded only once they are looked at. */
export function Bytes({ name, base64, size }: BytesProps): JSX.Element {
  const [isOpen, setOpen] = useState(false);
  if (base64 === null) return <p class="hint">{name}: none</p>;
  return (
    <details onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>{name}</summary>
      {isOpen && <Opened name={name} bytes={fromBase64(base64)} size={size} />}
    </details>
  );
}

interface OpenedProps {
  name: string;
  bytes: Uint8Array;
  size: number | undefined;
}

function Opened({ name, bytes, size = bytes.length }: OpenedProps): JSX.Element {
  const [wantsHex, setWantsHex] = useState(false);
  const isCut = size > bytes.length;
  const text = asText(bytes, isCut);
  const isHex = wantsHex || text === null;
  return (
    <>
      <p class="title">
        {extent(bytes.length, size)}
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

function extent(shown: number, size: number): string {
  return size > shown ? `first ${bytesText(shown)} of ${bytesText(size)}` : bytesText(size);
}

function bytesText(count: number): string {
  return count >= 1_024 && count % 1_024 === 0 ? `${whole(count / 1_024)} KiB` : `${whole(count)} bytes`;
}
