import { afterEach, describe, expect, it, vi } from "vitest";
import { DECODE_ERROR } from "../src/dispatcher.ts";
import { openPage, settle, until } from "./support/page.ts";
import { bytes, code, envelope, evaluate, key, observable, update } from "./support/server.ts";

function page() {
  const opened = openPage();
  opened.connect(false, false);
  opened.receive(envelope("root", "root", [observable("o", 0)], { msg_type: "11" }));
  return opened;
}
const on = (source: string) => ({ msg_type: "1", obs: key("o"), payload: code(source) });

afterEach(() => {
  delete (window as any).L;
});

describe("frames that make no sense", () => {
  for (const [name, frame] of Object.entries({
    empty: [],
    truncated: [0x82, 0xa1],
    "with bytes left over": [0xc0, 0xc0],
    "with a __proto__ key": [0x81, 0xa9, ...Buffer.from("__proto__"), 1],
  })) {
    it(`${name}: one report, and the page goes on`, () => {
      const { api, sent, receive } = page();
      api.process_message(new Uint8Array(frame));
      expect(sent()).toEqual([{ msg_type: "3", message: DECODE_ERROR, exception: expect.any(String), stacktrace: expect.any(String) }]);
      receive(update("o", 1));
      expect((api.lookup_global_object("o") as any).value).toBe(1);
    });
  }

  it("code that does not parse", () => {
    const { receive, sent } = page();
    receive(evaluate("this is not code"));
    expect(sent()[0]).toMatchObject({ message: DECODE_ERROR, exception: expect.stringContaining("SyntaxError") });
  });

  it("not compressed although they should be", async () => {
    const opened = openPage();
    opened.connect(true, false);
    opened.api.process_message(bytes({ msg_type: "11" }));
    await until(() => expect(opened.frames).toHaveLength(1));
    expect(opened.remarks.flat()).toContain(DECODE_ERROR);
  });
});

describe("messages that fail", () => {
  it("of an unknown type, or with a number for one", () => {
    const { receive, sent } = page();
    for (const msg_type of ["3", "8", "99", "constructor", 0, undefined]) receive({ msg_type });
    receive([]);
    expect(sent().map(({ exception }) => exception).join()).toContain("Unrecognized message type: 0.");
  });

  for (const [thrown, exception, stack] of [
    ["new Error('e')", "Error: e", /at /],
    ["'text'", "text", /^$/],
    ["null", "null", /^$/],
    ["undefined", "undefined", /^$/],
    ["{stack: 5}", "[object Object]", /^$/],
    ["Object.create(null)", "(an exception that has no text)", /^$/],
  ] as const) {
    it(`throwing ${thrown} is reported as it was thrown`, () => {
      const { receive, sent } = page();
      receive(evaluate(`throw ${thrown}`));
      const [report] = sent();
      expect(report).toMatchObject({ msg_type: "3", message: 'Error while processing message {"msg_type":"2"}', exception });
      expect(report.stacktrace).toMatch(stack);
    });
  }

  it("later, in a promise, are reported too", async () => {
    const { receive, sent } = page();
    receive(evaluate("return Promise.reject(new Error('later'))"));
    await settle();
    expect(sent()[0]).toMatchObject({ msg_type: "3", exception: "Error: later" });
  });

  it("name bulk data by its size", () => {
    const { api, sent } = page();
    api.process_message({ msg_type: "?", data: new Float32Array(1e6) });
    expect(sent()[0].message).toContain("<4000000 bytes>");
  });

  it("that go round in circles are reported all the same", () => {
    const { api, sent } = page();
    const message: any = { msg_type: "?" };
    message.self = message;
    api.process_message(message);
    expect(sent()[0]).toMatchObject({ msg_type: "3", exception: "Error: Unrecognized message type: ?." });
  });

  it("in the middle of a fused one do not stop the others", () => {
    const { receive, api, sent } = page();
    receive({ msg_type: "9", payload: [update("o", 1), evaluate("throw 1"), { msg_type: "9", payload: [update("o", 2)] }] });
    expect((api.lookup_global_object("o") as any).value).toBe(2);
    expect(sent()).toHaveLength(1);
  });

  it("in a task of the lock", () => {
    const { api, sent } = page();
    void api.lock_loading(() => { throw "in a task"; });
    expect(sent()[0]).toMatchObject({ message: "Error inside object-freeing-locked task", exception: "in a task" });
  });

  it("without end and without a connection do not fill the queue", () => {
    const { api } = openPage();
    for (let i = 0; i < 10_000; i++) api.send_error("m", "e");
    expect(api.Connection.queued().messages).toBe(64);
    expect(api.Connection.state().status).toBe("connecting");
  });

  it("have data URLs in their stacks cut short", () => {
    const { api, sent } = page();
    const error = new Error("e");
    error.stack = `at data:text/javascript;base64,${"QUJD".repeat(1000)}:1:2`;
    api.send_error("m", error);
    expect(sent()[0].stacktrace).toBe("at data:text/javascript;base64,<<BASE64>>:1:2");
  });
});

