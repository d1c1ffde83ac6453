import type { Page } from "@playwright/test";
import { offerNothing } from "../support/delivery.ts";
import type { Server } from "../support/server.ts";
import { expect, expectConnection, open, test } from "../support/test.ts";

/** How many sub-sessions the page knows, and how many objects. */
function tables(page: Page): Promise<{ sessions: number; objects: number }> {
  return page.evaluate(() => {
    const { Sessions } = (window as unknown as { Bonito: { Sessions: Record<string, object> } }).Bonito;
    const count = (name: string) => Object.keys(Sessions[name] ?? {}).length;
    return { sessions: count("SESSIONS"), objects: count("GLOBAL_OBJECT_CACHE") };
  });
}

test("the content of a region is there at first paint", async ({ page, server }) => {
  const response = await page.request.get(`${server.url}/region`);
  expect(await response.text()).toContain('<b id="shown">0</b>');
  await open(page, `${server.url}/region`);
  await expect(page.locator("#shown")).toHaveText("0");
  await page.locator("#more").click();
  await expect(page.locator("#clicks")).toHaveText("1");
});

test("a swap brings content that lives, and leaves the focus elsewhere alone", async ({ page, server }) => {
  const session = await open(page, `${server.url}/region`);
  await page.locator("#elsewhere").fill("typing");
  for (let level = 1; level <= 3; level++) {
    await server.setLevel(session, level);
    await expect(page.locator("#shown")).toHaveText(String(level));
    await expect(page.locator("#clicks")).toHaveText("0");
    await page.locator("#more").evaluate((button: HTMLElement) => button.click());
    await expect(page.locator("#clicks")).toHaveText("1");
  }
  await expect(page.locator("#elsewhere")).toBeFocused();
  await expect(page.locator("#elsewhere")).toHaveValue("typing");
  await server.setText(session, "from Rust");
  await expect(page.locator("#text")).toHaveText("from Rust");
  await page.locator("#typed").fill("from the page");
  await expect(page.locator("#text")).toHaveText("from the page");
  expect(await page.evaluate(() => (window as unknown as { shown: number }).shown)).toBe(3);
});

test("a region within a region swaps alone, as rows of a table", { tag: "@once" }, async ({ page, server }) => {
  const session = await open(page, `${server.url}/nested`);
  await expect(page.locator("tbody > tr")).toHaveCount(2);
  const before = await tables(page);
  for (let n = 1; n <= 5; n++) {
    await server.setLevel(session, n);
    await expect(page.locator("#outer")).toHaveText(String(n));
    await server.sendStamps(session, 1);
    await expect(page.locator("#inner")).not.toHaveText("0");
    await expect.poll(() => tables(page)).toEqual(before);
  }
  await expect(page.locator("tbody > tr > td")).toHaveCount(4);
});

test("page code that removes a region ends it on both sides", { tag: "@once" }, async ({ page, server }) => {
  const session = await open(page, `${server.url}/nested`);
  expect((await server.stats()).bindings).toBeGreaterThan(0);
  await page.evaluate(() => document.querySelector("tbody")?.remove());
  await expect.poll(() => tables(page)).toEqual({ sessions: 1, objects: 0 });
  await expect.poll(async () => (await server.stats()).bindings).toBe(0);
  await server.setLevel(session, 1);
  expect((await server.session(session)).status).toBe("Open");
});

/** Lets the page swap until it shows this number. */
async function swapUntil(server: Server, page: Page, session: string, last: number): Promise<void> {
  await server.setText(session, String(last));
  const { level } = await server.session(session);
  await server.setLevel(session, (level ?? 0) + 1);
  await expect(page.locator("#shown")).toHaveText(String(last), { timeout: 240_000 });
}

test("ten thousand swaps leave what ten leave, on the page and on the server", { tag: "@once" }, async ({ page, server }) => {
  test.setTimeout(300_000);
  const session = await open(page, `${server.url}/swaps`);
  await swapUntil(server, page, session, 10);
  const counted = async () => {
    const { bindings, queued_bytes, tasks } = await server.stats();
    return { ...(await tables(page)), bindings, queued_bytes, tasks };
  };
  await expect.poll(async () => (await tables(page)).sessions).toBe(2);
  // The page says within a second what it has had.
  await expect.poll(async () => (await server.stats()).queued_bytes).toBe(0);
  const before = await counted();
  await swapUntil(server, page, session, 10_010);
  await expect.poll(counted).toEqual(before);
});

/** Notes from now on how often a listener of an observable is called, those that are there already left out. */
function noteCalls(page: Page): Promise<void> {
  return page.evaluate(() => {
    type Listener = (value: unknown) => unknown;
    const held = window as unknown as { called: number; Bonito: { Sessions: { GLOBAL_OBJECT_CACHE: Record<string, object> } } };
    const [observable] = Object.values(held.Bonito.Sessions.GLOBAL_OBJECT_CACHE);
    const shared = Object.getPrototypeOf(observable) as { on(listener: Listener): void };
    const { on } = shared;
    held.called = 0;
    shared.on = function (listener) {
      on.call(this, (value) => {
        held.called++;
        return listener(value);
      });
    };
  });
}

