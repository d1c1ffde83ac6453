import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { ANSWER_MS, Outbox } from "../src/connection/outbox.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

/** Something that comes when the test says so. */
function later<T>() {
  let come: (value: T) => void = () => {};
  return { promise: new Promise<T>((resolve) => (come = resolve)), come: (value: T) => come(value) };
}

const settled = () => vi.advanceTimersByTimeAsync(0);

function start() {
  const outbox = new Outbox(() => {}, () => {});
  const push = (n: number) => {
    outbox.push({ bytes: new Uint8Array([n]), transient: false });
    outbox.pump();
  };
  const taken: number[] = [];
  const take = (bytes: Uint8Array) => void taken.push(bytes[0] as number);
  return { outbox, push, taken, take };
}

it("sends what a former connection gives back before what came later", async () => {
  const { outbox, push, taken, take } = start();
  const answer = later<boolean>();
  outbox.open(() => answer.promise, null);
  push(1);
  push(2);
  outbox.close();
  outbox.open(take, null);
  outbox.pump();
  await settled();
  expect(taken).toEqual([]);
  answer.come(false);
  await settled();
  expect(taken).toEqual([1, 2]);
});

it("waits for the former one over connections that come between", async () => {
  const { outbox, push, taken, take } = start();
  const answer = later<boolean>();
  outbox.open(() => answer.promise, null);
  push(1);
  outbox.open(take, null);
  push(2);
  outbox.open(take, null);
  push(3);
  answer.come(false);
  await settled();
  expect(taken).toEqual([1, 2, 3]);
});

it("is not held up by a connection that never answers", async () => {
  const { outbox, push, taken, take } = start();
  outbox.open(() => new Promise(() => {}), null);
  push(1);
  outbox.open(take, null);
  push(2);
  await vi.advanceTimersByTimeAsync(ANSWER_MS - 1);
  expect(taken).toEqual([]);
  await vi.advanceTimersByTimeAsync(1);
  expect(taken).toEqual([2]);
  outbox.open(take, null);
  push(3);
  expect(taken).toEqual([2, 3]);
});

it("neither loses nor doubles what comes back while the next message is compressed", async () => {
  const { outbox, push, taken, take } = start();
  const answer = later<boolean>();
  outbox.open(() => answer.promise, null);
  push(1);
  const prepared: (() => void)[] = [];
  outbox.open(take, (bytes) => new Promise((resolve) => prepared.push(() => resolve(bytes))));
  push(2);
  await vi.advanceTimersByTimeAsync(ANSWER_MS);
  expect(prepared).toHaveLength(1);
  answer.come(false);
  await settled();
  for (let n = 0; n < 3; n++) {
    prepared.shift()?.();
    await settled();
  }
  expect(taken).toEqual([1, 2]);
  expect(outbox.waitingBytes).toBe(0);
});
