import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Page } from "@playwright/test";
import { Process } from "../support/process.ts";
import { Relay } from "../support/relay.ts";
import { expect, expectConnection, test } from "../support/test.ts";

/** How one of the examples with a connection of its own is started, and how its line is cut. */
interface Transport {
  start(): Promise<Line>;
}

interface Line {
  readonly url: string;
  /** Takes the way between page and session away. */
  cut(page: Page): Promise<void>;
  /** Lets it come back, if it does not by itself. */
  heal(): Promise<void>;
  stop(): Promise<void>;
}

const longPoll: Transport = {
  async start() {
    const { process: app, url } = await Process.start(process.env["LONG_POLL"] ?? "", ["--port", "0"]);
    const relay = await Relay.start(Number(new URL(url).port));
    return {
      url: relay.url,
      cut: async () => relay.refuse(),
      heal: async () => relay.heal(),
      stop: async () => {
        await relay.stop();
        await app.stop();
      },
    };
  },
};

const webrtc: Transport = {
  async start() {
    const { process: app, url } = await Process.start(process.env["WEBRTC"] ?? "", ["--port", "0"]);
    const relay = await Relay.start(Number(new URL(url).port));
    return {
      url: relay.url,
      // The offer for a new channel does not get through until the relay is healed.
      cut: async (page) => {
        relay.refuse();
        await page.evaluate(() => (window as unknown as { channel: RTCDataChannel }).channel.close());
      },
      heal: async () => relay.heal(),
      stop: async () => {
        await relay.stop();
        await app.stop();
      },
    };
  },
};

const twoProcess: Transport = {
  async start() {
    const folder = await mkdtemp(join(tmpdir(), "two-process-"));
    const path = join(folder, "link");
    const { process: app } = await Process.start(process.env["TWO_PROCESS_APP"] ?? "", [path], /listening at/);
    const startFront = (port: string) => Process.start(process.env["TWO_PROCESS_FRONT"] ?? "", [path, "--port", port]);
    let { process: front, url } = await startFront("0");
    await expect.poll(async () => (await fetch(`${url}/app.css`)).status, { message: "the front has its link" }).toBe(200);
    return {
      url,
      cut: () => front.stop(),
      heal: async () => {
        ({ process: front } = await startFront(new URL(url).port));
      },
      stop: async () => {
        await front.stop();
        await app.stop();
        await rm(folder, { recursive: true });
      },
    };
  },
};

const transports: Record<string, Transport> = { "long poll": longPoll, webrtc, "two processes": twoProcess };

/** Opens the page, waits until it is alive on both sides, and answers the id of its session. */
async function open(page: Page, url: string): Promise<string> {
  await page.goto(url);
  await expectConnection(page, "connected");
  await count(page);
  return sessionOf(page);
}

async function sessionOf(page: Page): Promise<string> {
  return (await page.locator("[data-jscall-id=root]").getAttribute("id")) ?? "";
}

/** A click goes to Rust, and the new count comes back. */
async function count(page: Page): Promise<void> {
  const before = Number(await page.locator("#count").textContent());
  await page.locator("#increment").click();
  await expect(page.locator("#count")).toHaveText(String(before + 1));
}

async function expectInOrder(page: Page, numbers: number): Promise<void> {
  await expect(page.locator("#to-rust")).toHaveText(`${numbers} in order`);
  await expect(page.locator("#to-page")).toHaveText(`${numbers} in order`);
}

for (const [name, transport] of Object.entries(transports)) {
  test.describe(name, () => {
    let line: Line;
    test.beforeEach(async ({ page }) => {
      // To be able to cut what no relay on TCP carries.
      await page.addInitScript(() => {
        const create = RTCPeerConnection.prototype.createDataChannel;
        RTCPeerConnection.prototype.createDataChannel = function (...options) {
          return Object.assign(window, { channel: create.apply(this, options) }).channel;
        };
      });
      line = await transport.start();
    });
    test.afterEach(async ({ page }) => {
      await page.close();
      await line.stop();
    });

    test("button and slider go both ways", async ({ page }) => {
      await open(page, line.url);
      await page.locator("#level").fill("17");
      await expect(page.locator("#shown")).toHaveText("17");
      await count(page);
    });

    test("200 messages each way come in order", async ({ page }) => {
      await open(page, line.url);
      await page.locator("#exchange").click();
      await expectInOrder(page, 200);
      await page.locator("#exchange").click();
      await page.locator("#exchange").click();
      await expectInOrder(page, 600);
    });

    test("after a lost connection the page is back in its session", async ({ page, problems }) => {
      problems.expectLostConnections();
      problems.expect(/Failed to load resource: .* 50[23]/);
      const session = await open(page, line.url);
      await page.locator("#level").fill("83");
      await expect(page.locator("#shown")).toHaveText("83");
      const before = Number(await page.locator("#count").textContent());
      await line.cut(page);
      await expectConnection(page, "connecting", 20_000);
      // What is done meanwhile waits.
      await page.locator("#increment").click();
      await line.heal();
      await expectConnection(page, "connected", 20_000);
      await expect(page.locator("#count")).toHaveText(String(before + 1));
      await expect(page.locator("#shown")).toHaveText("83");
      expect(await sessionOf(page)).toBe(session);
      await page.locator("#exchange").click();
      await expectInOrder(page, 200);
    });

    test("the end of the session ends the connection", async ({ page, problems }) => {
      problems.expect(/Failed to load resource: .* 4(04|10)/, /WebSocket connection to '.*' failed/);
      await open(page, line.url);
      await page.locator("#end").click();
      // A final state: the page has been told that there is nothing to come back to.
      await expectConnection(page, "gone");
    });
  });
}

test("long poll: a line cut in mid-stream loses no message and doubles none", async ({ page, problems }) => {
  problems.expectLostConnections();
  const line = await longPoll.start();
  await open(page, line.url);
  for (let cuts = 1; cuts <= 5; cuts++) {
    await page.locator("#exchange").click();
    await line.cut(page);
    await line.heal();
    await expectInOrder(page, 200 * cuts);
  }
  await page.close();
  await line.stop();
});

for (const scheme of ["light", "dark"] as const) {
  test.describe(() => {
    test.use({ colorScheme: scheme });
    test(`long poll: the page has a ${scheme} side`, async ({ page }, testInfo) => {
      const line = await longPoll.start();
      await open(page, line.url);
      await page.locator("#exchange").click();
      await expectInOrder(page, 200);
      const ground = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
      expect(ground).toBe(scheme === "dark" ? "rgb(13, 22, 24)" : "rgb(245, 244, 240)");
      await page.screenshot({ path: testInfo.outputPath(`${scheme}.png`) });
      await page.close();
      await line.stop();
    });
  });
}
