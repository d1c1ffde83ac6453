import type { Page } from "@playwright/test";
import { Broker } from "../support/broker.ts";
import { Process } from "../support/process.ts";
import { Relay } from "../support/relay.ts";
import { expect, test as fixtures } from "../support/test.ts";

const binary = process.env["CHAT"] ?? "";
/** The shortest lease that a registry takes is one second; a slow machine keeps two. */
const LEASE_S = 2;

interface Fixtures {
  /** The chat as it is, a process for each test. */
  chat: string;
  /** Somebody with a browser of their own, logged in and in the lobby. */
  enter(url: string, name: string): Promise<Page>;
}

const test = fixtures.extend<Fixtures>({
  chat: async ({ problems }, use) => {
    const { process, url } = await Process.start(binary, ["--port", "0"]);
    await use(url);
    await problems.closePages();
    await process.stop();
  },

  enter: async ({ browser, problems }, use) => {
    const left: (() => Promise<void>)[] = [];
    await use(async (url, name) => {
      const context = await browser.newContext();
      left.push(() => context.close());
      problems.watch(context);
      const page = await context.newPage();
      await logIn(page, url, name);
      await expectOnline(page);
      return page;
    });
    await problems.closePages();
    for (const close of left) await close();
  },
});

async function logIn(page: Page, url: string, name: string, password = "bonito"): Promise<void> {
  await page.goto(url);
  await page.getByLabel("Name").fill(name);
  await page.getByLabel("Password").fill(password);
  await page.getByRole("button", { name: "Log in" }).click();
}

async function expectOnline(page: Page): Promise<void> {
  await expect(page.getByRole("status")).toHaveText("online");
  await expect(page.getByLabel("Message", { exact: true })).toBeEnabled();
}

async function say(page: Page, text: string): Promise<void> {
  await page.getByLabel("Message", { exact: true }).fill(text);
  await page.keyboard.press("Enter");
}

/** Writes to one person until "to everybody". */
async function address(page: Page, name: string): Promise<void> {
  await page.getByTitle(`Write to ${name} only`).click();
  await expect(page.locator("#to")).toHaveText(`To ${name} only to everybody`);
}

/** What was said, as the page shows it. */
const lines = (page: Page) => page.locator("#lines .bubble");
const notes = (page: Page) => page.locator("#lines .note");
/** Who is there, without their faces. */
const people = (page: Page) =>
  page.locator("#people .person").evaluateAll((all) => all.map((at) => at.lastChild?.textContent));

async function expectPeople(page: Page, names: string[], timeout = 10_000): Promise<void> {
  await expect.poll(() => people(page), { timeout }).toEqual(names);
  await expect(page.locator("#count")).toHaveText(String(names.length));
}

test("who is not logged in is sent to the login, and is refused by the socket", async ({ page, chat, problems }) => {
  await page.goto(`${chat}/rooms/garden`);
  await expect(page).toHaveURL(`${chat}/login`);
  // Chromium's words for a 401.
  const refused = /^console: WebSocket connection to '.*' failed: HTTP Authentication failed/;
  problems.expect(refused, /^console: Failed to load resource: .* 403/);
  const outcome = await page.evaluate(
    () =>
      new Promise((resolve) => {
        const socket = new WebSocket(`${location.origin.replace(/^http/, "ws")}/live/rooms/lobby`);
        socket.onopen = () => resolve("open");
        socket.onclose = () => resolve("refused");
      }),
  );
  expect(outcome).toBe("refused");
  await expect.poll(() => problems.all.filter((problem) => refused.test(problem))).toHaveLength(1);

  await logIn(page, chat, "Ada", "guess");
  await expect(page.getByRole("alert")).toHaveText("This name and password do not fit.");
  await logIn(page, chat, "Ada");
  await expectOnline(page);
  await expect(page).toHaveURL(`${chat}/rooms/lobby`);
});

