import { setTimeout as pause } from "node:timers/promises";
import type { Page } from "@playwright/test";
import { breakWebSocket } from "../support/breaks.ts";
import { count, expectLossShown, expectRising, impatient } from "../support/delivery.ts";
import { Random } from "../support/random.ts";
import { Server } from "../support/server.ts";
import { expect, expectConnection, open, sessionOf, test } from "../support/test.ts";

interface NumberPage {
  numbers: number[];
  say(n: number): void;
}

const numbersOf = (page: Page) => page.evaluate(() => (window as unknown as NumberPage).numbers);
const say = (page: Page, n: number) => page.evaluate((n) => (window as unknown as NumberPage).say(n), n);

test.describe("a line that flaps", () => {
  test.use({ serverOptions: { takeoverMs: 0 } });

  test("a thousand times wears nothing out: the page comes back each time", async ({ page, server, relay, problems }, testInfo) => {
    test.setTimeout(240_000);
    problems.expectLostConnections();
    const random = Random.of(testInfo);
    await impatient(page);
    const session = await open(page, `${relay.url}/numbers`);
    const began = performance.now();
    for (let flap = 1; flap <= 1000; flap++) {
      const line = await relay.webSocket();
      // In the handshake, in the announcement behind it, or later: wherever this comes.
      if (random.next() < 0.5) await pause(random.below(10));
      line.cut(random.pick(["rst", "fin"]));
      if (flap % 100 === 0) await server.sendNumbers(session, flap / 100, flap / 100);
    }
    const seconds = Math.round((performance.now() - began) / 100) / 10;
    console.log(`1000 flaps in ${seconds} s`);
    await relay.webSocket();
    await expectConnection(page, "connected");
    await say(page, 1);
    await server.sendNumbers(session, 11, 11);
    await expect.poll(async () => (await server.session(session)).numbers).toEqual([1]);
    await expect.poll(async () => (await numbersOf(page)).at(-1)).toBe(11);
    expectRising(await numbersOf(page), "from Rust to the page");
    expect(relay.webSockets).toBeGreaterThan(1000);
    expect(await sessionOf(page)).toBe(session);
    expect(await server.session(session), "one session, and nothing left of its sockets").toMatchObject({
      status: "Open",
      opened: 1,
      closed: null,
      errors: [],
    });
    await expect.poll(() => server.stats()).toMatchObject({ sessions: 1, open: 1, soft_closed: 0, sockets: 1, queued_bytes: 0 });
  });

  test("with its own pauses the page still comes back after many losses", { tag: "@once" }, async ({ page, server, relay, problems }, testInfo) => {
    problems.expectLostConnections();
    const random = Random.of(testInfo);
    await page.clock.install();
    const session = await open(page, `${relay.url}/numbers`);
    const sockets = relay.webSockets;
    for (let loss = 1; loss <= 50; loss++) {
      await breakWebSocket(relay, random);
      // The longest pause there may be, and an attempt.
      await expect
        .poll(async () => {
          await page.clock.runFor(10_000);
          return relay.webSockets;
        })
        .toBeGreaterThanOrEqual(sockets + loss);
    }
    await expectConnection(page, "connected");
    await say(page, 1);
    await expect.poll(async () => (await server.session(session)).numbers).toEqual([1]);
  });
});

test("many tabs of one browser, and a server that restarts: each tab comes back into a session of its own, and says why", async ({
  context,
  relay,
  server,
  problems,
}) => {
  problems.expectLostConnections();
  problems.expectUnknownSession();
  const tabs = await Promise.all(Array.from({ length: 8 }, () => context.newPage()));
  const sessions = await Promise.all(tabs.map((tab) => open(tab, `${relay.url}/numbers`)));
  expect(new Set(sessions).size).toBe(tabs.length);
  expect(await server.stats()).toMatchObject({ sessions: 8, open: 8, sockets: 8 });

  relay.refuse();
  await server.stop();
  const restarted = await Server.start({});
  try {
    relay.retarget(restarted.port);
    relay.heal();
    await Promise.all(tabs.map((tab, at) => expectLossShown(tab, sessions[at] ?? "")));
    const fresh = await Promise.all(tabs.map((tab) => sessionOf(tab)));
    expect(new Set([...sessions, ...fresh]).size, "each has a session of its own, and none the one it had").toBe(16);
    await Promise.all(
      tabs.map(async (tab, at) => {
        await say(tab, at + 1);
        await restarted.sendNumbers(fresh[at] ?? "", 1, 10);
      }),
    );
    for (const [at, tab] of tabs.entries()) {
      await expect.poll(async () => (await restarted.session(fresh[at] ?? "")).numbers).toEqual([at + 1]);
      await expect.poll(() => numbersOf(tab)).toEqual(count(1, 10));
    }
    expect(await restarted.stats()).toMatchObject({ sessions: 8, open: 8, soft_closed: 0, sockets: 8 });
  } finally {
    await restarted.stop();
  }
});
