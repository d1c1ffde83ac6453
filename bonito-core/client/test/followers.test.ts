import { afterEach, beforeEach, expect, it } from "vitest";
import { openPage } from "./support/page.ts";
import { bytes, code, envelope, evaluate, key, observable, swap, track, update } from "./support/server.ts";

const on = (name: string, more = "") => ({ msg_type: "1", obs: key("o"), payload: code(`return () => { ran.push('${name}') ${more} }`) });
const onInScript = (name: string) => evaluate(`__lookup_interpolated('o').on(() => { ran.push('${name}') })`, { o: key("o") });

let ran: string[];
beforeEach(() => void (ran = (window as any).ran = []));
afterEach(() => void delete (window as any).ran);

/** A page that follows one observable, and runs more of it for a sub session. */
async function started() {
  const page = openPage(`<div data-jscall-id="slot"></div>`);
  page.connect(false, false);
  await page.api.init_session("root", bytes(envelope("root", "root", [observable("o", 0)], [on("root")])), "root");
  const set = (value: unknown) => {
    ran.length = 0;
    page.receive(update("o", value));
    return ran;
  };
  const sub = (id: string, messages: unknown[]) => page.api.init_session(id, bytes(envelope(id, "sub", [track("o")], messages)), "sub");
  return { ...page, set, sub };
}

it("of a sub session go with it, whatever else holds what they follow", async () => {
  const page = await started();
  await page.sub("one", [on("one"), onInScript("one too")]);
  await page.sub("two", [on("two")]);
  expect(page.set(1)).toEqual(["root", "one", "one too", "two"]);
  await page.api.free_session("one");
  expect(page.set(2)).toEqual(["root", "two"]);
});

it("of a sub session that was swapped in go with it", async () => {
  const page = await started();
  for (let n = 0; n < 5; n++) {
    page.receive(swap(`s${n}`, "slot", { messages: [on(`s${n}`)] }, [track("o")]));
    await expect.poll(() => page.api.Sessions.SESSIONS[`s${n}`]?.[1]).toBe("delete");
    if (n > 0) await page.api.free_session(`s${n - 1}`);
  }
  expect(page.set(1)).toEqual(["root", "s4"]);
});

it("that one function is to two sessions go one at a time", async () => {
  const page = await started();
  await page.sub("one", [evaluate("window.mine = () => { ran.push('mine') }")]);
  const both = evaluate("__lookup_interpolated('o').on(window.mine)", { o: key("o") });
  await page.sub("two", [both]);
  await page.sub("three", [both]);
  await page.api.free_session("three");
  expect(page.set(1)).toEqual(["root", "mine"]);
  await page.api.free_session("two");
  expect(page.set(2)).toEqual(["root"]);
  delete (window as any).mine;
});

it("of a session that was started a second time all go", async () => {
  const page = await started();
  await page.sub("one", [on("one")]);
  await page.sub("one", [on("again")]);
  expect(page.set(1)).toEqual(["root", "one", "again"]);
  await page.api.free_session("one");
  expect(page.set(2)).toEqual(["root"]);
});

it("that come when nothing starts belong to nobody", async () => {
  const page = await started();
  await page.sub("one", [evaluate("throw new Error('in its start')")]);
  page.receive(on("later"));
  await page.api.free_session("one");
  expect(page.set(1)).toEqual(["root", "later"]);
});

it("of a session that was freed before it started are not made", async () => {
  const page = await started();
  await page.sub("one", []);
  await page.api.free_session("one");
  page.sent();
  page.receive(swap("one", "slot", { messages: [on("one")] }, [track("o")]));
  await expect.poll(page.sent).toMatchObject([{ msg_type: "8", exception: expect.stringContaining("deleted") }]);
  expect(page.set(1)).toEqual(["root"]);
});
