import type { Page } from "@playwright/test";
import { afresh, expect, expectConnection, sessionOf } from "./test.ts";

/**
 * What page and server promise each other:
 *
 * - `plain`: at most once and in order. What was under way when a connection broke may be lost.
 * - `resume`: exactly once and in order, or both are told. The endpoint's own client does this by itself.
 */
export type Delivery = "plain" | "resume";

/** The page does not offer to resume, like another client. */
export async function offerNothing(page: Page): Promise<void> {
  await page.addInitScript(() => {
    window.WebSocket = class extends WebSocket {
      constructor(url: string | URL) {
        super(url);
      }
    };
  });
}

/** The session could not be kept: the page is loaded into another one, and its user is told why. */
export async function expectLossShown(page: Page, session: string): Promise<void> {
  await expect(afresh(page, "text")).toHaveText(/^This page was loaded afresh: /);
  await expectConnection(page, "connected");
  await expect.poll(() => sessionOf(page)).not.toBe(session);
}

export const count = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, n) => from + n);

/** No number twice, none before a smaller one. */
export function expectRising(seen: readonly number[], what: string): void {
  const at = seen.findIndex((n, at) => at > 0 && n <= (seen[at - 1] ?? n));
  const around = at < 0 ? [] : seen.slice(Math.max(0, at - 3), at + 3);
  expect(around, `${what}: each at most once, and in order`).toEqual([]);
}

/** Of the numbers 1 to `all`, what the promise says; `seen` ends with those that nothing could break. */
export function expectDelivered(delivery: Delivery, seen: readonly number[], all: number, unbroken: number, what: string): void {
  expectRising(seen, what);
  expect(seen.slice(-unbroken), `${what}: all that came after the last cut`).toEqual(count(all - unbroken + 1, all));
  if (delivery === "resume") expect(all - seen.length, `${what}: lost`).toBe(0);
  else expect(seen.length, `${what}: not all is under way at a time`).toBeGreaterThan(all / 10);
}

/** Keeps the page from pausing between attempts to connect, as a browser does that says it is online again. */
export async function impatient(page: Page): Promise<void> {
  await page.addInitScript(() => {
    setInterval(() => {
      const state = document.documentElement?.dataset["bonitoConnection"];
      if (state === "connecting") window.dispatchEvent(new Event("online"));
    }, 5);
  });
}
