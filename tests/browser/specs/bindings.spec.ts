import { expect, open, test } from "../support/test.ts";

test("every kind of form control sets its observable", async ({ page, server }) => {
  await open(page, `${server.url}/controls`);
  const value = (name: string) => page.locator(`#${name}-value`);

  await page.locator("#text").fill("Grüße 🦀");
  await expect(value("text")).toHaveText("Grüße 🦀");
  await page.locator("#amount").fill("-2.25");
  await expect(value("amount")).toHaveText("Some(-2.25)");
  await page.locator("#amount").fill("");
  await expect(value("amount")).toHaveText("None");
  await page.locator("#level").fill("77");
  await expect(value("level")).toHaveText("77");
  await page.locator("#flag").uncheck();
  await expect(value("flag")).toHaveText("false");
  await page.locator("#choice").selectOption("a");
  await expect(value("choice")).toHaveText("a");
  await page.locator("#count").selectOption("1");
  await expect(value("count")).toHaveText("1");
  await page.locator("#several").selectOption(["x", "y"]);
  await expect(value("several")).toHaveText("x+y");
  await page.locator("#blue").check();
  await expect(value("colour")).toHaveText("blue");
});

test("controls show the values that they start with", async ({ page, server }) => {
  await open(page, `${server.url}/controls`);
  await expect(page.locator("#choice")).toHaveValue("b");
  await expect(page.locator("#count")).toHaveValue("2");
  await expect(page.locator("#several")).toHaveValues(["x"]);
  await expect(page.locator("#red")).toBeChecked();
  await expect(page.locator("#level")).toHaveValue("0");
});

test("what Rust sets shows in the control", async ({ page, server }) => {
  const session = await open(page, `${server.url}/controls`);
  await server.setText(session, "from Rust");
  await server.setLevel(session, 33);
  await expect(page.locator("#text")).toHaveValue("from Rust");
  await expect(page.locator("#level")).toHaveValue("33");
});

test("a number that the control cannot make is refused, and the page lives on", async ({ page, server }) => {
  const session = await open(page, `${server.url}/numbers`);
  await page.evaluate(() => (window as unknown as { say(n: unknown): void }).say("not a number"));
  await page.evaluate(() => (window as unknown as { say(n: unknown): void }).say(5));
  await expect.poll(async () => (await server.session(session)).numbers).toEqual([5]);
  expect((await server.session(session)).status).toBe("Open");
});

test("attributes follow, and go away", async ({ page, server }) => {
  const session = await open(page, `${server.url}/attributes`);
  const [bar, next] = [page.locator("#bar"), page.locator("#next")];
  await expect(bar).toHaveAttribute("value", "0");
  await expect(next).toBeDisabled();
  await expect(next).not.toHaveAttribute("aria-label");
  await server.setLevel(session, 40);
  await expect(bar).toHaveAttribute("value", "40");
  await expect(next).toHaveAttribute("aria-label", "40 of 100");
  await expect(next).toBeDisabled();
  await server.setLevel(session, 100);
  await expect(next).toBeEnabled();
  await server.setLevel(session, 0);
  await expect(next).toBeDisabled();
  await expect(next).not.toHaveAttribute("aria-label");
});
