import type { Page } from "@playwright/test";
import { checksum } from "../support/arrays.ts";
import type { Server } from "../support/server.ts";
import { expect, open, test } from "../support/test.ts";

interface ArrayPage {
  points: Float32Array;
  give(array: Float32Array): void;
  kinds: ArrayLike<number>[];
  table: { size: Uint32Array; array: Float32Array };
}

/** Rust's array in the page, back again, and one that the page made. */
async function expectArraysIntact(page: Page, server: Server, session: string): Promise<void> {
  await page.addScriptTag({ content: `window.checksum = ${checksum}` });
  const sent = Number(await page.locator("#checksum").textContent());
  const arrived = await page.evaluate(() => {
    const { points, checksum } = window as unknown as ArrayPage & { checksum(array: ArrayBufferView): number };
    return { name: points.constructor.name, length: points.length, checksum: checksum(points) };
  });
  expect(arrived).toEqual({ name: "Float32Array", length: 10_000, checksum: sent });

  const made = await page.evaluate(() => {
    const { give, points, checksum } = window as unknown as ArrayPage & { checksum(array: ArrayBufferView): number };
    give(points);
    const own = Float32Array.from({ length: 10_000 }, (_, n) => Math.cos(n) / 3);
    give(own);
    // A view into a longer array travels without what surrounds it.
    give(own.subarray(10, 20));
    return { whole: checksum(own), part: checksum(own.subarray(10, 20)) };
  });
  await expect.poll(async () => (await server.session(session)).arrays).toEqual([
    { length: 10_000, checksum: sent },
    { length: 10_000, checksum: made.whole },
    { length: 10, checksum: made.part },
  ]);
}

test("a Float32Array of 10,000 points arrives intact both ways", async ({ page, server }) => {
  const session = await open(page, `${server.url}/arrays`);
  await expectArraysIntact(page, server, session);
});

test.describe("compressed", () => {
  test.use({ serverOptions: { compression: true } });

  test("a Float32Array of 10,000 points arrives intact both ways", async ({ page, server }) => {
    const session = await open(page, `${server.url}/arrays`);
    await expectArraysIntact(page, server, session);
  });
});

test("each kind of typed array keeps its class and its extremes", { tag: "@once" }, async ({ page, server }) => {
  await open(page, `${server.url}/arrays`);
  const kinds = await page.evaluate(() =>
    (window as unknown as ArrayPage).kinds.map((array) => [array.constructor.name, ...Array.from(array)]),
  );
  expect(kinds).toEqual([
    ["Int8Array", -128, 127],
    ["Uint8Array", 0, 255],
    ["Int16Array", -32_768, 32_767],
    ["Uint16Array", 0, 65_535],
    ["Int32Array", -(2 ** 31), 2 ** 31 - 1],
    ["Uint32Array", 0, 2 ** 32 - 1],
    ["Float32Array", -Math.fround(3.4028234663852886e38), Math.fround(3.4028234663852886e38)],
    ["Float64Array", -Number.MAX_VALUE, Number.MAX_VALUE],
  ]);
});

test("an array of several dimensions keeps its shape", { tag: "@once" }, async ({ page, server }) => {
  await open(page, `${server.url}/arrays`);
  const table = await page.evaluate(() => {
    const { size, array } = (window as unknown as ArrayPage).table;
    return { size: Array.from(size), array: Array.from(array), name: array.constructor.name };
  });
  expect(table).toEqual({ size: [2, 3], array: [1, 2, 3, 4, 5, 6], name: "Float32Array" });
});
