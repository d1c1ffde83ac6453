import { inflateSync } from "node:zlib";
import { expect, open, test } from "../support/test.ts";
import { Traffic } from "../support/traffic.ts";

/** How a zlib stream begins: deflate, window of 32 KiB, and a checksum over the two. */
const isZlib = (frame: Buffer) => frame.length > 2 && frame[0] === 0x78 && frame.readUInt16BE(0) % 31 === 0;

test.describe("with compression", () => {
  test.use({ serverOptions: { compression: true } });

  test("every frame is compressed, both ways, and the page works", async ({ page, server }) => {
    const traffic = Traffic.of(page);
    const session = await open(page, `${server.url}/counter`);
    await page.locator("#increment").click();
    await expect(page.locator("#count")).toHaveText("1");
    expect(await server.evaluate(session, "'x'.repeat(10000)", { as: "text" })).toEqual({ value: "x".repeat(10_000) });
    const answer = () => traffic.sent.find((frame) => inflateSync(frame).includes("x".repeat(1000)));
    await expect.poll(() => answer()?.length).toBeLessThan(500);
    expect(traffic.sent.length).toBeGreaterThan(2);
    expect(traffic.received.length).toBeGreaterThan(2);
    expect(traffic.sent.every(isZlib)).toBe(true);
    expect(traffic.received.every(isZlib)).toBe(true);
  });

  test("messages keep their order, though each takes its time to deflate", async ({ page, server }) => {
    const session = await open(page, `${server.url}/numbers`);
    await page.evaluate(() => {
      const { say } = window as unknown as { say(n: number): void };
      for (let n = 1; n <= 300; n++) say(n);
    });
    await server.sendNumbers(session, 1, 300);
    const all = Array.from({ length: 300 }, (_, n) => n + 1);
    await expect.poll(async () => (await server.session(session)).numbers).toEqual(all);
    await expect.poll(() => page.evaluate(() => (window as unknown as { numbers: number[] }).numbers)).toEqual(all);
  });

  test("a page comes back after a cut", async ({ page, server, relay, problems }) => {
    problems.expectLostConnections();
    const session = await open(page, `${relay.url}/counter`);
    relay.cut();
    await expect.poll(() => server.session(session)).toMatchObject({ reopened: 1, status: "Open" });
    await page.locator("#increment").click();
    await expect(page.locator("#count")).toHaveText("1");
  });
});

test("without it no frame is", async ({ page, server }) => {
  const traffic = Traffic.of(page);
  await open(page, `${server.url}/counter`);
  await page.locator("#increment").click();
  await expect(page.locator("#count")).toHaveText("1");
  expect([...traffic.sent, ...traffic.received].some(isZlib)).toBe(false);
});
