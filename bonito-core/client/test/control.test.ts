import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { decodePlain, encodePlain } from "../src/codec/codec.ts";
import { ControlFrames, isControl } from "../src/websocket/control.ts";
import { fromHex, hex } from "./support/golden.ts";

interface Vector {
  readonly name: string;
  readonly hex: string;
  readonly direction: "c2s" | "s2c" | "both";
  readonly canonical?: boolean;
  readonly means: any;
}

const file = join(import.meta.dirname, "../../../tests/vectors/resume/control.json");
const vectors: Record<"valid" | "ignored" | "malformed", Vector[]> = JSON.parse(readFileSync(file, "utf8"));
const frames = new ControlFrames({ encode: encodePlain, decode: decodePlain });

/** A decoded frame in the notation of the vectors. */
function meaningOf(control: any): any {
  if (control.kind !== "welcome") return control;
  const { messageBytes, stream, key, ...rest } = control;
  return { ...rest, stream: hex(stream), key: hex(key), message_bytes: messageBytes };
}

/** What a page says, as the vectors have it. */
function say({ kind, instance, key, stream, received }: any): Uint8Array {
  if (kind === "ack") return frames.ack(received);
  if (kind === "ping") return frames.ping();
  return frames.hello({ instance: fromHex(instance), key: fromHex(key), stream: stream && fromHex(stream), received });
}

describe("control frames", () => {
  const said = vectors.valid.filter(({ direction, canonical }) => direction !== "s2c" && canonical);
  it.each(said)("a page says: $name", (vector) => expect(hex(say(vector.means))).toBe(vector.hex));

  it.each(vectors.valid.filter(({ direction }) => direction !== "c2s"))("a page understands: $name", (vector) => {
    const bytes = fromHex(vector.hex);
    expect(isControl(bytes)).toBe(true);
    expect(meaningOf(frames.decode(bytes))).toEqual(vector.means);
  });

  it.each(vectors.valid.filter(({ direction }) => direction === "c2s"))("a server does not say: $name", (vector) => {
    expect(() => frames.decode(fromHex(vector.hex))).toThrow("direction");
  });

  it.each(vectors.ignored)("ignored: $name", (vector) => expect(frames.decode(fromHex(vector.hex))).toBeNull());

  const FLOAT = "ack with a count that is a float";
  it.each(vectors.malformed.filter(({ name }) => name !== FLOAT))("malformed: $name", (vector) => {
    expect(() => frames.decode(fromHex(vector.hex))).toThrow();
  });

  it("with a float for a count are taken if it is a whole one, which JavaScript cannot tell from an integer", () => {
    const { hex: float } = vectors.malformed.find(({ name }) => name === FLOAT) as Vector;
    expect(frames.decode(fromHex(float))).toEqual({ kind: "ack", received: 42 });
    expect(() => frames.decode(new Uint8Array([0xc1, ...encodePlain([2, 42.5])]))).toThrow("received");
  });

  it("keep nothing of the frame that they came in", () => {
    const welcome = vectors.valid.find(({ means }) => means.kind === "welcome") as Vector;
    const bytes = fromHex(welcome.hex);
    const decoded = frames.decode(bytes);
    bytes.fill(0);
    expect(meaningOf(decoded)).toEqual(welcome.means);
  });

  it("are at most 256 bytes long", () => {
    const ack = (more: number) => new Uint8Array([0xc1, ...encodePlain([2, 42, "x".repeat(more)])]);
    expect(ack(250)).toHaveLength(256);
    expect(frames.decode(ack(250))).toEqual({ kind: "ack", received: 42 });
    expect(() => frames.decode(ack(251))).toThrow("length");
  });

  it("say what is wrong without the value", () => {
    const short = new Uint8Array([0xc1, ...encodePlain([1, true, new Uint8Array(16), new Uint8Array(31).fill(7), 0, 1])]);
    expect(() => frames.decode(short)).toThrow(/^Control frame: key$/);
  });
});