describe("listeners", () => {
  it("are told, and what they are told by the server is not sent back", () => {
    const { receive, sent, api } = page();
    (window as any).L = [];
    receive(on("return (v) => { L.push(v) }"));
    receive(update("o", 7));
    (api.lookup_global_object("o") as any).notify(8);
    expect((window as any).L).toEqual([7, 8]);
    expect(sent()).toEqual([update("o", 8)]);
  });

  it("that throw are reported with their text; the others run", () => {
    const { receive, sent } = page();
    (window as any).L = [];
    receive(on("return (v) => { throw new Error('mine') }"));
    receive(on("return (v) => { L.push(v) }"));
    receive(update("o", 1));
    expect((window as any).L).toEqual([1]);
    expect(sent()).toEqual([expect.objectContaining({
      message: "Error during running onjs callback\nCallback:\n(v) => { throw new Error('mine') }",
      exception: "Error: mine",
    })]);
  });

  it("that fail later are reported too", async () => {
    const { receive, sent } = page();
    (window as any).L = [];
    receive(on("return async (v) => { L.push(v); throw new Error('later') }"));
    receive(update("o", 1));
    receive(update("o", 2));
    await settle();
    expect((window as any).L).toEqual([1, 2]);
    expect(sent()).toMatchObject([1, 2].map(() => ({ msg_type: "3", message: expect.stringContaining("onjs callback"), exception: "Error: later" })));
  });

  for (const [result, calls] of [["false", 1], ["0", 1], ["''", 1], ["[]", 1], ["undefined", 2], ["null", 2], ["true", 2], ["NaN", 2]] as const) {
    it(`that return ${result} are called ${calls} of 2 times`, () => {
      const { receive } = page();
      (window as any).L = [];
      receive(on(`return (v) => { L.push(v); return ${result} }`));
      receive(on("return (v) => { L.push('other') }"));
      receive(update("o", 1));
      receive(update("o", 2));
      expect((window as any).L.filter((x: unknown) => x !== "other")).toHaveLength(calls);
      expect((window as any).L.filter((x: unknown) => x === "other")).toHaveLength(2);
    });
  }

  it("that are no functions are refused at once, and break nothing", () => {
    const { receive, sent, api } = page();
    receive(on("(v) => {}"));
    expect(sent()[0]).toMatchObject({ msg_type: "3", exception: expect.stringContaining("must be a function") });
    receive(update("o", 3));
    expect((api.lookup_global_object("o") as any).value).toBe(3);
    expect(sent()).toEqual([]);
  });

  it("of several observables get all values", () => {
    const { receive, api } = page();
    receive(envelope("root", "root", [observable("p", "b")], { msg_type: "11" }));
    const [o, p] = ["o", "p"].map((id) => api.lookup_global_object(id) as any);
    const seen = vi.fn();
    api.onany([o, p], seen);
    receive(update("o", "a"));
    expect(seen).toHaveBeenCalledWith(["a", "b"]);
  });
});

describe("order", () => {
  it("of frames holds when they have to be inflated, however they come", async () => {
    const opened = openPage();
    await opened.api.lock_loading(() => {});
    opened.connect(true, false);
    (window as any).L = [];
    const { api } = opened;
    for (let n = 0; n < 30; n++) {
      const frame = await api.encode_binary({ msg_type: "2", payload: code(`L.push(${n});${n % 2 ? "" : "/*" + "x".repeat(90_000) + "*/"}`) }, true);
      if (n % 3 === 0) api.process_message(frame);
      else if (n % 3 === 1) void api.lock_loading(() => api.process_message(api.decode_binary(frame, true)));
      // As a transport does that does not know that decoding may take its time.
      else void api.lock_loading(() => { void api.process_message(api.decode_binary(frame, true)); });
    }
    await until(() => expect((window as any).L).toHaveLength(30));
    await api.lock_loading(() => {});
    expect((window as any).L).toEqual(Array.from({ length: 30 }, (_, n) => n));
  });

  it("holds for tasks as well, behind a transport that does not wait for decoding", async () => {
    const { api } = page();
    (window as any).L = [];
    const frame = (await api.encode_binary({ msg_type: "2", payload: code("L.push('frame')") }, true)) as Uint8Array;
    void api.lock_loading(() => { void api.process_message(api.decode_binary(frame, true)); });
    await api.lock_loading(() => (window as any).L.push("task"));
    expect((window as any).L).toEqual(["frame", "task"]);
  });

  it("of promised messages is that of their arrival", async () => {
    const { api } = page();
    (window as any).L = [];
    const message = (n: number) => ({ msg_type: "2", payload: () => void (window as any).L.push(n) });
    const slow = new Promise((resolve) => setTimeout(resolve, 20, message(1)));
    void api.process_message(slow);
    await api.process_message(Promise.resolve(message(2)));
    expect((window as any).L).toEqual([1, 2]);
  });
});
