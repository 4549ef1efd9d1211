export const BYTES_PER_LINE = 16;
// Control characters, invisible characters, and characters that change the direction of the text.
const HIDDEN = /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]/g;

export function fromBase64(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
}

/**
 * Decode UTF-8 and make hidden characters visible. Return null if the bytes are not UTF-8.
 * With `isTruncated`, the bytes may end within a character.
 */
export function asText(bytes: Uint8Array, isTruncated: boolean): string | null {
  try {
    const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
    return showHidden(decoder.decode(bytes, { stream: isTruncated }));
  } catch {
    return null;
  }
}

/** Return the offset of the first byte that is not UTF-8, or the length. */
export function firstInvalidByte(bytes: Uint8Array): number {
  let valid = 0;
  let end = bytes.length;
  while (valid < end) {
    const middle = Math.ceil((valid + end) / 2);
    if (asText(bytes.subarray(0, middle), true) === null) end = middle - 1;
    else valid = middle;
  }
  return valid;
}

/** Return a hex dump: offset, sixteen bytes, and their printable characters. */
export function asHex(bytes: Uint8Array): string {
  const lines: string[] = [];
  for (let offset = 0; offset < bytes.length; offset += BYTES_PER_LINE) {
    lines.push(hexLine(offset, [...bytes.subarray(offset, offset + BYTES_PER_LINE)]));
  }
  return lines.join("\n");
}

function hexLine(offset: number, bytes: number[]): string {
  const hex = bytes.map((byte) => byte.toString(16).padStart(2, "0")).join(" ");
  const printable = bytes.map((byte) => (byte > 0x1f && byte < 0x7f ? String.fromCharCode(byte) : ".")).join("");
  return `${offset.toString(16).padStart(6, "0")}  ${hex.padEnd(BYTES_PER_LINE * 3 - 1)}  ${printable}`;
}

/** Make hidden characters visible. */
export function showHidden(text: string): string {
  return text.replace(HIDDEN, (character) => {
    if (character === "\n") return "↵\n";
    return `⟨U+${character.charCodeAt(0).toString(16).toUpperCase().padStart(4, "0")}⟩`;
  });
}