test("a room hears what is said in it, and no other does", async ({ chat, enter }) => {
  const [ada, bob, cyd] = [await enter(chat, "Ada"), await enter(chat, "Bob"), await enter(chat, "Cyd")];
  await cyd.getByRole("link", { name: "garden" }).click();
  await expect(cyd).toHaveTitle("garden · Chat");
  await expectOnline(cyd);

  await say(ada, "<b>hello</b>");
  for (const page of [ada, bob]) await expect(lines(page)).toHaveText(["<b>hello</b>"]);
  await expect(bob.locator(".line .who")).toContainText(["Ada"]);
  await say(bob, "good morning");
  for (const page of [ada, bob]) await expect(lines(page)).toHaveText(["<b>hello</b>", "good morning"]);
  await expect(bob.locator(".line.mine .bubble"), "one's own stands apart").toHaveText(["good morning"]);
  // What the lobby said before would have come before.
  await say(cyd, "anybody?");
  await expect(lines(cyd)).toHaveText(["anybody?"]);
});

test("who is there comes and goes", async ({ chat, enter }) => {
  const ada = await enter(chat, "Ada");
  await expectPeople(ada, ["Ada"]);
  const bob = await enter(chat, "Bob");
  for (const page of [ada, bob]) await expectPeople(page, ["Ada", "Bob"]);
  // In two windows he is there once, and until the last is closed.
  const second = await bob.context().newPage();
  await second.goto(`${chat}/rooms/lobby`);
  await expectOnline(second);
  await expect(notes(second)).toContainText(["You have another window open: direct messages go there."]);
  await bob.close();
  // In order, so whatever that changed has come before.
  await say(second, "still here");
  await expect(lines(ada)).toHaveText(["still here"]);
  await expectPeople(ada, ["Ada", "Bob"]);
  await second.getByRole("link", { name: "kitchen" }).click();
  await expectPeople(ada, ["Ada"]);
  await expectPeople(second, ["Bob"]);
});

test("a direct message is for one, in whatever room", async ({ chat, enter }) => {
  const [ada, bob, cyd] = [await enter(chat, "Ada"), await enter(chat, "Bob"), await enter(chat, "Cyd")];
  await expectPeople(ada, ["Ada", "Bob", "Cyd"]);
  await address(ada, "Bob");
  await bob.getByRole("link", { name: "garden" }).click();
  await expectOnline(bob);
  await expectPeople(ada, ["Ada", "Cyd"]);
  await say(ada, "psst");
  await expect(bob.locator(".line.direct")).toContainText("Ada, to you only");
  await expect(lines(bob)).toHaveText(["psst"]);
  await expect(ada.locator(".line.direct .who")).toContainText("to Bob only");

  await bob.close();
  await expect
    .poll(async () => {
      await say(ada, "gone?");
      return notes(ada).allTextContents();
    })
    .toContain("Bob is not reachable.");
  await ada.getByRole("button", { name: "to everybody" }).click();
  await say(ada, "all");
  await expect(lines(cyd), "and nothing that was not for her").toHaveText(["all"]);
});

test("whoever comes later reads what was said", async ({ chat, enter }) => {
  const ada = await enter(chat, "Ada");
  await expect(notes(ada)).toHaveText(["Nothing has been said here yet."]);
  const said = ["first", "two\nlines", "third"];
  for (const [n, text] of said.entries()) {
    await say(ada, text);
    await expect(lines(ada)).toHaveCount(n + 1);
    await expect(notes(ada)).toHaveCount(0);
  }
  const bob = await enter(chat, "Bob");
  await expect(lines(bob)).toHaveText(said, { useInnerText: true });
  await expect(notes(bob)).toHaveCount(0);
  await ada.reload();
  await expectOnline(ada);
  await expect(ada.locator(".line.mine")).toHaveCount(3);
});

test("a lost line is shown, and the chat comes back with what was missed", async ({ chat, enter, problems }) => {
  problems.expectLostConnections();
  const relay = await Relay.start(Number(new URL(chat).port));
  const [ada, bob] = [await enter(chat, "Ada"), await enter(relay.url, "Bob")];
  await expectPeople(ada, ["Ada", "Bob"]);
  relay.refuse();
  await expect(bob.getByRole("status")).toHaveText("offline, trying again");
  await expect(bob.getByLabel("Message", { exact: true })).toBeDisabled();
  await expectPeople(ada, ["Ada"]);
  await say(ada, "he cannot hear that");
  await expect(lines(ada)).toHaveCount(1);
  relay.heal();
  await expectOnline(bob);
  await expect(lines(bob)).toHaveText(["he cannot hear that"]);
  await expectPeople(ada, ["Ada", "Bob"]);
  // His name is his again.
  await address(ada, "Bob");
  await say(ada, "welcome back");
  await expect(lines(bob)).toHaveText(["he cannot hear that", "welcome back"]);
  await bob.close();
  await relay.stop();
});

