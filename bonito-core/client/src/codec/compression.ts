import type { Bytes } from "./codec.ts";

/** Written and read by hand: going through `Blob` and `Response` costs several times as much per frame. */
async function through(bytes: Uint8Array, { readable, writable }: CompressionStream | DecompressionStream): Promise<Bytes> {
  const writer = writable.getWriter();
  // A failure of either of these is one of reading as well, and is thrown there.
  writer.write(bytes as Bytes).catch(() => {});
  writer.close().catch(() => {});
  const reader = readable.getReader() as ReadableStreamDefaultReader<Bytes>;
  const chunks: Bytes[] = [];
  let length = 0;
  for (let chunk = await reader.read(); !chunk.done; chunk = await reader.read()) {
    chunks.push(chunk.value);
    length += chunk.value.length;
  }
  const [first] = chunks;
  if (chunks.length === 1 && first) return first;
  const whole = new Uint8Array(length);
  let at = 0;
  for (const chunk of chunks) {
    whole.set(chunk, at);
    at += chunk.length;
  }
  return whole;
}

/** c2s messages are zlib streams (§2.4); the platform calls that format "deflate". */
export function compress(bytes: Uint8Array): Promise<Bytes> {
  return through(bytes, new CompressionStream("deflate"));
}

/** Which container a frame is in: s2c may be gzip or zlib, and may change from frame to frame (§2.4). */
export function containerOf(bytes: Uint8Array): "gzip" | "deflate" | undefined {
  const [first = 0, second = 0] = bytes;
  if (first === 0x1f && second === 0x8b) return "gzip";
  if ((first & 0x0f) === 8 && ((first << 8) | second) % 31 === 0) return "deflate";
  return undefined;
}

export async function decompress(bytes: Uint8Array): Promise<Bytes> {
  const container = containerOf(bytes);
  if (!container) throw new Error("A compressed frame was expected, but this is neither gzip nor zlib");
  return through(bytes, new DecompressionStream(container));
}
