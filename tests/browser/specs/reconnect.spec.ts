import type { Page } from "@playwright/test";
import { afresh, expect, expectConnection, indicator, open, sessionOf, test } from "../support/test.ts";
import { Traffic } from "../support/traffic.ts";

interface NumberPage {
  numbers: number[];
  say(n: number): void;
  level: { value: number; notify(value: number): void };
}

const numbersOf = (page: Page) => page.evaluate(() => (window as unknown as NumberPage).numbers);
const levelOf = (page: Page) => page.evaluate(() => (window as unknown as NumberPage).level.value);
const count = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, n) => from + n);

/** The page sends these numbers, each as soon as the one before has been sent. */
const say = (page: Page, from: number, to: number) =>
  page.evaluate(
    ([from, to]) => {
      for (let n = from; n <= to; n++) (window as unknown as NumberPage).say(n);
    },
    [from, to] as const,
  );

test("after a cut the page comes back to the same session, with its state", async ({ page, server, relay, problems }) => {
  problems.expectLostConnections();
  const session = await open(page, `${relay.url}/counter`);
  await page.locator("#increment").click();
  await expect(page.locator("#count")).toHaveText("1");
  await page.evaluate(() => ((window as { mark?: string }).mark = "not reloaded"));
  relay.cut();
  await expect.poll(() => server.session(session)).toMatchObject({ status: "Open", opened: 1, reopened: 1, soft_closed: 1 });
  await expectConnection(page, "connected");
  await page.locator("#increment").click();
  await expect(page.locator("#count")).toHaveText("2");
  expect(await sessionOf(page)).toBe(session);
  expect(await page.evaluate(() => (window as { mark?: string }).mark)).toBe("not reloaded");
  await expect.poll(() => server.stats()).toMatchObject({ sessions: 1, open: 1, sockets: 1 });
});

test("what both sides queued while cut arrives once and in order", async ({ page, server, relay, problems }) => {
  problems.expectLostConnections();
  const session = await open(page, `${relay.url}/numbers`);
  await say(page, 1, 50);
  await server.sendNumbers(session, 1, 50);
  await expect.poll(async () => (await server.session(session)).numbers).toEqual(count(1, 50));
  await expect.poll(() => numbersOf(page)).toEqual(count(1, 50));

  relay.refuse();
  await expectConnection(page, "connecting");
  await expect.poll(() => server.session(session)).toMatchObject({ status: "SoftClosed" });
  await say(page, 51, 150);
  const outcomes = await server.sendNumbers(session, 51, 150);
  expect(new Set(outcomes)).toEqual(new Set(["Queued"]));

  relay.heal();
  await expectConnection(page, "connected");
  await say(page, 151, 200);
  await server.sendNumbers(session, 151, 200);
  await expect.poll(async () => (await server.session(session)).numbers.length).toBe(200);
  await expect.poll(async () => (await numbersOf(page)).length).toBe(200);
  expect((await server.session(session)).numbers, "from the page").toEqual(count(1, 200));
  expect(await numbersOf(page), "from Rust").toEqual(count(1, 200));
  await expect.poll(() => server.session(session)).toMatchObject({ opened: 1, reopened: 1, queued_messages: 0 });
});

test("cut again and again, nothing is lost, doubled or out of order", async ({ page, server, relay, problems }) => {
  problems.expectLostConnections();
  const session = await open(page, `${relay.url}/numbers`);
  const rounds = 5;
  for (let round = 0; round < rounds; round++) {
    relay.refuse();
    await expectConnection(page, "connecting");
    await expect.poll(() => server.session(session)).toMatchObject({ status: "SoftClosed" });
    await say(page, round * 20 + 1, round * 20 + 20);
    await server.sendNumbers(session, round * 20 + 1, round * 20 + 20);
    relay.heal();
    // The pauses between attempts grow with each round; a browser that comes back online does not wait.
    await page.evaluate(() => window.dispatchEvent(new Event("online")));
    await expect.poll(() => server.session(session)).toMatchObject({ status: "Open", reopened: round + 1 });
  }
  await expect.poll(async () => (await server.session(session)).numbers).toEqual(count(1, rounds * 20));
  await expect.poll(() => numbersOf(page)).toEqual(count(1, rounds * 20));
  await expect.poll(() => server.stats()).toMatchObject({ sessions: 1, sockets: 1, queued_bytes: 0 });
});

test("cut in mid-stream, everything arrives once and in order", async ({ page, server, relay, problems }) => {
  problems.expectLostConnections();
  const session = await open(page, `${relay.url}/numbers`);
  const both = (from: number, to: number) => Promise.all([say(page, from, to), server.sendNumbers(session, from, to)]);
  await both(1, 250);
  await expect.poll(async () => (await server.session(session)).numbers).toEqual(count(1, 250));
  await expect.poll(() => numbersOf(page)).toEqual(count(1, 250));
  // Neither side knows of the cut when it sends on.
  const underWay = both(251, 500);
  relay.cut();
  await underWay;
  for (let from = 501; from < 1000; from += 25) await both(from, from + 24);
  await expect.poll(() => server.session(session)).toMatchObject({ status: "Open", reopened: 1 });
  await expectConnection(page, "connected");
  await both(1001, 1010);
  await expect.poll(async () => (await server.session(session)).numbers.length, { message: "from the page" }).toBe(1010);
  await expect.poll(async () => (await numbersOf(page)).length, { message: "from Rust" }).toBe(1010);
  expect((await server.session(session)).numbers, "from the page").toEqual(count(1, 1010));
  expect(await numbersOf(page), "from Rust").toEqual(count(1, 1010));
});

