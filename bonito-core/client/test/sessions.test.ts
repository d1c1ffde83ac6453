import { afterEach, describe, expect, it, vi } from "vitest";
import { openPage, settle } from "./support/page.ts";
import { bytes, code, dom, envelope, evaluate, html, key, observable, swap, track, update } from "./support/server.ts";

const slot = `<div data-jscall-id="slot">old</div>`;
const done = (session: string) => ({ msg_type: "8", session, message: "", exception: "nothing", stacktrace: "" });
const close = (session: string) => ({ msg_type: "10", session, subsession: "delete" });
const failure = (session: string, exception: string) =>
  expect.objectContaining({ msg_type: "8", session, exception: expect.stringContaining(exception) });

async function started(body = slot) {
  const page = openPage(body);
  page.connect(false, false);
  await page.api.init_session("root", null, "root");
  page.sent();
  const status = (id: string) => page.api.Sessions.SESSIONS[id]?.[1];
  const tracked = (id: string) => [...(page.api.Sessions.SESSIONS[id]?.[0] ?? [])];
  const cached = () => Object.keys(page.api.Sessions.GLOBAL_OBJECT_CACHE);
  return { ...page, status, tracked, cached };
}

afterEach(() => void vi.useRealTimers());

describe("objects", () => {
  it("keep instance and value when their id comes again", async () => {
    const page = await started();
    page.receive(envelope("root", "root", [observable("o", 1)], { msg_type: "11" }));
    const first = page.api.lookup_global_object("o") as any;
    first.notify(2, true);
    page.receive(envelope("sub", "sub", [observable("o", 3)], { msg_type: "11" }));
    expect(page.api.lookup_global_object("o")).toBe(first);
    expect(first.value).toBe(2);
    expect(page.tracked("sub")).toEqual(["o"]);
    expect(page.status("sub")).toBe("sub");
  });

  it("live until the last session that tracks them is freed", async () => {
    const page = await started();
    page.receive(envelope("root", "root", [observable("shared", 1)], { msg_type: "11" }));
    page.receive(envelope("sub", "sub", [observable("own", 1), track("shared")], { msg_type: "11" }));
    await page.api.free_session("sub");
    expect(page.cached()).toEqual(["shared"]);
    await page.api.free_session("root");
    expect(page.cached()).toEqual([]);
  });

  it("go at once when forced, and not before when asked nicely", async () => {
    const page = await started();
    page.receive(envelope("root", "root", [observable("o", 1)], { msg_type: "11" }));
    page.api.free_object("o");
    expect(page.cached()).toEqual(["o"]);
    page.api.force_free_object("o");
    expect(page.cached()).toEqual([]);
    expect(page.tracked("root")).toEqual([]);
  });

  it("may be called like members of Object", async () => {
    const page = await started();
    page.receive(envelope("root", "root", [observable("constructor", 1), observable("toString", 2)], { msg_type: "11" }));
    page.receive(update("constructor", 5));
    expect((page.api.lookup_global_object("constructor") as any).value).toBe(5);
    expect(page.sent()).toEqual([]);
  });

  it("brought before their session starts belong to it, and go with it", async () => {
    const page = await started();
    page.receive(envelope("sub", "sub", [observable("holder", 1)], { msg_type: "11" }));
    await page.api.init_session("sub", null, "sub");
    expect(page.tracked("sub")).toEqual(["holder"]);
    await page.api.free_session("sub");
    expect(page.cached()).toEqual([]);
  });

  it("cannot come without a session", async () => {
    const page = await started();
    page.receive({ msg_type: "2", payload: observable("o", 1) });
    expect(page.cached()).toEqual([]);
    expect(page.sent()[0]).toMatchObject({ msg_type: "3", exception: expect.stringContaining("no session") });
  });

  it("unknown to the page are null", async () => {
    const page = await started();
    page.receive(evaluate("window.found = __lookup_interpolated('k')", { k: key("nope") }));
    expect((window as any).found).toBeNull();
    expect(page.remarks.flat().join()).toContain("nope");
  });
});

