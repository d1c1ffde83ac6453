import { spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import { pathToFileURL } from "node:url";
import type { Page } from "@playwright/test";
import { expect, expectConnection, open, test } from "../support/test.ts";
import { Traffic } from "../support/traffic.ts";

interface PageWindow {
  numbers: number[];
  large: number[];
  sizes: number[];
  say(n: number): void;
  sockets: WebSocket[];
  Bonito: { is_no_connection(): boolean; Connection: { liveness(): { answers: boolean } }; send_pingpong(): void };
}

const list = (page: Page, name: "numbers" | "large" | "sizes") =>
  page.evaluate((name) => (window as unknown as PageWindow)[name], name);
const upTo = (n: number) => Array.from({ length: n }, (_, at) => at + 1);

for (const compression of [false, true]) {
  test.describe(`the documented skeleton${compression ? " with compression" : ""}`, () => {
    test.use({ serverOptions: { compression } });

    test("talks both ways over requests, in order, each message once", async ({ page, server }) => {
      const traffic = Traffic.of(page);
      await page.goto(`${server.url}/skeleton`);
      await expectConnection(page, "connected");
      await page.locator("#increment").click();
      await page.locator("#increment").click();
      await expect(page.locator("#count")).toHaveText("2");
      const session = (await page.locator("[data-jscall-id=root]").getAttribute("id")) ?? "";
      await page.evaluate(() => {
        const { say } = window as unknown as PageWindow;
        for (let n = 1; n <= 100; n++) say(n);
      });
      await server.sendNumbers(session, 1, 100);
      await expect.poll(async () => (await server.session(session)).numbers).toEqual(upTo(100));
      await expect.poll(() => list(page, "numbers")).toEqual(upTo(100));
      expect(await server.session(session)).toMatchObject({ status: "Open", opened: 1, reopened: 0, errors: [] });
      expect(traffic.sockets, "no WebSocket is there").toHaveLength(0);
    });
  });
}

test.describe("two sockets", () => {
  test.beforeEach(async ({ page }) => {
    await page.addInitScript(() => {
      const all: WebSocket[] = [];
      (window as unknown as PageWindow).sockets = all;
      window.WebSocket = class extends WebSocket {
        constructor(url: string | URL, protocols?: string | string[]) {
          super(url, protocols);
          all.push(this);
        }
      };
    });
  });

  const cut = (page: Page, query: string) =>
    page.evaluate((query) => {
      const { sockets } = window as unknown as PageWindow;
      sockets.findLast(({ url }) => url.endsWith(query))?.close();
    }, query);

  test("carry one lane each", async ({ page, server }) => {
    const traffic = Traffic.of(page);
    const session = await open(page, `${server.url}/dual`);
    await page.locator("#increment").click();
    await expect(page.locator("#count")).toHaveText("1");
    await server.sendLarge(session, 1, 20, 10_000);
    await server.sendNumbers(session, 1, 20);
    await server.setImage(session, 100_000);
    await expect.poll(() => list(page, "large")).toEqual(upTo(20));
    await expect.poll(() => list(page, "numbers")).toEqual(upTo(20));
    await expect.poll(() => list(page, "sizes")).toEqual([100_000]);
    expect(traffic.sockets.map((socket) => new URL(socket.url()).search).sort()).toEqual(["?large_data", "?low_latency"]);
    expect((await server.stats()).sockets).toBe(2);
  });

  for (const query of ["?large_data", "?low_latency"]) {
    test(`are both made anew when ${query} is lost, and nothing with them`, async ({ page, server }) => {
      const session = await open(page, `${server.url}/dual`);
      await expect.poll(async () => (await server.stats()).sockets).toBe(2);
      for (let round = 1; round <= 3; round++) {
        await cut(page, query);
        await expect.poll(async () => (await server.session(session)).soft_closed).toBe(round);
        // While it is away, and after.
        await server.sendNumbers(session, 2 * round - 1, 2 * round - 1);
        await server.sendLarge(session, 2 * round - 1, 2 * round - 1, 1000);
        await expect.poll(() => server.session(session)).toMatchObject({ status: "Open", reopened: round });
        await expect.poll(async () => (await server.stats()).sockets).toBe(2);
        await server.sendNumbers(session, 2 * round, 2 * round);
        await server.sendLarge(session, 2 * round, 2 * round, 1000);
        await expect.poll(() => list(page, "numbers")).toEqual(upTo(2 * round));
        await expect.poll(() => list(page, "large")).toEqual(upTo(2 * round));
        await page.locator("#increment").click();
        await expect(page.locator("#count")).toHaveText(String(round));
      }
    });
  }
});

test("50 MB over two sockets delay no click by more than 50 ms", async ({ server }, testInfo) => {
  test.slow();
  // A browser that nobody watches: to show such a message to whoever does takes it a second or more.
  const flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"];
  const profile = `--user-data-dir=${testInfo.outputPath("profile")}`;
  const browser = spawn(testInfo.project.use.launchOptions?.executablePath ?? "", [...flags, profile, `${server.url}/clicks`], { stdio: "ignore" });
  try {
    // A machine that is busy with something else is so for a while; what delays by itself does so every time.
    const least = async () => Math.min(...(await server.measurements()).map(([idle, during]) => during - idle));
    await expect.poll(least, { timeout: 60_000, intervals: [500] }).toBeLessThan(50);
  } finally {
    browser.kill();
    testInfo.annotations.push({ type: "clicks", description: JSON.stringify(await server.measurements()) });
  }
});

test.describe("a page in one file", () => {
  for (const colorScheme of ["light", "dark"] as const) {
    test(`works from the disk and asks nobody, ${colorScheme}`, { tag: "@once" }, async ({ page, server, context }, testInfo) => {
      const response = await fetch(`${server.url}/exported`);
      const file = testInfo.outputPath("exported.html");
      writeFileSync(file, await response.text());
      await server.stop();
      const asked: string[] = [];
      context.on("request", (request) => asked.push(request.url()));
      page.on("websocket", (socket) => asked.push(socket.url()));
      await page.emulateMedia({ colorScheme });
      await page.goto(pathToFileURL(file).href);
      await expectConnection(page, "no_connection");
      expect(await page.title()).toBe("Exported </script>");
      await page.locator("#slider").fill("42");
      await expect(page.locator("#level")).toHaveText("42");
      await expect(page.locator("#doubled")).toHaveText("84");
      await page.locator("#click").click();
      expect(await page.evaluate(() => (window as unknown as PageWindow).Bonito.is_no_connection())).toBe(true);
      expect(await page.evaluate(() => fetch("https://example.com").then(String, () => "refused"))).toBe("refused");
      expect(asked.filter((url) => !url.startsWith("https://example.com"))).toEqual([pathToFileURL(file).href]);
    });
  }

  test.beforeEach(({ problems }) => {
    // The test's own question.
    problems.expect(/example\.com/);
  });
});
