/** The subprotocol under which sockets are resumed (protocol.md §18.1). */
export const PROTOCOL = "bonito.resume.1";

/** The first byte of a control frame, and of no other one: MessagePack never uses it (§18.2). */
const MARK = 0xc1;
const VERSION = 1;
const MAX_BYTES = 256;
enum Kind {
  Hello = 0,
  Welcome = 1,
  Ack = 2,
  Ping = 4,
  Pong = 5,
}
export const ID_BYTES = 16;
export const KEY_BYTES = 32;

/** MessagePack without extensions. It comes from outside, since the library has it already. */
export interface PlainCodec {
  encode(value: unknown): Uint8Array;
  decode(bytes: Uint8Array): unknown;
}

export interface Hello {
  readonly instance: Uint8Array;
  readonly key: Uint8Array;
  /** `null` until a welcome came. */
  readonly stream: Uint8Array | null;
  readonly received: number;
}

export interface Welcome {
  readonly kind: "welcome";
  readonly resumed: boolean;
  readonly stream: Uint8Array;
  readonly key: Uint8Array;
  readonly received: number;
  readonly messageBytes: number;
}

export interface Ack {
  readonly kind: "ack";
  readonly received: number;
}

/** What a server may say between the messages. */
export type Control = Welcome | Ack | { readonly kind: "pong" };

export function isControl(frame: Uint8Array): boolean {
  return frame[0] === MARK;
}

/** Control frames to bytes and back (§18.2). */
export class ControlFrames {
  #codec: PlainCodec;

  constructor(codec: PlainCodec) {
    this.#codec = codec;
  }

  hello({ instance, key, stream, received }: Hello): Uint8Array {
    return this.#frame([Kind.Hello, VERSION, instance, key, stream, received]);
  }

  ack(received: number): Uint8Array {
    return this.#frame([Kind.Ack, received]);
  }

  ping(): Uint8Array {
    return this.#frame([Kind.Ping]);
  }

  /** `null` for a kind of a later version. Throws on what is malformed, or only a page says. */
  decode(frame: Uint8Array): Control | null {
    if (frame.length > MAX_BYTES) throw malformed("length");
    const array = this.#codec.decode(frame.subarray(1));
    if (!Array.isArray(array)) throw malformed("array");
    const [kind, ...fields] = array as unknown[];
    switch (count(kind, "kind")) {
      case Kind.Welcome:
        return welcome(fields);
      case Kind.Ack:
        return { kind: "ack", received: count(fields[0], "received") };
      case Kind.Pong:
        return { kind: "pong" };
      case Kind.Hello:
      case Kind.Ping:
        throw malformed("direction");
      default:
        return null;
    }
  }

  #frame(array: unknown[]): Uint8Array {
    const body = this.#codec.encode(array);
    const frame = new Uint8Array(body.length + 1);
    frame[0] = MARK;
    frame.set(body, 1);
    return frame;
  }
}

function welcome([resumed, stream, key, received, messageBytes]: unknown[]): Welcome {
  if (typeof resumed !== "boolean") throw malformed("resumed");
  return {
    kind: "welcome",
    resumed,
    stream: binary(stream, ID_BYTES, "stream"),
    key: binary(key, KEY_BYTES, "key"),
    received: count(received, "received"),
    messageBytes: count(messageBytes, "message_bytes"),
  };
}

/** Says what is wrong without the value: it might be a key. */
const malformed = (what: string) => new Error(`Control frame: ${what}`);

function count(value: unknown, name: string): number {
  if (Number.isSafeInteger(value) && (value as number) >= 0) return value as number;
  throw malformed(name);
}

function binary(value: unknown, length: number, name: string): Uint8Array {
  // A copy: the value is a view on the frame, which is not worth keeping for it.
  if (value instanceof Uint8Array && value.length === length) return value.slice();
  throw malformed(name);
}
