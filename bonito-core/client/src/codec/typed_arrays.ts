import type { ExtensionCodec } from "@msgpack/msgpack";
import type { Context } from "./codec.ts";
import { ExtensionCode } from "./extension_codes.ts";

type TypedArray =
  | Int8Array
  | Uint8Array
  | Int16Array
  | Uint16Array
  | Int32Array
  | Uint32Array
  | Float32Array
  | Float64Array;

interface TypedArrayConstructor {
  new (buffer: ArrayBufferLike, offset: number, length: number): TypedArray;
  readonly BYTES_PER_ELEMENT: number;
}

const kinds: readonly [number, TypedArrayConstructor][] = [
  [ExtensionCode.Int8Array, Int8Array],
  [ExtensionCode.Uint8Array, Uint8Array],
  [ExtensionCode.Int16Array, Int16Array],
  [ExtensionCode.Uint16Array, Uint16Array],
  [ExtensionCode.Int32Array, Int32Array],
  [ExtensionCode.Uint32Array, Uint32Array],
  [ExtensionCode.Float32Array, Float32Array],
  [ExtensionCode.Float64Array, Float64Array],
];

function littleEndian(): boolean {
  return new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;
}

/** Reverses the bytes of every element, in place. Only for the rare big-endian host. */
function swapBytes(bytes: Uint8Array, size: number): Uint8Array {
  for (let at = 0; at + size <= bytes.length; at += size) bytes.subarray(at, at + size).reverse();
  return bytes;
}

/**
 * Typed arrays travel as raw little-endian bytes. A body may start anywhere in the frame, so all
 * but one-byte elements are copied to aligned memory; `Uint8Array` stays a view on the frame (§3.3).
 */
export function registerTypedArrays(codec: ExtensionCodec<Context>): void {
  const swap = !littleEndian();
  for (const [type, Kind] of kinds) {
    const size = Kind.BYTES_PER_ELEMENT;
    codec.register({
      type,
      // Subclasses and Uint8ClampedArray are left to the plain `bin` form (§3.2).
      encode: (value) => {
        if (!(value instanceof Kind)) return null;
        const bytes = new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
        return swap && size > 1 ? swapBytes(bytes.slice(), size) : bytes;
      },
      decode: (body) => {
        const length = Math.floor(body.byteLength / size);
        if (size === 1) return new Kind(body.buffer, body.byteOffset, length);
        const own = body.slice();
        if (swap) swapBytes(own, size);
        return new Kind(own.buffer, 0, length);
      },
    });
  }
}

/** An array of more than one dimension: sizes, first dimension fastest, and the flat data. */
export class NDArray {
  readonly size: unknown;
  readonly array: unknown;

  constructor(size: unknown, array: unknown) {
    this.size = size;
    this.array = array;
  }
}