describe("start", () => {
  it("waits for slow bytes and keeps everything else in order behind them", async () => {
    const page = openPage();
    page.connect(false, false);
    const order: string[] = ((window as any).order = []);
    const slow = new Promise<Uint8Array>((resolve) => setTimeout(resolve, 20, bytes([evaluate("order.push('root')")])));
    void page.api.init_session("r", slow, "root");
    void page.api.init_session("s", bytes([evaluate("order.push('sub')")]), "sub");
    page.receive(evaluate("order.push('frame')"));
    await settle(40);
    expect(order).toEqual(["root", "sub", "frame"]);
    expect(page.sent().map(({ session }) => session)).toEqual(["r", "s"]);
  });

  it("runs bare and enveloped messages, one failing alone", async () => {
    const page = openPage();
    page.connect(false, false);
    const bundle = envelope("r", "root", [observable("o", 1)], [
      evaluate("throw new Error('boom')"),
      envelope("r", "root", [], update("o", 2)),
    ]);
    await page.api.init_session("r", Promise.resolve(bytes(bundle)), "root");
    const [error, report] = page.sent();
    expect(error).toMatchObject({ msg_type: "3", message: 'Error while processing message {"msg_type":"2"}', exception: "Error: boom" });
    expect(report).toEqual(done("r"));
    expect((page.api.lookup_global_object("o") as any).value).toBe(2);
  });

  it("of a sub that fails is reported exactly once", async () => {
    const page = await started();
    await page.api.init_session("s", bytes([evaluate("syntax error")]), "sub");
    await page.api.init_session("t", Promise.reject(new Error("HTTP error, status = 404")), "sub");
    expect(page.sent()).toEqual([failure("s", "SyntaxError"), failure("t", "Error: HTTP error, status = 404")]);
    expect(page.status("t")).toBe("sub");
    expect(document.documentElement.getAttribute("data-bonito-connection")).toBe("connected");
  });

  it("of a root that fails is seen by the user, and by the server once there is one", async () => {
    const page = openPage();
    await page.api.init_session("r", new Uint8Array([0xc1]), "root");
    expect(document.documentElement.getAttribute("data-bonito-connection")).toBe("failed");
    expect(document.querySelector("bonito-connection")!.shadowRoot!.textContent).toContain("could not be started");
    page.connect(false, false);
    expect(page.sent()).toEqual([failure("r", "Unrecognized type byte")]);
  });

  it("of a corrupt compressed bundle is reported too", async () => {
    const page = await started();
    await page.api.init_session("s", new Uint8Array([1, 2, 3]), "sub", true);
    await page.api.init_session("t", new Uint8Array([0x78, 0x9c, 3, 4, 5, 6]), "sub", true);
    expect(page.sent()).toEqual([failure("s", "neither gzip nor zlib"), failure("t", "")]);
  });
});

describe("swap", () => {
  it("reports the new one before it closes the old one", async () => {
    const page = await started();
    page.receive(swap("one", "slot"));
    await settle();
    expect(page.sent()).toEqual([done("one")]);
    expect(page.status("one")).toBe("delete");
    page.receive(swap("two", "slot"));
    await settle();
    expect(page.sent()).toEqual([done("two"), close("one")]);
    expect([page.status("one"), page.status("two")]).toEqual([false, "delete"]);
  });

  it("happens after what is queued already, even in the same frame", async () => {
    const page = await started();
    (window as any).seen = [];
    const look = evaluate("seen.push(document.querySelector('[data-jscall-id=slot]').textContent)");
    page.receive({ msg_type: "9", payload: [swap("one", "slot", { messages: [look] }), look] });
    await settle();
    expect((window as any).seen).toEqual(["old", "one"]);
  });

  it("replaces the node itself when told to, with text as well", async () => {
    const page = await started(`<section>${slot}</section>`);
    page.receive(swap("one", "slot", { replace: true, html: dom("b", ["x"], { id: "one", "data-jscall-id": "slot" }) }));
    await settle();
    expect(document.querySelector("section")!.innerHTML).toBe('<b id="one" data-jscall-id="slot">x</b>');
    page.receive(swap("two", "slot", { replace: true, html: "<i>" }));
    await settle();
    expect(document.querySelector("section")!.innerHTML).toBe("&lt;i&gt;");
    expect(page.sent()).toEqual([done("one"), done("two"), close("one")]);
  });

  it("clears text, and takes a string as text and html as html", async () => {
    const page = await started();
    page.receive(swap("one", "slot", { html: "<b>" }));
    await settle();
    expect(document.querySelector("[data-jscall-id=slot]")!.innerHTML).toBe("&lt;b&gt;");
    page.receive(swap("two", "slot", { html: html("<b>x</b>") }));
    await settle();
    expect(document.querySelector("[data-jscall-id=slot]")!.innerHTML).toBe("<div><b>x</b></div>");
  });

  it("twice over one target, in one frame, mounts both in turn", async () => {
    const page = await started();
    const mount = (id: string) => swap(id, "slot", { replace: true, html: dom("b", [id], { id, "data-jscall-id": "slot" }) });
    page.receive({ msg_type: "9", payload: [mount("one"), mount("two")] });
    await settle(20);
    expect(document.querySelector("[data-jscall-id=slot]")!.textContent).toBe("two");
    expect(page.sent()).toEqual([done("one"), done("two"), close("one")]);
  });

  it("waits for a target that comes late, others do not wait with it", async () => {
    const page = await started("");
    page.receive(swap("one", "it's"));
    page.receive(evaluate("window.passed = true"));
    expect((window as any).passed).toBe(true);
    const target = document.createElement("div");
    target.setAttribute("data-jscall-id", "it's");
    document.body.append(target);
    await settle(50);
    expect(target.textContent).toBe("one");
    expect(page.sent()).toEqual([done("one")]);
  });

  it("gives up on a target after thirty seconds", async () => {
    const page = await started("");
    vi.useFakeTimers();
    page.receive(swap("one", "never"));
    await vi.advanceTimersByTimeAsync(32_000);
    expect(page.sent()).toEqual([failure("one", "Error: Timeout waiting for DOM node with data-jscall-id='never' after 30000ms")]);
  });

  it("without messages is a failure of that session", async () => {
    const page = await started();
    page.receive(swap("one", "slot", { messages: undefined }));
    await settle();
    expect(page.sent()).toEqual([failure("one", "TypeError")]);
  });
});

