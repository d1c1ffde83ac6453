import type { Page } from "@playwright/test";
import { Balancer } from "../support/balancer.ts";
import { Broker } from "../support/broker.ts";
import { Server } from "../support/server.ts";
import { expect, expectConnection, open, sessionOf, test } from "../support/test.ts";

/** Two processes of one app, and a balancer in front that sends each connection anywhere. */
let broker: Broker;
let first: Server;
let second: Server;
let balancer: Balancer;

test.beforeEach(async () => {
  broker = await Broker.start();
  [first, second] = await Promise.all([Server.start({ nats: broker.url }), Server.start({ nats: broker.url })]);
  balancer = await Balancer.start([first.port, second.port]);
});

test.afterEach(async () => {
  await balancer.stop();
  await Promise.all([first.stop(), second.stop()]);
  await broker.stop();
});

const count = (page: Page) => page.locator("#count");

/** A click goes to Rust, and the new count comes back. */
async function click(page: Page): Promise<void> {
  const before = Number(await count(page).textContent());
  await page.locator("#increment").click();
  await expect(count(page)).toHaveText(String(before + 1));
}

test("a page of one process is served by a socket at the other", async ({ page, problems }) => {
  problems.expectLostConnections();
  // The page itself comes from the first; its socket, and whatever else, goes to the second.
  balancer.send(0, 1);
  const session = await open(page, `${balancer.url}/counter`);
  await click(page);
  await click(page);
  expect(await first.stats()).toMatchObject({ sessions: 1, open: 1, sockets: 1 });
  expect(await second.stats()).toMatchObject({ sessions: 0, sockets: 1 });

  // Home again, and away again.
  for (const [at, opened] of [
    [0, 0],
    [1, 1],
  ] as const) {
    balancer.send(at);
    balancer.cut();
    await expect.poll(() => first.session(session)).toMatchObject({ status: "Open", reopened: opened + 1 });
    await expectConnection(page, "connected");
    await expect.poll(() => second.stats()).toMatchObject({ sockets: at });
    await click(page);
  }
  expect(await sessionOf(page)).toBe(session);
  await expect(count(page)).toHaveText("4");
});

test("sockets land anywhere, and nothing that waited is lost, doubled or out of order", async ({ page, problems }) => {
  problems.expectLostConnections();
  balancer.send(0, 1, 0, 1);
  const session = await open(page, `${balancer.url}/numbers`);
  balancer.send();
  const numbersOf = () => page.evaluate(() => (window as unknown as { numbers: number[] }).numbers);
  const landed = new Set<number>();
  let rounds = 0;
  for (; rounds < 4 || (landed.size < 2 && rounds < 12); rounds++) {
    const round = rounds;
    // Another visitor, now and then, so that the turns do not stay in step.
    if (round % 3 === 2) await fetch(`${balancer.url}/counter`);
    balancer.refuse();
    await expect.poll(() => first.session(session)).toMatchObject({ status: "SoftClosed" });
    await first.sendNumbers(session, round * 20 + 1, round * 20 + 20);
    balancer.refuse(false);
    await page.evaluate(() => window.dispatchEvent(new Event("online")));
    await expect.poll(() => first.session(session)).toMatchObject({ status: "Open", reopened: round + 1 });
    landed.add((await second.stats()).sockets);
  }
  const all = Array.from({ length: rounds * 20 }, (_, n) => n + 1);
  await expect.poll(numbersOf).toEqual(all);
  expect(await sessionOf(page)).toBe(session);
  expect(Math.min(...balancer.carried), "both processes were asked").toBeGreaterThan(1);
  expect([...landed].sort(), "sockets were at both").toEqual([0, 1]);
});

test("what was under way when a relayed socket broke arrives once and in order", async ({ page, problems }) => {
  problems.expectLostConnections();
  balancer.send(0, 1);
  const session = await open(page, `${balancer.url}/numbers`);
  const all = Array.from({ length: 300 }, (_, n) => n + 1);
  for (let round = 0; round < 3; round++) {
    const [from, to] = [round * 100 + 1, round * 100 + 100];
    await Promise.all([
      first.sendNumbers(session, from, to),
      page.evaluate(
        ([from, to]) => {
          for (let n = from; n <= to; n++) (window as unknown as { say(n: number): void }).say(n);
        },
        [from, to] as const,
      ),
    ]);
    balancer.cut();
    await expect.poll(() => first.session(session)).toMatchObject({ status: "Open", soft_closed: round + 1 });
  }
  await expect.poll(() => page.evaluate(() => (window as unknown as { numbers: number[] }).numbers)).toEqual(all);
  await expect.poll(async () => (await first.session(session)).numbers).toEqual(all);
  expect(await second.stats()).toMatchObject({ sockets: 1, sessions: 0 });
});

test("when a session's process is gone, its page learns that as after a restart", async ({ page, problems }) => {
  problems.expectLostConnections();
  problems.expectUnknownSession();
  problems.expect(/^console: Failed to load resource: .* 503/);
  balancer.send(0, 1);
  await open(page, `${balancer.url}/counter`);
  await click(page);
  await first.stop();
  // Its page is loaded anew, by itself.
  await expect(count(page)).toHaveText("0", { timeout: 20_000 });
  await expectConnection(page, "connected");
  await click(page);
  expect(await second.stats()).toMatchObject({ sessions: 1, sockets: 1 });
});
