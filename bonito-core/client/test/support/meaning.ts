import { expect } from "vitest";
import { NDArray } from "../../src/codec/typed_arrays.ts";
import type { Meaning } from "./golden.ts";

const arrays: Record<string, any> = {
  $i8: Int8Array, $u8: Uint8Array, $i16: Int16Array, $u16: Uint16Array,
  $i32: Int32Array, $u32: Uint32Array, $f32: Float32Array, $f64: Float64Array,
};

const named: Record<string, number> = { NaN: NaN, inf: Infinity, "-inf": -Infinity };
const number = (value: number | string): number => (typeof value === "string" ? named[value]! : value);

/** The single `$tag` of a tagged meaning, if it is one. */
function tagOf(meaning: Meaning): string | undefined {
  if (meaning === null || typeof meaning !== "object" || Array.isArray(meaning)) return undefined;
  const keys = Object.keys(meaning);
  return keys.length === 1 && keys[0]!.startsWith("$") ? keys[0] : undefined;
}

function typed(tag: string, body: any): unknown {
  const values = Array.isArray(body) ? body.map(number) : new Array(body.count).fill(0);
  return new arrays[tag](values);
}

/** The page value that a c2s meaning stands for. */
export function toValue(meaning: Meaning): unknown {
  const tag = tagOf(meaning);
  if (tag === undefined) {
    if (Array.isArray(meaning)) return meaning.map(toValue);
    if (meaning === null || typeof meaning !== "object") return meaning;
    return Object.fromEntries(Object.entries(meaning).map(([key, value]) => [key, toValue(value)]));
  }
  const body = meaning[tag];
  if (tag in arrays) return typed(tag, body);
  if (tag === "$f64v") return number(body);
  if (tag === "$nd") return new NDArray(toValue(body[0]), toValue(body[1]));
  throw new Error(`no page value for ${tag}`);
}

/** Asserts that a decoded value is what the meaning says. `cached` looks an object up. */
export function expectMeaning(live: any, meaning: Meaning, cached: (key: string) => unknown): void {
  const same = (value: any, expected: Meaning) => expectMeaning(value, expected, cached);
  const tag = tagOf(meaning);
  if (tag === undefined) {
    if (Array.isArray(meaning)) {
      expect(live).toHaveLength(meaning.length);
      meaning.forEach((item, i) => same(live[i], item));
    } else if (meaning !== null && typeof meaning === "object") {
      expect(Object.keys(live).sort()).toEqual(Object.keys(meaning).sort());
      for (const key of Object.keys(meaning)) same(live[key], meaning[key]);
    } else expect(live).toEqual(meaning);
    return;
  }
  const body = meaning[tag];
  switch (tag) {
    case "$msg":
      for (const object of body[2].$ext18.$cache[2].$ext18) {
        if (object.$obs) same(cached(object.$obs[0]), object);
      }
      same(live, body[3].$ext18);
      break;
    case "$obs":
      expect(live.id).toBe(body[0]);
      expect(live.on).toBeTypeOf("function");
      same(live.value, body[1]);
      break;
    case "$key":
      expect(live).toBe(cached(body));
      break;
    case "$js":
      expect(live).toBeTypeOf("function");
      break;
    case "$dom":
      expectNode(live, body);
      break;
    case "$html":
      expect(live.tagName).toBe("DIV");
      expect(live.innerHTML).toBe(body);
      break;
    case "$nd":
      expect(live).toBeInstanceOf(NDArray);
      same(live.size, body[0]);
      same(live.array, body[1]);
      break;
    case "$bin":
      expect(Buffer.from(live).toString("hex")).toBe(body);
      break;
    case "$f64v":
      expect(live).toBe(number(body));
      break;
    default:
      expect(live).toEqual(typed(tag, body));
      expect(live.constructor).toBe(arrays[tag]);
  }
}

function expectNode(live: Element, [tag, children, attributes]: [string, Meaning[], Record<string, string>]): void {
  expect(live.tagName.toLowerCase()).toBe(tag);
  for (const [name, value] of Object.entries(attributes)) {
    const actual = live.getAttribute(name)!;
    if (name === "style") expect(actual.replace(/[\s;]/g, "")).toBe(value.replace(/[\s;]/g, ""));
    else expect(actual).toBe(value);
  }
  expect(live.childNodes).toHaveLength(children.length);
  children.forEach((child, i) => {
    const node = live.childNodes[i]!;
    if (child?.$dom) expectNode(node as Element, child.$dom);
    else expect(node.textContent).toBe(String(child));
  });
}
