import { test as base, expect, type Page } from "@playwright/test";
import { Problems } from "./problems.ts";
import { Proxy } from "./proxy.ts";
import { Relay } from "./relay.ts";
import { Server, type ServerOptions } from "./server.ts";

export { expect };

interface Options {
  serverOptions: ServerOptions;
}

interface Fixtures {
  /** Fails the test for whatever a page complains about, unless the test expects it. */
  problems: Problems;
  /** A server of the test's own, so that everything on it can be counted. */
  server: Server;
  /** A line to the server that can be cut. */
  relay: Relay;
  /** The server again, under `/apps/mine`. */
  prefixed: Proxy;
}

export const test = base.extend<Options & Fixtures>({
  serverOptions: [{}, { option: true }],

  problems: [
    async ({ context }, use) => {
      const problems = new Problems();
      problems.watch(context);
      await use(problems);
      expect(problems.unexpected, "what the pages complained about").toEqual([]);
    },
    { auto: true },
  ],

  server: async ({ serverOptions, problems }, use, testInfo) => {
    const server = await Server.start(serverOptions);
    await use(server);
    await problems.closePages();
    await server.stop();
    if (testInfo.status !== testInfo.expectedStatus) {
      await testInfo.attach("server log", { body: server.log.join("\n"), contentType: "text/plain" });
    }
  },

  relay: async ({ server, problems }, use) => {
    const relay = await Relay.start(server.port);
    await use(relay);
    await problems.closePages();
    await relay.stop();
  },

  prefixed: async ({ server, problems }, use) => {
    const proxy = await Proxy.start(server.port, "/apps/mine");
    await use(proxy);
    await problems.closePages();
    await proxy.stop();
  },
});

/** The page says of itself that it is connected, or whatever else is expected of it. */
export async function expectConnection(page: Page, state: string, timeout?: number): Promise<void> {
  await expect(page.locator("html")).toHaveAttribute("data-bonito-connection", state, timeout ? { timeout } : {});
}

/**
 * Opens a page, waits until it is alive on both sides, and answers the id of its session.
 *
 * A connected page has only sent that it has loaded. A test that cut it before the server had read that found a session
 * that was never open, and one connection less than it counted on. The server answers in order, so one pong settles it.
 */
export async function open(page: Page, url: string): Promise<string> {
  await page.goto(url);
  await expectConnection(page, "connected");
  await page.evaluate(() => (window as unknown as ClientWindow).Bonito.send_pingpong());
  const answers = () => page.evaluate(() => (window as unknown as ClientWindow).Bonito.Connection.liveness().answers);
  await expect.poll(answers, { message: "the server answers a ping" }).toBe(true);
  return sessionOf(page);
}

interface ClientWindow {
  Bonito: { send_pingpong(): void; Connection: { liveness(): { answers: boolean } } };
}

export function sessionOf(page: Page): Promise<string> {
  return page.evaluate(() => {
    const { url } = (window as unknown as { WEBSOCKET: { url: string } }).WEBSOCKET;
    return new URL(url).pathname.split("/").at(-1) ?? "";
  });
}

/** The same part of the notice that a page was loaded afresh, and why. */
export function afresh(page: Page, part: "notice" | "text" | "button") {
  return page.locator(`bonito-connection [part="${part} afresh"]`);
}

/** The part of the built-in indicator with this name; its shadow root is open. */
export function indicator(page: Page, part: "notice" | "text" | "button") {
  return page.locator(`bonito-connection [part=${part}]`);
}
