import { decode, Encoder, encode, ExtensionCodec } from "@msgpack/msgpack";
import { ExtensionCode } from "./extension_codes.ts";
import { NDArray, registerTypedArrays } from "./typed_arrays.ts";

/** The session that owns whatever is being decoded; absent outside every envelope (§4). */
export interface Context {
  readonly session?: string;
}

export type Bytes = Uint8Array<ArrayBuffer>;

/** Extension bodies left unread: for the wrappers of an envelope, whose code does not matter (§4). */
const raw = new ExtensionCodec();

/** Values to bytes and back. What the extensions 101 and up mean is registered from outside. */
export class Codec {
  readonly extensions = new ExtensionCodec<Context>();
  #encoder = new Encoder<Context>({ extensionCodec: this.extensions, context: {} });

  constructor() {
    registerTypedArrays(this.extensions);
    this.extensions.register({
      type: ExtensionCode.NDArray,
      encode: (value) => (value instanceof NDArray ? this.encode([value.size, value.array]) : null),
      decode: (body, _type, context) => {
        const [size, array] = this.decode(body, context) as unknown[];
        return new NDArray(size, array);
      },
    });
  }

  /** Throws on what has no wire form: functions, symbols, BigInt, cycles (§3.2). */
  encode(value: unknown): Bytes {
    return this.#encoder.encode(value) as Bytes;
  }

  decode(bytes: Uint8Array | ArrayBuffer, context: Context = {}): unknown {
    return decode(bytes, { extensionCodec: this.extensions, context });
  }
}

/** Decodes one value whose extensions all come out as `{type, data}`. */
export function decodeRaw(bytes: Uint8Array): unknown {
  return decode(bytes, { extensionCodec: raw });
}

/** MessagePack without any extension: for a transport's own frames (protocol.md §18.2). */
export const encodePlain = (value: unknown): Uint8Array => encode(value);
export const decodePlain = (bytes: Uint8Array): unknown => decode(bytes);
