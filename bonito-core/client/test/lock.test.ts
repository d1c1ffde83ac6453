import { describe, expect, it } from "vitest";
import { Lock } from "../src/lock.ts";
import { settle } from "./support/page.ts";

const later = <T>(ms: number, value: T): Promise<T> => new Promise((resolve) => setTimeout(resolve, ms, value));

describe("lock", () => {
  it("runs a task at once when nothing is before it", () => {
    const ran: number[] = [];
    void new Lock(() => {}).lock(() => ran.push(1));
    expect(ran).toEqual([1]);
  });

  it("keeps order across slow tasks", async () => {
    const lock = new Lock(() => {});
    const ran: number[] = [];
    void lock.lock(async () => ran.push(await later(10, 1)));
    void lock.lock(() => ran.push(2));
    await lock.lock(async () => ran.push(await later(1, 3)));
    expect(ran).toEqual([1, 2, 3]);
  });

  it("puts a task queued from inside behind what waits already", async () => {
    const lock = new Lock(() => {});
    const ran: string[] = [];
    void lock.lock(() => later(1, 0));
    void lock.lock(() => {
      ran.push("outer");
      void lock.lock(() => ran.push("inner"));
      expect(ran).toEqual(["outer"]);
    });
    await lock.lock(() => ran.push("waiting"));
    await settle();
    expect(ran).toEqual(["outer", "waiting", "inner"]);
  });

  it("reports a failed task, sync or async, and goes on", async () => {
    const errors: unknown[] = [];
    const lock = new Lock((error) => errors.push(error));
    expect(await lock.lock(() => { throw "sync"; })).toBeUndefined();
    expect(await lock.lock(() => Promise.reject("async"))).toBeUndefined();
    expect(await lock.lock(() => 7)).toBe(7);
    expect(errors).toEqual(["sync", "async"]);
  });

  it("waits for what a task has put on hold", async () => {
    const lock = new Lock(() => {});
    const ran: number[] = [];
    void lock.lock(() => lock.hold(later(10, 0).then(() => ran.push(1))));
    await lock.lock(() => ran.push(2));
    expect(ran).toEqual([1, 2]);
  });

  it("runs thousands of tasks in order", async () => {
    const lock = new Lock(() => {});
    const ran: number[] = [];
    void lock.lock(() => later(1, 0));
    for (let i = 0; i < 5000; i++) void lock.lock(() => ran.push(i));
    await lock.lock(() => {});
    expect(ran).toEqual(Array.from({ length: 5000 }, (_, i) => i));
  });
});