describe("end", () => {
  it("follows the removal of the node or of anything around it", async () => {
    const page = await started(`<div id="around">${slot}</div>`);
    page.receive(swap("one", "slot"));
    await settle();
    page.sent();
    document.getElementById("around")!.remove();
    await settle();
    expect(page.sent()).toEqual([close("one")]);
    document.body.append(document.createElement("p"));
    document.body.lastChild!.remove();
    await settle();
    expect(page.sent()).toEqual([]);
  });

  it("does not follow a move, safe or plain", async () => {
    const page = await started(`${slot}<div id="to"></div>`);
    page.receive(swap("one", "slot"));
    await settle();
    page.sent();
    const node = document.getElementById("one")!;
    document.getElementById("to")!.append(node);
    await settle();
    page.api.move_dom_node(node, document.body, document.body.firstChild);
    await settle();
    expect(page.sent()).toEqual([]);
    expect(document.body.firstChild).toBe(node);
    expect(page.status("one")).toBe("delete");
  });

  it("is reported for the outermost only, and for a forgotten inner one later", async () => {
    const page = await started();
    page.receive(swap("outer", "slot", { html: dom("div", [dom("p", [], { "data-jscall-id": "inside" })], { id: "outer" }) }));
    await settle();
    page.receive(swap("inner", "inside"));
    await settle();
    page.sent();
    document.getElementById("outer")!.remove();
    await settle();
    expect(page.sent()).toEqual([close("outer")]);
    expect(page.status("inner")).toBe("delete");
    await page.api.free_session("outer");
    document.body.append("x");
    document.body.lastChild!.remove();
    await settle();
    expect(page.sent()).toEqual([close("inner")]);
  });

  it("is noticed for a session whose node went while it was starting", async () => {
    const page = await started(`<div id="s"></div>`);
    const slow = settle(20).then(() => bytes([]));
    const init = page.api.init_session("s", slow, "sub");
    document.getElementById("s")!.remove();
    await init;
    expect(page.sent()).toEqual([done("s"), close("s")]);
  });

  it("leaves a tombstone: mounted, but not registered, and refused", async () => {
    const page = await started();
    page.receive(swap("one", "slot"));
    await settle();
    await page.api.free_session("one");
    page.sent();
    page.receive(swap("one", "slot", { html: dom("b", ["again"], { id: "one" }) }, [observable("late", 1)]));
    await settle();
    expect(page.sent()).toEqual([failure("one", "Error: Session deleted before initialization completed")]);
    expect(document.querySelector("b")!.textContent).toBe("again");
    expect(page.cached()).toEqual([]);
    expect(page.status("one")).toBeUndefined();
  });

  it("is forgotten after thirty seconds, and at once by init_session", async () => {
    const page = await started();
    vi.useFakeTimers();
    await page.api.init_session("one", null, "sub");
    await page.api.free_session("one");
    await page.api.init_session("one", null, "sub");
    expect(page.status("one")).toBe("delete");
    await page.api.free_session("one");
    await vi.advanceTimersByTimeAsync(29_000);
    page.receive(envelope("one", "sub", [], { msg_type: "11" }));
    expect(page.status("one")).toBeUndefined();
    await vi.advanceTimersByTimeAsync(1_001);
    page.receive(envelope("one", "sub", [], { msg_type: "11" }));
    expect(page.status("one")).toBe("sub");
  });

  it("twice is a remark, and a mounted one keeps its DOM", async () => {
    const page = await started();
    page.receive(swap("one", "slot"));
    await settle();
    await page.api.free_session("one");
    await page.api.free_session("one");
    expect(page.remarks.flat().join()).toContain("cannot be freed");
    expect(document.getElementById("one")).not.toBeNull();
    page.receive(update("gone", 1));
    expect(page.sent()).toEqual([done("one")]);
  });

  it("of ten thousand sessions leaves nothing behind", async () => {
    const page = await started();
    for (let i = 0; i < 10_000; i++) {
      page.receive(envelope(`s${i}`, "sub", [observable(`o${i}`, i)], { msg_type: "1", obs: key(`o${i}`), payload: code("return () => {}") }));
      void page.api.free_session(`s${i}`);
    }
    await page.api.lock_loading(() => {});
    expect(page.cached()).toEqual([]);
    expect(Object.keys(page.api.Sessions.SESSIONS)).toEqual(["root"]);
  });
});
