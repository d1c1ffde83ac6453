import type { Page } from "@playwright/test";
import { count, expectLossShown } from "../support/delivery.ts";
import { expect, open, sessionOf, test } from "../support/test.ts";

interface SleepPage {
  /** When a timer of the page has fired, in ms. */
  ticks: number[];
  numbers: number[];
  say(n: number): void;
}

/**
 * A laptop that is closed: page and timers stand still, whatever comes waits, and the clock goes on.
 *
 * `Page.setWebLifecycleState` does not stop the timers of a page that is to be seen; the debugger stops them all.
 */
async function asleep(page: Page, during: () => Promise<void>): Promise<void> {
  const devtools = await page.context().newCDPSession(page);
  const stopped = new Promise((resolve) => devtools.once("Debugger.paused", resolve));
  await devtools.send("Debugger.enable");
  await devtools.send("Debugger.pause");
  await stopped;
  await during();
  await devtools.send("Debugger.resume");
  await devtools.send("Debugger.disable");
  await devtools.detach();
}

const ticking = (page: Page) =>
  page.addInitScript(() => {
    const ticks: number[] = [];
    (window as unknown as SleepPage).ticks = ticks;
    setInterval(() => ticks.push(performance.now()), 50);
  });

/** The longest that the page has stood still. */
const longestPause = (page: Page) =>
  page.evaluate(() => {
    const { ticks } = window as unknown as SleepPage;
    return Math.max(...ticks.map((tick, at) => tick - (ticks[at - 1] ?? tick)));
  });

test.describe("a page that slept", () => {
  test.describe("for longer than its session is kept", () => {
    test.use({ serverOptions: { pingMs: 100, deadMs: 400, closeMs: 100, cleanupMs: 400 } });

    test("shows that it is lost, and is loaded afresh", async ({ page, server, relay, problems }) => {
      problems.expectLostConnections();
      problems.expectUnknownSession();
      await ticking(page);
      const session = await open(page, `${relay.url}/numbers`);
      await asleep(page, async () => {
        const began = performance.now();
        relay.stall();
        await expect.poll(() => server.session(session)).toMatchObject({ status: "Closed" });
        await server.stats().then((stats) => expect(stats).toMatchObject({ sessions: 0, sockets: 0 }));
        expect(performance.now() - began, "what the page sleeps at the least").toBeGreaterThan(700);
        // The network is there again when the page wakes up, and answers for what it has forgotten.
        relay.heal();
        relay.cut();
      });
      expect(await longestPause(page), "the page has really slept").toBeGreaterThan(700);
      await expectLossShown(page, session);
      const fresh = await sessionOf(page);
      await page.evaluate(() => (window as unknown as SleepPage).say(1));
      await expect.poll(async () => (await server.session(fresh)).numbers).toEqual([1]);
      expect(await server.session(session), "nothing reaches what is over").toMatchObject({ status: "Closed", numbers: [] });
    });
  });

  test.describe("for less", () => {
    test.use({ serverOptions: { pingMs: 100, deadMs: 400, closeMs: 100 } });

    test("goes on where it was, with what came meanwhile", async ({ page, server, relay, problems }) => {
      problems.expectLostConnections();
      await ticking(page);
      const session = await open(page, `${relay.url}/numbers`);
      await asleep(page, async () => {
        relay.stall();
        await expect.poll(() => server.session(session)).toMatchObject({ status: "SoftClosed" });
        await server.sendNumbers(session, 1, 100);
        relay.heal();
        relay.cut();
      });
      expect(await longestPause(page), "the page has really slept").toBeGreaterThan(300);
      await expect.poll(() => page.evaluate(() => (window as unknown as SleepPage).numbers)).toEqual(count(1, 100));
      expect(await sessionOf(page)).toBe(session);
      expect(await server.session(session)).toMatchObject({ status: "Open", opened: 1, reopened: 1 });
    });
  });
});
