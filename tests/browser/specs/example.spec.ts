import { mkdtemp, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Process } from "../support/process.ts";
import { Relay } from "../support/relay.ts";
import { expect, expectConnection, open, sessionOf, test as fixtures } from "../support/test.ts";
import { Traffic } from "../support/traffic.ts";

const binary = process.env["AXUM_APP"] ?? "";

/** The example app as it is, one for all tests of a worker. */
const test = fixtures.extend<object, { app: string }>({
  app: [
    async ({}, use) => {
      // Work that takes longer than a click: much to read, and no room taken on the disk.
      const folder = await mkdtemp(join(tmpdir(), "axum-app-"));
      for (let n = 0; n < 16; n++) {
        const file = join(folder, String(n));
        await writeFile(file, "");
        await truncate(file, 256 * 1024 * 1024);
      }
      const started = await Process.start(binary, ["--port", "0", "--folder", folder]);
      await use(started.url);
      await started.process.stop();
      await rm(folder, { recursive: true });
    },
    { scope: "worker" },
  ],
});

test("the start page leads to all the others", async ({ page, app }) => {
  await page.goto(app);
  for (const path of ["/counter", "/progress", "/chart", "/slider"]) {
    await expect(page.locator(`a[href="${path}"]`).first()).toBeAttached();
  }
});

test("the counter counts", async ({ page, app }) => {
  await open(page, `${app}/counter`);
  const before = Number(await page.locator("#count").textContent());
  await page.locator("#increment").click();
  await expect(page.locator("#count")).toHaveText(String(before + 1));
});

test("work reports its progress, and can be cancelled", async ({ page, app }) => {
  await open(page, `${app}/progress`);
  const progress = () => page.locator("#progress").evaluate((at) => Number(at.getAttribute("value")));
  const before = await page.locator("#status").textContent();
  await page.locator("#start").click();
  await expect.poll(progress).toBeGreaterThan(0);
  await expect(page.locator("#status")).not.toHaveText(before ?? "");
  const running = await page.locator("#status").textContent();
  await page.locator("#cancel").click();
  await expect(page.locator("#status")).not.toHaveText(running ?? "");
});

test("the chart goes on drawing", async ({ page, app }) => {
  await open(page, `${app}/chart`);
  const frames = () => page.locator("#chart").evaluate((at) => Number(at.getAttribute("data-frames")));
  const before = await frames();
  await expect.poll(frames).toBeGreaterThan(before + 3);
  const drawn = await page.locator("#chart canvas, canvas#chart").evaluate((canvas: HTMLCanvasElement) => {
    const pixels = canvas.getContext("2d")?.getImageData(0, 0, canvas.width, canvas.height).data ?? [];
    return new Set(pixels).size;
  });
  expect(drawn, "the canvas is not of one colour").toBeGreaterThan(1);
});

test("cut in mid-stream, the chart goes on in the same session", async ({ page, app, problems }) => {
  problems.expectLostConnections();
  const relay = await Relay.start(Number(new URL(app).port));
  const session = await open(page, `${relay.url}/chart`);
  const frames = () => page.locator("#chart").evaluate((at) => Number(at.getAttribute("data-frames")));
  await expect.poll(frames).toBeGreaterThan(3);
  relay.refuse();
  await expectConnection(page, "connecting");
  const before = await frames();
  relay.heal();
  await expectConnection(page, "connected");
  await expect.poll(frames).toBeGreaterThan(before + 3);
  expect(await sessionOf(page)).toBe(session);
  await relay.stop();
});

test("two tabs share the slider and see each other", async ({ context, app }) => {
  const [one, two] = [await context.newPage(), await context.newPage()];
  const seen = Traffic.of(two);
  await open(one, `${app}/slider`);
  const visitors = async () => Number(/\d+/.exec((await one.locator("#visitors").textContent()) ?? "")?.[0]);
  await expect.poll(visitors).toBe(1);
  await open(two, `${app}/slider`);
  await expect.poll(visitors).toBe(2);
  await one.locator("#shared-slider").fill("17");
  await expect(two.locator("#shared-slider")).toHaveValue("17");
  await expect(two.locator("#shared-value")).toContainText("17");
  await expect(one.locator("#shared-value")).toContainText("17");
  expect(seen.received.length).toBeGreaterThan(0);
  await two.close();
  await expect.poll(visitors).toBe(1);
});