for (const delivery of ["plain", "resume"] as const) {
  test(`what follows an observable ends with the part that it is in, ${delivery}`, { tag: "@once" }, async ({ page, server }) => {
    if (delivery === "plain") await offerNothing(page);
    const session = await open(page, `${server.url}/followers`);
    await noteCalls(page);
    /** What is called for one value after so many swaps. */
    const after = async (last: number) => {
      await swapUntil(server, page, session, last);
      await expect(page.locator("li > b")).toHaveText([String(last), String(last + 1)]);
      await expect.poll(async () => (await tables(page)).sessions).toBe(4);
      await expect.poll(async () => (await server.stats()).queued_bytes).toBe(0);
      // What was registered behind the start of a part learns by the first value that its part is over.
      let called = 0;
      for (const round of ["first", "second"]) {
        await page.evaluate(() => void Object.assign(window, { ran: {}, called: 0 }));
        const stamp = await server.sendStamps(session, 1);
        await expect(page.locator("span[data-bonito-text]").first()).toHaveText(String(stamp));
        const noted = await page.evaluate(() => {
          const { ran, called } = window as unknown as { ran: object; called: number };
          return { ran, called };
        });
        expect(noted.ran, round).toEqual({ root: 1, "root late": 1, region: 1, "region late": 1, item: 2, "item late": 2 });
        called = noted.called;
      }
      return { ...(await tables(page)), called };
    };
    const before = await after(10);
    expect(await after(60)).toEqual(before);
  });
}

test("a page that loses its line amid swaps ends at the newest content", async ({ page, server, relay, problems }) => {
  test.setTimeout(90_000);
  problems.expectLostConnections();
  const session = await open(page, `${relay.url}/swaps`);
  // Further than it comes while the line is cut three times, on whatever machine.
  await server.setText(session, "1000000");
  await server.setLevel(session, 1);
  const level = async () => (await server.session(session)).level ?? 0;
  for (let cuts = 1; cuts <= 3; cuts++) {
    const before = await level();
    await expect.poll(level, { intervals: [5], timeout: 30_000 }).toBeGreaterThan(before + 20);
    relay.cut();
    await expect.poll(() => server.session(session)).toMatchObject({ status: "Open", reopened: cuts });
  }
  // No further than where it is.
  await server.setText(session, "0");
  const behind = async () => (await level()) - Number(await page.locator("#shown").textContent());
  await expect.poll(behind).toBe(0);
  // While it is away, the newest value only, once the page has said what it has had.
  await expect.poll(async () => (await server.stats()).queued_bytes).toBe(0);
  relay.refuse();
  await expectConnection(page, "connecting");
  // What goes out before the server has noticed is kept until it is acknowledged.
  await expect.poll(() => server.session(session)).toMatchObject({ status: "SoftClosed" });
  const reached = await level();
  await server.setLevel(session, ...Array.from({ length: 500 }, (_, n) => reached + 1 + n));
  await expect.poll(async () => (await server.stats()).queued_bytes).toBe(0);
  relay.heal();
  await expect(page.locator("#shown")).toHaveText(String(reached + 500));
  await page.locator("[data-bonito-click]").click();
  await expect(page.locator("[data-bonito-text]")).toHaveText("1");
});

test("items of a list keep their nodes as they move, and live as they come", { tag: "@once" }, async ({ page, server }) => {
  const session = await open(page, `${server.url}/list`);
  const items = page.locator("ul > li > button");
  await expect(items).toHaveText(["1", "2", "3"]);
  await page.evaluate(() => {
    for (const item of document.querySelectorAll("li")) Object.assign(item, { mark: item.querySelector("button")?.dataset["key"] });
  });
  const marks = () => page.evaluate(() => Array.from(document.querySelectorAll("li"), (item) => (item as { mark?: string }).mark ?? null));
  await page.locator('[data-key="b"]').click();
  await expect(page.locator("li > i")).toHaveText(["0", "1", "0"]);

  await server.setText(session, "c:3 a:1 b:2");
  await expect(items).toHaveText(["3", "1", "2"]);
  expect(await marks()).toEqual(["c", "a", "b"]);
  await expect(page.locator("li i")).toHaveText(["0", "0", "1"]);

  await server.setText(session, "b:2 d:4 c:33");
  await expect(items).toHaveText(["2", "4", "33"]);
  expect(await marks()).toEqual(["b", null, null]);
  await page.locator('[data-key="d"]').click();
  await page.locator('[data-key="c"]').click();
  await page.locator('[data-key="b"]').click();
  await expect(page.locator("li i")).toHaveText(["2", "1", "1"]);

  await server.setText(session, "");
  await expect(items).toHaveCount(0);
  await expect.poll(() => tables(page)).toMatchObject({ sessions: 1 });
});
