import { expect, open, test } from "../support/test.ts";

test("an expression gives its value to Rust", { tag: "@once" }, async ({ page, server }) => {
  const session = await open(page, `${server.url}/plain`);
  expect(await server.evaluate(session, "6 * 7", { as: "number" })).toEqual({ value: 42 });
  expect(await server.evaluate(session, "document.title", { as: "text" })).toEqual({ value: "Plain" });
  expect(await server.evaluate(session, "({ a: [1, 'two', null], b: { c: true } })")).toEqual({
    value: { a: [1, "two", null], b: { c: true } },
  });
});

test("statements give what they return", { tag: "@once" }, async ({ page, server }) => {
  const session = await open(page, `${server.url}/plain`);
  expect(await server.evaluate(session, "const a = 20; const b = 22; return a + b", { as: "number" })).toEqual({ value: 42 });
});

test("a promise is awaited in the page", { tag: "@once" }, async ({ page, server }) => {
  const session = await open(page, `${server.url}/plain`);
  expect(await server.evaluate(session, "new Promise((resolve) => setTimeout(resolve, 1, 'late'))", { as: "text" })).toEqual({
    value: "late",
  });
});

test("what a script throws comes back as an error", { tag: "@once" }, async ({ page, server }) => {
  const session = await open(page, `${server.url}/plain`);
  const thrown = await server.evaluate(session, "null.nothing");
  expect(thrown.error?.exception).toContain("TypeError");
  const rejected = await server.evaluate(session, "Promise.reject(new Error('no'))");
  expect(rejected.error?.exception).toBe("Error: no");
  const nonsense = await server.evaluate(session, "this is no JavaScript");
  expect(nonsense.error?.exception).toContain("SyntaxError");
});

test("a value of another type is an error, and so is none in time", { tag: "@once" }, async ({ page, server }) => {
  const session = await open(page, `${server.url}/plain`);
  expect((await server.evaluate(session, "'text'", { as: "number" })).error).toMatchObject({ wrong_type: true });
  expect((await server.evaluate(session, "new Promise(() => {})", { within_ms: 100 })).error).toMatchObject({ timeout: true });
});

test("a script for a page that goes away says so", async ({ page, server }) => {
  const session = await open(page, `${server.url}/plain`);
  const answer = server.evaluate(session, "window.asked = true, new Promise(() => {})");
  await page.waitForFunction(() => "asked" in window);
  await server.close(session);
  expect((await answer).error).toMatchObject({ closed: true });
});

test("results leave nothing behind on the server", { tag: "@once" }, async ({ page, server }) => {
  const session = await open(page, `${server.url}/plain`);
  const { bindings } = await server.session(session);
  for (let n = 0; n < 20; n++) expect(await server.evaluate(session, String(n), { as: "number" })).toEqual({ value: n });
  expect((await server.session(session)).bindings).toBe(bindings);
});

test("scripts run once each, in order", async ({ page, server }) => {
  const session = await open(page, `${server.url}/numbers`);
  await server.sendNumbers(session, 1, 500);
  const numbers = () => page.evaluate(() => (window as unknown as { numbers: number[] }).numbers);
  await expect.poll(async () => (await numbers()).length).toBe(500);
  expect(await numbers()).toEqual(Array.from({ length: 500 }, (_, n) => n + 1));
});
