/** More is not shown, and never takes memory. */
export const MAX_DECOMPRESSED_BYTES = 262_144;

export interface Decompressed {
  bytes: Uint8Array;
  /** Whether that is everything: it is not if there is more, or if the compressed bytes are malformed or incomplete. */
  isWhole: boolean;
}

export function isGzip(bytes: Uint8Array): boolean {
  return bytes[0] === 0x1f && bytes[1] === 0x8b;
}

/** Decompress the beginning of a value. */
export async function gunzip(bytes: Uint8Array<ArrayBuffer>, limit = MAX_DECOMPRESSED_BYTES): Promise<Decompressed> {
  const reader = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip")).getReader();
  const chunks: Uint8Array[] = [];
  let size = 0;
  let isWhole = false;
  try {
    while (size <= limit && !isWhole) {
      const { done, value } = await reader.read();
      isWhole = done;
      if (value) chunks.push(value);
      size += value?.length ?? 0;
    }
    await reader.cancel();
  } catch {
    isWhole = false;
  }
  return { bytes: joined(chunks, size).subarray(0, limit), isWhole: isWhole && size <= limit };
}

function joined(chunks: Uint8Array[], size: number): Uint8Array {
  const all = new Uint8Array(size);
  let end = 0;
  for (const chunk of chunks) {
    all.set(chunk, end);
    end += chunk.length;
  }
  return all;
}
