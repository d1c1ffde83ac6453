import type { Page } from "@playwright/test";
import { expect, expectConnection, open, test } from "../support/test.ts";

const panel = (page: Page, part: string) => page.locator(`bonito-faults [part=${part}]`);

/** The page and its session still have each other. */
async function expectAlive(page: Page, before: number): Promise<void> {
  await page.locator("#increment").click();
  await expect(page.locator("#count")).toHaveText(String(before + 1));
}

test("the button drop loses the connection, and the page comes back", async ({ page, server }) => {
  const session = await open(page, `${server.url}/faults`);
  await expect(panel(page, "state")).toHaveText("connected");
  await expectAlive(page, 0);
  await panel(page, "drop").click();
  await expect.poll(() => server.session(session)).toMatchObject({ opened: 1, reopened: 1, soft_closed: 1 });
  await expectConnection(page, "connected");
  await expectAlive(page, 1);
});

test("the button half-open says nothing to anybody, and the page finds out by itself", async ({ page, server, problems }) => {
  // The clock is ahead of the network: attempts to connect may seem to take too long.
  problems.expectLostConnections();
  await page.clock.install();
  const session = await open(page, `${server.url}/faults`);
  await page.clock.runFor(6_000);
  await panel(page, "half-open").click();
  await page.locator("#increment").click();
  await page.clock.runFor(5_000);
  await expectConnection(page, "connected");
  await expect(page.locator("#count"), "the click went nowhere so far").toHaveText("0");
  expect(await server.session(session), "the server has not heard of it").toMatchObject({ opened: 1, soft_closed: 0 });
  const back = async () => {
    await page.clock.runFor(1_000);
    return server.session(session);
  };
  await expect.poll(back, { timeout: 20_000, intervals: [50] }).toMatchObject({ opened: 1, reopened: 1 });
  await expectConnection(page, "connected");
  await expect(page.locator("#count"), "the click was not lost: it came again").toHaveText("1");
  await expectAlive(page, 1);
});

test("the button latency delays what the page says and hears, in its order", async ({ page, server }) => {
  await open(page, `${server.url}/faults`);
  await panel(page, "latency").click();
  await expect(panel(page, "latency")).toHaveText("Latency: 250 ms");
  await expect(panel(page, "latency")).toHaveAttribute("aria-pressed", "true");
  const took = await page.evaluate(async () => {
    const [count, button] = ["count", "increment"].map((id) => document.getElementById(id) as HTMLElement) as [HTMLElement, HTMLElement];
    const began = performance.now();
    const seen: string[] = [];
    const done = new Promise<number>((resolve) => {
      new MutationObserver(() => {
        seen.push(count.textContent ?? "");
        if (count.textContent === "20") resolve(performance.now() - began);
      }).observe(count, { childList: true, subtree: true, characterData: true });
    });
    for (let n = 0; n < 20; n++) button.click();
    return { ms: await done, seen: seen.map(Number) };
  });
  expect(took.ms, "there and back").toBeGreaterThan(2 * 250 * 0.75);
  expect(took.seen).toEqual([...took.seen].sort((a, b) => a - b));
  await panel(page, "latency").click();
  await panel(page, "latency").click();
  await expect(panel(page, "latency")).toHaveText("Latency: off");
  await expect(panel(page, "latency")).toHaveAttribute("aria-pressed", "false");
  await expectAlive(page, 20);
});

test("the button restart cuts the connections of all pages, which come back", async ({ context, server, problems }) => {
  problems.expectLostConnections();
  const tabs = await Promise.all([1, 2, 3].map(() => context.newPage()));
  const sessions = await Promise.all(tabs.map((tab) => open(tab, `${server.url}/faults`)));
  await panel(tabs[0] as Page, "restart").click();
  for (const [at, tab] of tabs.entries()) {
    await expect.poll(() => server.session(sessions[at] ?? "")).toMatchObject({ opened: 1, reopened: 1 });
    await expectConnection(tab, "connected");
    await expectAlive(tab, 0);
  }
});

for (const colorScheme of ["light", "dark"] as const) {
  test(`the panel is readable and reachable by keyboard, ${colorScheme}`, async ({ page, server }, testInfo) => {
    await page.emulateMedia({ colorScheme });
    await open(page, `${server.url}/faults`);
    await panel(page, "latency").click();
    await expect(panel(page, "panel")).toBeVisible();
    await page.screenshot({ path: testInfo.outputPath(`faults-${colorScheme}.png`) });
    for (const name of ["drop", "half-open", "latency", "restart"]) {
      const contrast = await panel(page, name).evaluate(contrastOf);
      expect(contrast, name).toBeGreaterThan(4.5);
      await panel(page, name).focus();
      await expect(panel(page, name)).toBeFocused();
    }
    await panel(page, "title").focus();
    await page.keyboard.press("Enter");
    await expect(panel(page, "drop")).toBeHidden();
  });
}

/** WCAG's ratio between an element's text and its ground. */
function contrastOf(element: Element): number {
  const luminance = (color: string) => {
    const [r = 0, g = 0, b = 0] = (color.match(/[\d.]+/g) ?? []).map((part) => {
      const value = Number(part) / 255;
      return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const { color, backgroundColor } = getComputedStyle(element);
  const [lighter, darker] = [luminance(color), luminance(backgroundColor)].sort((a, b) => b - a) as [number, number];
  return (lighter + 0.05) / (darker + 0.05);
}