test("an observable that both sides set while cut ends at one value", async ({ page, server, relay, problems }) => {
  problems.expectLostConnections();
  const session = await open(page, `${relay.url}/numbers`);
  relay.refuse();
  await expectConnection(page, "connecting");
  await expect.poll(() => server.session(session)).toMatchObject({ status: "SoftClosed" });
  await page.evaluate(() => {
    const { level } = window as unknown as NumberPage;
    for (let n = 1; n <= 100; n++) level.notify(n);
  });
  await server.setLevel(session, ...count(1001, 1100));
  expect((await server.session(session)).queued_messages, "values collapse while they cannot be delivered").toBeLessThan(5);
  relay.heal();
  await expectConnection(page, "connected");
  await expect.poll(async () => [await levelOf(page), (await server.session(session)).level]).toEqual([100, 100]);
  await expect(page.locator("#level")).toHaveText("100");
});

test("a drag that is cut in the middle ends at one value on both sides", async ({ page, server, relay, problems }) => {
  problems.expectLostConnections();
  await open(page, `${relay.url}/slider`);
  const box = await page.locator("#slider").boundingBox();
  if (!box) throw new Error("the slider is not to be seen");
  const [x, y] = [box.x + box.width / 2, box.y + box.height / 2];
  await page.mouse.move(x, y);
  await page.mouse.down();
  await page.mouse.move(x + 60, y, { steps: 10 });
  relay.refuse();
  await page.mouse.move(x + 120, y, { steps: 10 });
  await expectConnection(page, "connecting");
  await page.mouse.move(x + 180, y, { steps: 10 });
  relay.heal();
  await page.mouse.move(x + 400, y, { steps: 10 });
  await page.mouse.up();
  await expect(page.locator("#slider")).toHaveValue("100");
  await expectConnection(page, "connected");
  await expect.poll(async () => (await server.stats()).slider.value).toBe(100);
});

test("scripts keep their place among values of observables", async ({ page, server, relay, problems }) => {
  problems.expectLostConnections();
  const session = await open(page, `${relay.url}/numbers`);
  await page.evaluate(() => {
    const { level, numbers } = window as unknown as { level: { on(f: (n: number) => void): void }; numbers: number[] };
    level.on((n) => void numbers.push(n));
  });
  relay.refuse();
  await expect.poll(() => server.session(session)).toMatchObject({ status: "SoftClosed" });
  await server.setLevel(session, 100, 101, 102);
  await server.sendNumbers(session, 1, 1);
  await server.setLevel(session, 200, 201, 202);
  await server.sendNumbers(session, 2, 2);
  await server.setLevel(session, 300);
  relay.heal();
  await expect.poll(async () => (await numbersOf(page)).at(-1)).toBe(300);
  expect(await numbersOf(page)).toEqual([102, 1, 202, 2, 300]);
});

test("a socket that the server ends politely comes back as well", async ({ page, server }) => {
  const session = await open(page, `${server.url}/counter`);
  await server.disconnect(session);
  await expect.poll(() => server.session(session)).toMatchObject({ status: "Open", reopened: 1 });
  await page.locator("#increment").click();
  await expect(page.locator("#count")).toHaveText("1");
});

test("the page says that it is reconnecting, and then no more", async ({ page, relay, problems }) => {
  problems.expectLostConnections();
  await open(page, `${relay.url}/counter`);
  relay.refuse();
  await expect(indicator(page, "text")).toHaveText("Reconnecting…");
  await expect(indicator(page, "notice")).toBeVisible();
  relay.heal();
  await expectConnection(page, "connected");
  await expect(indicator(page, "notice")).toBeHidden();
});

