import type { Page } from "@playwright/test";
import type { Server } from "../support/server.ts";
import { expect, open, test } from "../support/test.ts";
import { Traffic } from "../support/traffic.ts";

const sliderId = (page: Page) => page.evaluate(() => (window as unknown as { slider: { id: string } }).slider.id);

/** Drags the handle to the right edge with the mouse, in many small steps. */
async function drag(page: Page): Promise<void> {
  const box = await page.locator("#slider").boundingBox();
  if (!box) throw new Error("the slider is not to be seen");
  const y = box.y + box.height / 2;
  await page.mouse.move(box.x + box.width / 2, y);
  await page.mouse.down();
  await page.mouse.move(box.x + box.width + 5, y, { steps: 25 });
  await page.mouse.up();
}

const value = async (server: Server) => (await server.stats()).slider.value;

test("two tabs share a slider, and who drags gets no echo", async ({ context, server }) => {
  const [one, two] = [await context.newPage(), await context.newPage()];
  const [seenByOne, seenByTwo] = [Traffic.of(one), Traffic.of(two)];
  await open(one, `${server.url}/slider`);
  await open(two, `${server.url}/slider`);
  const id = await sliderId(one);
  expect(await sliderId(two), "the observable is one and the same").toBe(id);

  await one.bringToFront();
  await drag(one);
  await expect(one.locator("#slider")).toHaveValue("100");
  await expect(two.locator("#slider")).toHaveValue("100");
  expect(await value(server)).toBe(100);
  const sent = () => seenByOne.sentFor(id).length;
  expect(sent(), "the drag was one of many steps").toBeGreaterThan(10);
  await expect.poll(() => seenByTwo.receivedFor(id).length - sent(), { message: "each of them reached the other" }).toBe(0);
  expect(seenByTwo.sentFor(id), "the other sent nothing back").toHaveLength(0);

  // Frames come in order: once this answer is there, an echo would be as well.
  await server.setSlider(10);
  await expect(one.locator("#slider")).toHaveValue("10");
  await expect.poll(() => seenByOne.receivedFor(id).length).toBeGreaterThan(0);
  expect(seenByOne.receivedFor(id), "nothing but what Rust has set").toHaveLength(1);
});

test("tabs that both drag end at the same value", async ({ context, server }) => {
  const pages = [await context.newPage(), await context.newPage(), await context.newPage()];
  for (const page of pages) await open(page, `${server.url}/slider`);
  await Promise.all(
    pages.map((page, n) =>
      page.evaluate((offset) => {
        const { slider } = window as unknown as { slider: { notify(value: number): void } };
        for (let step = 0; step < 200; step++) slider.notify(((step * 7 + offset * 31) % 100) + offset / 10);
      }, n),
    ),
  );
  const values = () => Promise.all(pages.map((page) => page.evaluate(() => (window as unknown as { slider: { value: number } }).slider.value)));
  await expect
    .poll(async () => {
      const all = new Set([...(await values()), await value(server)]);
      return all.size;
    })
    .toBe(1);
});

test("a tab that comes later starts at the value of now", async ({ context, server }) => {
  const one = await context.newPage();
  await open(one, `${server.url}/slider`);
  await drag(one);
  await expect.poll(() => value(server)).toBe(100);
  const two = await context.newPage();
  await open(two, `${server.url}/slider`);
  await expect(two.locator("#slider")).toHaveValue("100");
});
