import { setTimeout as pause } from "node:timers/promises";
import type { Page } from "@playwright/test";
import { breakWebSocket } from "../support/breaks.ts";
import { expectDelivered, expectRising, impatient, offerNothing } from "../support/delivery.ts";
import { Random } from "../support/random.ts";
import { expect, expectConnection, open, test } from "../support/test.ts";

interface ChaosPage {
  seen: { numbers: number[]; levels: number[] };
  flow(from: number, to: number, ms: number): Promise<void>;
}

const CUTS = 200;
const MESSAGES = 10_000;
/** Sent when all is well again. */
const UNBROKEN = 100;
/** How long the messages of one cut take to be sent; the cut is somewhere within. */
const ROUND_MS = 80;

const seenBy = (page: Page) => page.evaluate(() => (window as unknown as ChaosPage).seen);
const flow = (page: Page, from: number, to: number, ms: number) =>
  page.evaluate(([from, to, ms]) => (window as unknown as ChaosPage).flow(from, to, ms), [from, to, ms] as const);

// Sockets that break one end at a time look like two pages that take the session from each other.
test.use({ serverOptions: { takeoverMs: 0 } });

const promises = { resume: "all arrive once and in order", plain: "without resuming, none arrives twice or out of order" } as const;
for (const delivery of ["resume", "plain"] as const) {
  const promise = promises[delivery];

  const tag = delivery === "plain" ? ["@once"] : [];
  test(`${CUTS} cuts while both sides send ${MESSAGES} messages: ${promise}`, { tag }, async ({ page, server, relay, problems }, testInfo) => {
    test.setTimeout(240_000);
    problems.expectLostConnections();
    const random = Random.of(testInfo);
    await impatient(page);
    if (delivery === "plain") await offerNothing(page);
    const session = await open(page, `${relay.url}/chaos`);
    const both = (from: number, to: number) =>
      Promise.all([flow(page, from, to, ROUND_MS), server.flow(session, from, to, ROUND_MS)]);

    const began = performance.now();
    const broken: Record<string, number> = {};
    const each = (MESSAGES - UNBROKEN) / CUTS;
    for (let cut = 0; cut < CUTS; cut++) {
      const sent = both(Math.round(cut * each) + 1, Math.round((cut + 1) * each));
      await pause(random.below(ROUND_MS));
      const kind = await breakWebSocket(relay, random);
      broken[kind] = (broken[kind] ?? 0) + 1;
      await sent;
    }
    await relay.webSocket();
    await expectConnection(page, "connected");
    await both(MESSAGES - UNBROKEN + 1, MESSAGES);
    await expect.poll(async () => (await seenBy(page)).numbers.at(-1)).toBe(MESSAGES);
    await expect.poll(async () => (await server.session(session)).numbers.at(-1)).toBe(MESSAGES);
    const took = performance.now() - began;

    const here = await seenBy(page);
    const there = await server.session(session);
    const story = {
      seconds: Math.round(took / 100) / 10,
      webSockets: relay.webSockets,
      lost: { here: MESSAGES - here.numbers.length, there: MESSAGES - there.numbers.length },
      broken,
    };
    testInfo.annotations.push({ type: "chaos", description: JSON.stringify(story) });
    console.log(`${delivery}: ${JSON.stringify(story)}`);

    expect(there, "it is the same session all the time").toMatchObject({ status: "Open", opened: 1 });
    expect(there.reopened, "and has been lost and found again").toBeGreaterThan(CUTS / 2);
    expectDelivered(delivery, here.numbers, MESSAGES, UNBROKEN, "from Rust to the page");
    expectDelivered(delivery, there.numbers, MESSAGES, UNBROKEN, "from the page to Rust");
    // Or the cuts meet nothing that is under way, and what is promised about them proves nothing.
    if (delivery === "plain") expect(Math.min(story.lost.here, story.lost.there)).toBeGreaterThan(0);
    expectRising(here.levels, "values from Rust");
    expectRising(there.dials, "values from the page");
    expect([here.levels.at(-1), there.dials.at(-1)], "observables end at their last values").toEqual([MESSAGES, MESSAGES]);
    await expect.poll(() => server.stats(), "nothing is left of all those sockets").toMatchObject({
      sessions: 1,
      open: 1,
      sockets: 1,
      queued_bytes: 0,
    });
  });
}