test.describe("a half-open line", () => {
  // A browser on a busy machine is silent for a while itself, and is not to be taken for dead.
  const [pingMs, deadMs] = [200, 2_000];
  test.use({ serverOptions: { pingMs, deadMs, closeMs: 100 } });

  test("is noticed by the server, which keeps what it has for later", async ({ page, server, relay, problems }) => {
    problems.expectLostConnections();
    const session = await open(page, `${relay.url}/numbers`);
    relay.stall();
    await expect.poll(() => server.session(session)).toMatchObject({ status: "SoftClosed" });
    await expect.poll(() => server.stats()).toMatchObject({ sockets: 0, soft_closed: 1 });
    await server.sendNumbers(session, 1, 10);
    // For the browser all is well still; only this makes it look.
    await expectConnection(page, "connected");
    relay.heal();
    relay.cut();
    await expect.poll(() => numbersOf(page)).toEqual(count(1, 10));
  });

  test("keeps on the server what it did not take", async ({ page, server, relay, problems }) => {
    problems.expectLostConnections();
    const session = await open(page, `${relay.url}/numbers`);
    relay.stall();
    // More than sockets and kernel hold; what those took is lost with the line, and has to come again.
    await server.sendNumbers(session, 1, 1000, 7 * 1024);
    await expect.poll(() => server.session(session)).toMatchObject({ status: "SoftClosed" });
    expect((await server.session(session)).queued_messages).toBeGreaterThan(10);
    await server.sendNumbers(session, 1001, 1010);
    relay.heal();
    relay.cut();
    await expect.poll(async () => (await numbersOf(page)).at(-1)).toBe(1010);
    expect(await numbersOf(page)).toEqual(count(1, 1010));
  });

  test("is noticed by the page, which connects anew", async ({ page, server, relay, problems }) => {
    problems.expectLostConnections();
    await page.clock.install();
    const session = await open(page, `${relay.url}/numbers`);
    await page.clock.runFor(6_000);
    relay.stall();
    await expect.poll(() => server.session(session)).toMatchObject({ status: "SoftClosed" });
    await page.clock.runFor(25_000);
    await expectConnection(page, "connecting");
    await say(page, 1, 10);
    await server.sendNumbers(session, 1, 10);
    relay.heal();
    await page.clock.runFor(30_000);
    await expectConnection(page, "connected");
    await expect.poll(() => numbersOf(page)).toEqual(count(1, 10));
    await expect.poll(async () => (await server.session(session)).numbers).toEqual(count(1, 10));
  });

  test("a line that is only quiet is kept", async ({ page, server, relay }) => {
    const traffic = Traffic.of(page);
    const session = await open(page, `${relay.url}/numbers`);
    // More than what the server waits for a sign of life, twice: the browser answers its pings.
    const before = relay.answers;
    await expect.poll(() => relay.answers - before).toBeGreaterThan((2 * deadMs) / pingMs + 1);
    expect(await server.session(session)).toMatchObject({ status: "Open", soft_closed: 0 });
    expect(traffic.sockets).toHaveLength(1);
  });
});

test.describe("of two tabs with one page", () => {
  test("the newer one is loaded afresh without a word, and the older one is not disturbed", async ({ context, server }) => {
    const [older, newer] = [await context.newPage(), await context.newPage()];
    const traffic = Traffic.of(older);
    const session = await open(older, `${server.url}/same`);
    // The page as it is at first, as a browser shows it that duplicates a tab; then whatever comes from the server.
    let loads = 0;
    await newer.route("**/same", async (route) => {
      if (++loads === 2) await server.forgetSame();
      await route.continue();
    });
    await newer.goto(`${server.url}/same`);
    await expect.poll(() => server.stats()).toMatchObject({ sessions: 2, open: 2, sockets: 2 });
    await expectConnection(newer, "connected");
    expect(await sessionOf(newer)).not.toBe(session);
    await expect(afresh(newer, "notice")).toBeHidden();
    expect(loads).toBe(2);
    await older.locator("#increment").click();
    await expect(older.locator("#count")).toHaveText("1");
    await expect(newer.locator("#count")).toHaveText("0");
    expect(traffic.sockets).toHaveLength(1);
  });

  test("the newer one says so, when loading it afresh does not help", async ({ context, server }) => {
    const [older, newer] = [await context.newPage(), await context.newPage()];
    await open(older, `${server.url}/same`);
    await newer.goto(`${server.url}/same`);
    await expect(indicator(newer, "text")).toHaveText("This page is open elsewhere.");
    await expectConnection(older, "connected");
    await server.forgetSame();
    await indicator(newer, "button").click();
    await expectConnection(newer, "connected");
    await expect.poll(() => server.stats()).toMatchObject({ sessions: 2, open: 2 });
  });
});

test.describe("of two tabs with one page", () => {
  test.use({ serverOptions: { takeover: "newest" } });

  test("with Takeover::Newest the older one is told and does not fight back", async ({ context, server }) => {
    const [older, newer] = [await context.newPage(), await context.newPage()];
    const traffic = Traffic.of(older);
    const session = await open(older, `${server.url}/same`);
    expect(await open(newer, `${server.url}/same`)).toBe(session);

    await expectConnection(older, "superseded");
    await expect(indicator(older, "text")).toHaveText("This page is open elsewhere.");
    // All that makes a page try again otherwise.
    await older.bringToFront();
    await older.evaluate(() => {
      for (const event of ["online", "focus"]) window.dispatchEvent(new Event(event));
    });
    await older.locator("#increment").click();
    await newer.locator("#increment").click();
    await expect(newer.locator("#count"), "only the newer one's click counts").toHaveText("1");
    await expectConnection(newer, "connected");
    await expectConnection(older, "superseded");
    expect(traffic.sockets).toHaveLength(1);
    await expect.poll(() => server.stats()).toMatchObject({ sessions: 1, open: 1, sockets: 1 });

    await server.forgetSame();
    await indicator(older, "button").click();
    await expectConnection(older, "connected");
    expect(await sessionOf(older), "a fresh page has a session of its own").not.toBe(session);
    await expectConnection(newer, "connected");
  });
});
