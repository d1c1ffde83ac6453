import { expect, expectConnection, indicator, open, sessionOf, test } from "../support/test.ts";
import { TlsEnd } from "../support/tls.ts";
import { Traffic } from "../support/traffic.ts";

test("a template of the app's own comes alive by its head", async ({ page, server }) => {
  const session = await open(page, `${server.url}/template`);
  await expect(page.locator("#level")).toHaveText("7");
  await page.locator("#increment").click();
  await expect(page.locator("#level")).toHaveText("8");
  expect(await server.session(session)).toMatchObject({ status: "Open", errors: [] });
});

test.describe("mounted under a path", () => {
  test.use({ serverOptions: { base: "/deep/down" } });

  test("a page finds its client and its socket there", async ({ page, server }) => {
    const traffic = Traffic.of(page);
    expect(server.url).toContain("/deep/down");
    await open(page, `${server.url}/counter`);
    await page.locator("#increment").click();
    await expect(page.locator("#count")).toHaveText("1");
    expect(new URL(traffic.sockets[0]?.url() ?? "").pathname).toMatch(/^\/deep\/down\/live\/[^/]+$/);
  });
});

test.describe("behind a proxy that takes a prefix away", () => {
  test.use({ serverOptions: { externalUrl: "/apps/mine/live" } });

  test("a page finds its client and its socket under the prefix", async ({ page, prefixed }) => {
    const traffic = Traffic.of(page);
    await open(page, `${prefixed.url}/apps/mine/counter`);
    await page.locator("#increment").click();
    await expect(page.locator("#count")).toHaveText("1");
    expect(new URL(traffic.sockets[0]?.url() ?? "").pathname).toMatch(/^\/apps\/mine\/live\/[^/]+$/);
  });

  test("it reconnects and learns of its end there", async ({ page, server, prefixed, problems }) => {
    problems.expectUnknownSession();
    await open(page, `${prefixed.url}/apps/mine/counter`);
    const session = await sessionOf(page);
    await server.disconnect(session);
    await expect.poll(() => server.session(session)).toMatchObject({ reopened: 1, status: "Open" });
    await server.close(session);
    await expectConnection(page, "gone");
    await indicator(page, "button").click();
    await expectConnection(page, "connected");
    expect(await sessionOf(page)).not.toBe(session);
  });
});

test.describe("with a copy of the client elsewhere", () => {
  test.use({ serverOptions: { clientCopy: true } });

  test("a page loads the copy and nothing of the endpoint's", async ({ page, server }) => {
    const loaded: string[] = [];
    page.on("request", (request) => {
      if (request.resourceType() === "script") loaded.push(new URL(request.url()).pathname);
    });
    await open(page, `${server.url}/counter`);
    await page.locator("#increment").click();
    await expect(page.locator("#count")).toHaveText("1");
    expect(new Set(loaded)).toEqual(new Set(["/copy/library.js", "/copy/websocket.js"]));
  });
});

test("the client is loaded once and kept", async ({ page, server }) => {
  await open(page, `${server.url}/counter`);
  const scripts = await page.evaluate(() => performance.getEntriesByType("resource").map((entry) => new URL(entry.name).pathname));
  const assets = scripts.filter((path) => path.startsWith("/live/assets/"));
  expect(assets.toSorted()).toEqual([...new Set(assets)].toSorted());
  for (const asset of assets) {
    const response = await page.request.get(`${server.url}${asset}`);
    expect(response.headers()["cache-control"]).toContain("immutable");
  }
});

test.describe("over https", () => {
  test.use({ ignoreHTTPSErrors: true });

  test("the socket is secure, and the origin is the page's own", async ({ page, server }) => {
    const end = await TlsEnd.start(server.port);
    const traffic = Traffic.of(page);
    await open(page, `${end.url}/counter`);
    await page.locator("#increment").click();
    await expect(page.locator("#count")).toHaveText("1");
    expect(traffic.sockets.map((socket) => new URL(socket.url()).protocol)).toEqual(["wss:"]);
    await page.close();
    end.stop();
  });
});