test("a window does not outlive its login, and need not say anything for that", async ({ chat, enter }) => {
  const ada = await enter(chat, "Ada");
  const second = await ada.context().newPage();
  await second.goto(chat);
  await second.getByRole("button", { name: "Log out" }).click();
  await expect(second).toHaveURL(`${chat}/login`);
  await expect(ada).toHaveURL(`${chat}/login`);
});

for (const scheme of ["light", "dark"] as const) {
  test.describe(() => {
    test.use({ colorScheme: scheme });
    test(`the chat has a ${scheme} side`, async ({ chat, enter }, testInfo) => {
      const [ada, bob] = [await enter(chat, "Ada"), await enter(chat, "Bob")];
      await expectPeople(ada, ["Ada", "Bob"]);
      await say(bob, "Good morning! Who waters the garden today?");
      await say(bob, "I am away until noon.");
      await expect(lines(ada)).toHaveCount(2);
      await say(ada, "I do.");
      await expect(lines(ada)).toHaveCount(3);
      await address(bob, "Ada");
      await say(bob, "Thanks. The key is under the third pot.");
      await expect(lines(ada)).toHaveCount(4);
      const ground = await ada.evaluate(() => getComputedStyle(document.body).backgroundColor);
      expect(ground).toBe(scheme === "dark" ? "rgb(13, 22, 24)" : "rgb(245, 244, 240)");
      for (const [width, height] of [[1280, 720], [390, 844]] as const) {
        await ada.setViewportSize({ width, height });
        const overflow = await ada.evaluate(() => document.documentElement.scrollWidth - innerWidth);
        expect(overflow, "nothing is wider than the window").toBeLessThanOrEqual(0);
        await ada.screenshot({ path: testInfo.outputPath(`chat-${scheme}-${width}.png`) });
      }
    });
  });
}

test.describe("two processes", () => {
  let broker: Broker;
  let started: { process: Process; url: string }[];

  test.beforeEach(async () => {
    broker = await Broker.start();
    const args = ["--nats", broker.url, "--lease", String(LEASE_S), "--port", "0"];
    started = await Promise.all([0, 1].map(() => Process.start(binary, args)));
  });

  test.afterEach(async ({ problems }) => {
    await problems.closePages();
    await Promise.all(started.map(({ process }) => process.stop()));
    await broker.stop();
  });

  const enterBoth = async (enter: Fixtures["enter"]) => {
    const [ada, bob] = [await enter(started[0]?.url ?? "", "Ada"), await enter(started[1]?.url ?? "", "Bob")];
    for (const page of [ada, bob]) await expectPeople(page, ["Ada", "Bob"]);
    return [ada, bob] as const;
  };

  test("people of two processes talk as those of one", async ({ enter, problems }) => {
    problems.expectLostConnections();
    const [ada, bob] = await enterBoth(enter);
    await say(ada, "hello");
    await expect(lines(bob)).toHaveText(["hello"]);
    await say(bob, "hello, too");
    await expect(lines(ada)).toHaveText(["hello", "hello, too"]);
    await address(bob, "Ada");
    await say(bob, "psst");
    await expect(ada.locator(".line.direct")).toContainText("Bob, to you only");
    // A process that is told to stop takes its people along.
    await started[1]?.process.stop();
    await expectPeople(ada, ["Ada"]);
  });

  test("the people of a process that is killed leave within the lease time", async ({ enter, problems }) => {
    problems.expectLostConnections();
    const [ada, bob] = await enterBoth(enter);
    await started[1]?.process.kill();
    const killed = Date.now();
    await expectPeople(ada, ["Ada"]);
    expect(Date.now() - killed, "the lease time, and a moment of a slow machine").toBeLessThan(LEASE_S * 1000 + 1500);
    await expect(bob.getByRole("status")).toHaveText("offline, trying again");
    // The other goes on, and Bob comes back there.
    const again = await enter(started[0]?.url ?? "", "Bob");
    await expectPeople(ada, ["Ada", "Bob"]);
    await say(again, "here I am");
    await expect(lines(ada)).toHaveText(["here I am"]);
  });
});
