import type { Page } from "@playwright/test";
import { afresh, expect, expectConnection, indicator, open, sessionOf, test } from "../support/test.ts";

const AFRESH = "This page was loaded afresh: its session on the server has ended. The last changes may be missing.";
const NOTHING = { sessions: 0, open: 0, soft_closed: 0, sockets: 0, tasks: 0, bindings: 0, queued_bytes: 0, alive: 0 };

/** The page notes why it cannot go on, and does nothing about it. */
const takeCare = (page: Page) =>
  page.evaluate(() => {
    const reasons: string[] = [];
    const { Bonito } = Object.assign(window, { reasons }) as unknown as { Bonito: { configure(options: object): void } };
    Bonito.configure({ on_continuity_lost: (reason: string) => (reasons.push(reason), true) });
  });

test.describe("a line that stays cut past the window", () => {
  test.use({ serverOptions: { cleanupMs: 2_000 } });

  test("ends the session with all it owns, and the page is loaded afresh and says why", async ({ page, server, relay, problems }) => {
    problems.expectLostConnections();
    problems.expectUnknownSession();
    const session = await open(page, `${relay.url}/belongings`);
    expect(await server.stats()).toMatchObject({ sessions: 1, tasks: 3, alive: 3, slider: { listeners: 2, sessions: 1 } });
    expect((await server.stats()).bindings).toBeGreaterThan(1);

    relay.refuse();
    await expect.poll(() => server.session(session), { intervals: [20] }).toMatchObject({ status: "SoftClosed", tasks: 3 });
    await expect.poll(() => server.session(session)).toMatchObject({ status: "Closed", closed: "Cleanup" });
    await expect.poll(() => server.stats()).toMatchObject({ ...NOTHING, slider: { listeners: 0, sessions: 0 } });

    relay.heal();
    await expect(afresh(page, "text")).toHaveText(AFRESH);
    await expectConnection(page, "connected");
    expect(await sessionOf(page)).not.toBe(session);
    await afresh(page, "button").click();
    await expect(afresh(page, "notice")).toBeHidden();
    await expect.poll(() => server.stats()).toMatchObject({ sessions: 1, open: 1, tasks: 3, alive: 3 });
  });
});

test.describe("a line that is back inside the window", () => {
  // Longer than a page takes to come back, on whatever machine.
  test.use({ serverOptions: { cleanupMs: 30_000 } });

  test("keeps all that the session owns", async ({ page, server, relay, problems }) => {
    problems.expectLostConnections();
    const session = await open(page, `${relay.url}/belongings`);
    relay.cut();
    await expect.poll(() => server.session(session)).toMatchObject({ status: "Open", reopened: 1, tasks: 3 });
    await server.setSlider(81);
    await expect(page.locator("#value")).toHaveText("81");
    expect(await server.stats()).toMatchObject({ sessions: 1, alive: 3, slider: { listeners: 2, sessions: 1 } });
  });
});

test.describe("a page that is closed", () => {
  test.describe("with the default policy", () => {
    test.use({ serverOptions: { cleanupMs: 500 } });

    test("its session ends after the window", async ({ context, server }) => {
      const page = await context.newPage();
      const session = await open(page, `${server.url}/belongings`);
      await page.close();
      await expect.poll(() => server.session(session)).toMatchObject({ status: "Closed", soft_closed: 1, closed: "Cleanup" });
      await expect.poll(() => server.stats()).toMatchObject(NOTHING);
    });

    test("so does the session of a page that is reloaded", async ({ page, server }) => {
      const first = await open(page, `${server.url}/belongings`);
      await page.reload();
      await expectConnection(page, "connected");
      const second = await sessionOf(page);
      expect(second).not.toBe(first);
      await expect.poll(() => server.session(first)).toMatchObject({ status: "Closed", closed: "Cleanup", reopened: 0 });
      await expect.poll(() => server.stats()).toMatchObject({ sessions: 1, open: 1, alive: 3, tasks: 3 });
    });
  });

  test.describe("with a policy without soft close", () => {
    test.use({ serverOptions: { noSoftClose: true } });

    test("its session ends with it", async ({ context, server }) => {
      const page = await context.newPage();
      const session = await open(page, `${server.url}/belongings`);
      await page.close();
      await expect.poll(() => server.session(session)).toMatchObject({ status: "Closed", closed: "Disconnected" });
      await expect.poll(() => server.stats()).toMatchObject(NOTHING);
    });

    test("its session ends with the line as well, and the page is loaded afresh", async ({ page, relay, server, problems }) => {
      problems.expectLostConnections();
      problems.expectUnknownSession();
      const session = await open(page, `${relay.url}/belongings`);
      relay.cut();
      await expect.poll(() => server.session(session)).toMatchObject({ status: "Closed", closed: "Disconnected" });
      await expect(afresh(page, "text")).toHaveText(AFRESH);
      await expectConnection(page, "connected");
      await expect.poll(() => server.stats()).toMatchObject({ sessions: 1, open: 1, tasks: 3, alive: 3 });
    });
  });
});

