import type { Page } from "@playwright/test";
import { expect, expectConnection, open, sessionOf, test } from "../support/test.ts";

const TEXTS = [
  "</script><script>window.pwned = 1</script>",
  '"><img src=x onerror="window.pwned = 1">',
  "'><svg onload='window.pwned = 1'>",
  "</title></textarea></style><img src=x onerror=window.pwned=1>",
  "${window.pwned = 1}`;window.pwned = 1//\u2028window.pwned = 1",
  "<!--<script>\\u0022;window.pwned = 1;//",
];

interface HostilePage {
  texts: string[];
  values: string[];
  polluting: unknown;
  pwned?: unknown;
}

async function expectUnharmed(page: Page): Promise<void> {
  const harm = await page.evaluate(() => ({
    pwned: (window as unknown as HostilePage).pwned,
    inherited: ({} as { pwned?: unknown }).pwned,
    elements: document.querySelectorAll("img, svg, iframe").length,
  }));
  expect(harm).toEqual({ pwned: undefined, inherited: undefined, elements: 0 });
}

test("no text of a user becomes markup or code in the first paint or in scripts", { tag: "@once" }, async ({ page, server }) => {
  await open(page, `${server.url}/hostile`);
  await expect(page).toHaveTitle(TEXTS[3] ?? "");
  await expect(page.locator(".text")).toHaveText(TEXTS, { useInnerText: false });
  expect(await page.locator(".title").evaluateAll((all) => all.map((at) => at.getAttribute("title")))).toEqual(TEXTS);
  expect(await page.locator(".value").evaluateAll((all) => all.map((at) => (at as HTMLInputElement).value))).toEqual(TEXTS);
  const { texts, values } = await page.evaluate(() => {
    const { texts, values } = window as unknown as HostilePage;
    return { texts, values };
  });
  expect(texts).toEqual(TEXTS);
  expect(values).toEqual(TEXTS);
  await expectUnharmed(page);
});

test("an address that would run code is blocked", { tag: "@once" }, async ({ page, server }) => {
  const session = await open(page, `${server.url}/hostile`);
  const addresses = () => page.locator(".address").evaluateAll((all) => all.map((at) => at.getAttribute("href")));
  expect(await addresses()).toEqual(Array(4).fill("about:blank#blocked"));
  const later = page.locator("#later-address");
  for (const address of ["javascript:window.pwned=1", "\u0001 java\tscript:window.pwned=1", "DATA:text/html,x"]) {
    await server.setText(session, address);
    await expect(page.locator("#later-text")).toHaveText(address, { useInnerText: false });
    await expect(later).toHaveAttribute("href", "about:blank#blocked");
    await server.setText(session, "/fine");
    await expect(later).toHaveAttribute("href", "/fine");
  }
  await expectUnharmed(page);
});

test("no text of a user becomes markup or code when it comes later", { tag: "@once" }, async ({ page, server }) => {
  const session = await open(page, `${server.url}/hostile`);
  for (const text of TEXTS) {
    await server.setText(session, text);
    await expect(page.locator("#later-text")).toHaveText(text, { useInnerText: false });
    await expect(page.locator("#later-title")).toHaveAttribute("title", text);
    await expect(page.locator("#later-value")).toHaveValue(text);
  }
  await expectUnharmed(page);
});

test("what a user types goes to Rust and back as text", { tag: "@once" }, async ({ page, server }) => {
  const session = await open(page, `${server.url}/hostile`);
  for (const text of TEXTS.slice(0, 4)) {
    await page.locator("#later-value").fill(text);
    await expect.poll(async () => (await server.session(session)).text).toBe(text);
    await expect(page.locator("#later-text")).toHaveText(text, { useInnerText: false });
  }
  await expectUnharmed(page);
});

test("a map that would change all objects does not arrive", { tag: "@once" }, async ({ page, server }) => {
  await open(page, `${server.url}/hostile`);
  expect(await page.evaluate(() => (window as unknown as HostilePage).polluting)).toBe("nothing");
  await expectUnharmed(page);
});

test("a page works under the policy that the documentation recommends", async ({ page, server, problems }) => {
  // The page's own script without a nonce is there to see the policy at work.
  problems.expect(/inline script violates the following Content Security Policy directive/);
  await open(page, `${server.url}/strict`);
  await page.locator("#increment").click();
  await expect(page.locator("#count")).toHaveText("1");
  expect(problems.all).toHaveLength(1);
  await expectUnharmed(page);
  await server.close(await sessionOf(page));
  await expectConnection(page, "gone");
  await expect(page.locator("bonito-connection [part=button]"), "the indicator needs no inline style").toBeVisible();
  expect(problems.all).toHaveLength(1);
});

test("a page of another origin cannot open the socket", async ({ page, server, relay, problems }) => {
  problems.expect(/WebSocket connection to '.*' failed/);
  const session = await open(page, `${server.url}/plain`);
  // The same host under another port is another origin.
  const foreign = await page.context().newPage();
  await open(foreign, `${relay.url}/plain`);
  const outcome = await foreign.evaluate(
    (url) =>
      new Promise<string>((resolve) => {
        const socket = new WebSocket(url);
        socket.onopen = () => resolve("open");
        socket.onerror = () => resolve("refused");
      }),
    `${server.url.replace("http", "ws")}/live/${session}`,
  );
  expect(outcome).toBe("refused");
  await expectConnection(page, "connected");
  expect(await server.stats()).toMatchObject({ sessions: 2, sockets: 2 });
});
