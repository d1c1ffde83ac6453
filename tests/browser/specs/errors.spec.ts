import { expect, open, test } from "../support/test.ts";

test("an error in a listener of the page reaches Rust with message and stack", { tag: "@once" }, async ({ page, server, problems }) => {
  problems.expect(/RangeError: level 99 is too hot/, /Error during running onjs callback/);
  const session = await open(page, `${server.url}/errors`);
  await server.setLevel(session, 99);
  await expect.poll(async () => (await server.session(session)).errors).toHaveLength(1);
  const [error] = (await server.session(session)).errors;
  expect(error?.message).toContain("Error during running onjs callback");
  expect(error?.exception).toBe("RangeError: level 99 is too hot");
  expect(error?.stacktrace).toContain("boil");
  await expect(page.locator("#after"), "the next listener runs all the same").toHaveText("99");
  expect((await server.session(session)).status).toBe("Open");
});

test("a script that throws reaches Rust, and the ones behind it run", { tag: "@once" }, async ({ page, server, problems }) => {
  problems.expect(/console: .*(Error while processing message|TypeError)/);
  const session = await open(page, `${server.url}/numbers`);
  await server.run(session, "function brew() { undefined.nothing } brew()");
  await server.sendNumbers(session, 1, 3);
  await expect.poll(async () => (await server.session(session)).errors).toHaveLength(1);
  const [error] = (await server.session(session)).errors;
  expect(error?.exception).toContain("TypeError");
  expect(error?.stacktrace).toContain("brew");
  await expect.poll(() => page.evaluate(() => (window as unknown as { numbers: number[] }).numbers)).toEqual([1, 2, 3]);
});

test("a script that does not parse reaches Rust, and the ones behind it run", { tag: "@once" }, async ({ page, server, problems }) => {
  problems.expect(/console: .*SyntaxError/);
  const session = await open(page, `${server.url}/numbers`);
  await server.run(session, "this is no JavaScript");
  await server.sendNumbers(session, 1, 3);
  await expect.poll(async () => (await server.session(session)).errors).toHaveLength(1);
  expect((await server.session(session)).errors[0]?.exception).toContain("SyntaxError");
  await expect.poll(() => page.evaluate(() => (window as unknown as { numbers: number[] }).numbers)).toEqual([1, 2, 3]);
});

test("a promise that a script or a listener returns and that rejects reaches Rust", { tag: "@once" }, async ({ page, server, problems }) => {
  problems.expect(/console: .*Error: at /);
  const session = await open(page, `${server.url}/later`);
  const exceptions = async () => (await server.session(session)).errors.map(({ exception }) => exception);
  await expect.poll(exceptions).toEqual(["Error: at the start"]);
  await server.setLevel(session, 1, 2);
  await expect.poll(exceptions).toEqual(["Error: at the start", "Error: at level 1", "Error: at level 2"]);
});

test("a value that is too long to be sent is reported, and the next one is sent", { tag: "@once" }, async ({ page, server, problems }) => {
  problems.expect(/console: .*(Error: at the start|MessageTooLong)/);
  const session = await open(page, `${server.url}/later`);
  for (const id of ["typed", "field"]) {
    await page.locator(`#${id}`).evaluate((input: HTMLInputElement) => {
      for (const text of ["x".repeat(2 ** 20), "short"]) {
        input.value = text;
        input.dispatchEvent(new Event("input"));
      }
    });
  }
  const reports = async () => (await server.session(session)).errors.slice(1).map(({ message }) => message);
  await expect.poll(reports).toEqual(["A value was not sent", "A value was not sent"]);
  expect((await server.session(session)).errors[1]?.exception).toContain("MessageTooLong");
  await expect.poll(async () => (await server.session(session)).text).toBe("short");
});

test("what is thrown need not be an error", { tag: "@once" }, async ({ page, server, problems }) => {
  problems.expect(/console: .*a mere text/);
  const session = await open(page, `${server.url}/plain`);
  await server.run(session, "throw 'a mere text'");
  await expect.poll(async () => (await server.session(session)).errors).toHaveLength(1);
  expect((await server.session(session)).errors[0]?.exception).toContain("a mere text");
});

test("page code can report to Rust by itself", { tag: "@once" }, async ({ page, server, problems }) => {
  problems.expect(/console: .*while pouring/);
  const session = await open(page, `${server.url}/plain`);
  await page.evaluate(() => {
    const { Bonito } = window as unknown as { Bonito: { send_error(text: string, error: Error): void; send_warning(text: string): void } };
    Bonito.send_error("while pouring", new Error("spilt"));
    Bonito.send_warning("nearly empty");
  });
  await expect.poll(() => server.session(session)).toMatchObject({
    errors: [{ message: "while pouring", exception: "Error: spilt" }],
    warnings: ["nearly empty"],
  });
});

test("an error while the line is cut arrives when it is back", async ({ page, server, relay, problems }) => {
  problems.expect(/console: .*in the dark/);
  problems.expectLostConnections();
  const session = await open(page, `${relay.url}/plain`);
  relay.refuse();
  await expect(page.locator("html")).toHaveAttribute("data-bonito-connection", "connecting");
  await page.evaluate(() => {
    const { Bonito } = window as unknown as { Bonito: { send_error(text: string, error: Error): void } };
    Bonito.send_error("in the dark", new Error("no light"));
  });
  relay.heal();
  await expect.poll(async () => (await server.session(session)).errors).toHaveLength(1);
});