test.describe("a page that never connects", () => {
  test.use({ serverOptions: { connectMs: 2_000 } });

  test("has its session cleaned up", async ({ context, server }) => {
    await context.request.get(`${server.url}/belongings`);
    expect(await server.stats()).toMatchObject({ sessions: 1, alive: 3 });
    await expect.poll(() => server.stats()).toMatchObject({ ...NOTHING, slider: { listeners: 0, sessions: 0 } });
  });
});

test("a session that the server closes says so in the page, which can start afresh", async ({ page, server }) => {
  const session = await open(page, `${server.url}/belongings`);
  await server.close(session);
  await expectConnection(page, "gone");
  await expect(indicator(page, "text")).toHaveText("This page's session has ended.");
  await expect.poll(() => server.stats()).toMatchObject(NOTHING);
  expect(await server.session(session)).toMatchObject({ closed: "Application", soft_closed: 0 });
  await indicator(page, "button").click();
  await expectConnection(page, "connected");
  expect(await sessionOf(page)).not.toBe(session);
});

test.describe("a page that was frozen past the window", () => {
  test.use({ serverOptions: { cleanupMs: 1_000 } });

  test("is told that it cannot go on, and why", async ({ page, server, relay, problems }) => {
    problems.expectLostConnections();
    problems.expectUnknownSession();
    const session = await open(page, `${relay.url}/belongings`);
    const devtools = await page.context().newCDPSession(page);
    await devtools.send("Page.setWebLifecycleState", { state: "frozen" });
    relay.refuse();
    await expect.poll(() => server.session(session)).toMatchObject({ status: "Closed", closed: "Cleanup" });
    relay.heal();
    await devtools.send("Page.setWebLifecycleState", { state: "active" });
    await expect(afresh(page, "text")).toHaveText(AFRESH);
    await expectConnection(page, "connected");
    expect(await sessionOf(page)).not.toBe(session);
  });
});

test("a page that the server does not know is loaded afresh once, and stops", async ({ page, server, problems }) => {
  problems.expectUnknownSession();
  const html = await (await page.request.get(`${server.url}/same`)).text();
  const id = /id="([^"]+)" data-jscall-id="root"/.exec(html)?.[1] ?? "";
  await server.close(id);
  const probes: number[] = [];
  page.on("response", (response) => {
    if (response.url().endsWith(id)) probes.push(response.status());
  });
  // What comes when it is loaded afresh is the same dead page again.
  await page.goto(`${server.url}/same`);
  await expect(indicator(page, "button")).toHaveText("Start afresh");
  await expectConnection(page, "lost");
  await page.evaluate(() => window.dispatchEvent(new Event("online")));
  await server.forgetSame();
  await indicator(page, "button").click();
  await expectConnection(page, "connected");
  expect(probes).toEqual([404, 404]);
});

test.describe("more than may wait for a page", () => {
  test.use({ serverOptions: { queuedMessages: 20 } });

  test("ends its session rather than losing some of it", async ({ page, server, relay, problems }) => {
    problems.expectLostConnections();
    problems.expectUnknownSession();
    const session = await open(page, `${relay.url}/numbers`);
    relay.refuse();
    await expect.poll(() => server.session(session)).toMatchObject({ status: "SoftClosed" });
    await takeCare(page);
    await server.sendNumbers(session, 1, 20);
    expect(await server.session(session)).toMatchObject({ status: "SoftClosed" });
    await server.sendNumbers(session, 21, 21);
    expect(await server.session(session)).toMatchObject({ status: "Closed", closed: "Overflow" });
    relay.heal();
    await expectConnection(page, "lost");
    const seen = await page.evaluate(() => {
      const { numbers, reasons } = window as unknown as { numbers: number[]; reasons: string[] };
      return { numbers, reasons };
    });
    expect(seen).toEqual({ numbers: [], reasons: ["gone"] });
    await expect(indicator(page, "notice"), "the page's own code shows it").toBeHidden();
  });
});

test("many pages that come and go leave nothing", async ({ context, server }) => {
  const page = await context.newPage();
  for (let round = 0; round < 10; round++) {
    const session = await open(page, `${server.url}/belongings`);
    await server.close(session);
  }
  await page.close();
  await expect.poll(() => server.stats()).toMatchObject({ ...NOTHING, slider: { listeners: 0, sessions: 0 } });
});

for (const [what, answer] of [
  ["401", { status: 401 }],
  ["a redirect to a login", { status: 302, headers: { location: "/login" } }],
] as const) {
  test(`a host that answers the session with ${what} ends the attempts, and the page offers a way out`, async ({ page, relay, problems }) => {
    problems.expectLostConnections();
    problems.expect(/^console: Failed to load resource: .* 401/);
    await open(page, `${relay.url}/plain`);
    await page.route("**/live/*", (route) => route.fulfill({ ...answer }));
    relay.refuse();
    await expectConnection(page, "refused");
    await expect(indicator(page, "button")).toHaveText("Try again");
    await page.unrouteAll();
    relay.heal();
    await indicator(page, "button").click();
    await expectConnection(page, "connected");
  });
}
