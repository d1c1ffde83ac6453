import { expect, open, test } from "../support/test.ts";

interface Shared<T> {
  value: T;
  notify(value: T): void;
}

interface ValuesPage {
  when: Shared<Date>;
  nested: number;
  source: Shared<number[]>;
  target: Shared<number[]>;
  changes: number;
  pairs: number[][];
  pwned?: number;
}

test("nodes and HTML from Rust are elements, and texts in them stay texts", async ({ page, server }) => {
  await open(page, `${server.url}/values`);
  const node = page.locator("#nodes > #node");
  await expect(node).toHaveClass("made in Rust");
  await expect(node).toHaveText('<img src=x onerror="window.pwned = 1">42');
  await expect(node).toHaveAttribute("title", '<img src=x onerror="window.pwned = 1">');
  await expect(node).not.toHaveAttribute("hidden");
  await expect(node.locator("b")).toHaveText("42");
  await expect(page.locator("#nodes > div > #raw")).toHaveText("raw");
  const drawn = await page.locator("#drawing circle").evaluate((circle) => circle instanceof SVGCircleElement);
  expect(drawn).toBe(true);

  await page.locator("#text").fill("<b>later</b>");
  await expect(page.locator("#place > #live")).toHaveText("<b>later</b>");
  expect(await page.evaluate(() => (window as unknown as ValuesPage).pwned)).toBeUndefined();
});

test("a date is a date on both sides, and a script in a script is a function", async ({ page, server }) => {
  await open(page, `${server.url}/values`);
  const came = await page.evaluate(() => {
    const { when, nested } = window as unknown as ValuesPage;
    const millis = when.value instanceof Date && when.value.getTime();
    when.notify(new Date(-1));
    return { millis, nested };
  });
  expect(came).toEqual({ millis: 1500, nested: 42 });
  await expect(page.locator("#heard span")).toHaveText("-1");
});

test("linked observables follow each other there and then, and nothing goes round for ever", async ({ page, server }) => {
  await open(page, `${server.url}/values`);
  const there = await page.evaluate(() => {
    const { source, target } = window as unknown as ValuesPage;
    source.notify([1]);
    const first = target.value[0];
    target.notify([2]);
    return [first, source.value[0]];
  });
  expect(there).toEqual([1, 2]);
  await expect(page.locator("#both span")).toHaveText("2 2");

  // Whatever was on its way has been answered after two more rounds.
  for (let round = 3; round < 5; round++) {
    await page.evaluate((round) => (window as unknown as ValuesPage).source.notify([round]), round);
    await expect(page.locator("#both span")).toHaveText(`${round} ${round}`);
  }
  const { changes, last } = await page.evaluate(() => {
    const { changes, pairs } = window as unknown as ValuesPage;
    return { changes, last: pairs.at(-1) };
  });
  expect(last).toEqual([4, 4]);
  expect(changes, "each of four changes comes from the page, and from Rust by one link and by the other").toBeLessThanOrEqual(16);
});
