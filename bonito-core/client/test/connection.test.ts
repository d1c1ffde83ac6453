import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { decompress } from "../src/codec/compression.ts";
import { openPage, settle, until } from "./support/page.ts";
import { read } from "./support/server.ts";

const message = (n: number) => ({ msg_type: "4", message: n });
const numbers = (frames: any[]) => frames.filter(({ msg_type }) => msg_type === "4").map((frame) => frame.message);

describe("queue", () => {
  it("keeps what is sent before the connection and sends it first, then the ping", () => {
    const page = openPage();
    page.api.send_to_julia(message(1));
    page.api.send_to_julia(message(2));
    expect(page.frames).toEqual([]);
    page.connect();
    page.api.send_to_julia(message(3));
    expect(page.sent()).toEqual([message(1), message(2), { msg_type: "11" }, message(3)]);
  });

  it("takes a message as it is when it is sent, not when it leaves", () => {
    const page = openPage();
    const payload = { msg_type: "4", message: [1] };
    page.api.send_to_julia(payload);
    payload.message.push(2);
    page.connect();
    expect(page.sent()[0].message).toEqual([1]);
  });

  for (const [answer, send] of Object.entries<() => unknown>({ undefined: () => undefined, true: () => true, "0": () => 0, null: () => null })) {
    it(`takes ${answer} from send for success`, () => {
      const page = openPage();
      const taken: any[] = [];
      page.api.on_connection_open((frame) => { taken.push(read(frame)); return send(); }, false, false);
      for (const n of [1, 2, 3]) page.api.send_to_julia(message(n));
      expect(numbers(taken)).toEqual([1, 2, 3]);
      expect(page.api.can_send_to_julia()).toBe(true);
      page.connect();
      expect(numbers(page.sent())).toEqual([]);
    });
  }

  for (const [name, fail] of Object.entries<() => unknown>({
    "answers false": () => false,
    throws: () => { throw new Error("no"); },
    "promises false": () => Promise.resolve(false),
    rejects: () => Promise.reject(new Error("no")),
  })) {
    it(`keeps a message whose send ${name}: not lost, not doubled, in order`, async () => {
      const page = openPage();
      const taken: any[] = [];
      page.api.on_connection_open((frame) => {
        const decoded = read(frame);
        if (decoded.message === 2) return fail();
        taken.push(decoded);
        return undefined;
      }, false, false);
      for (const n of [1, 2, 3]) page.api.send_to_julia(message(n));
      await settle();
      expect(numbers(taken)).toEqual([1]);
      expect(page.api.can_send_to_julia()).toBe(false);
      expect(page.api.Connection.state()).toEqual({ status: "disconnected", reason: "closed" });
      page.connect();
      expect(numbers(page.sent())).toEqual([2, 3]);
    });
  }

  it("keeps order over a transport that takes its time", async () => {
    const page = openPage();
    const taken: number[] = [];
    let pause = 12;
    page.api.on_connection_open(async (frame) => { await settle((pause -= 3)); taken.push(read(frame).message); }, false, false);
    for (const n of [1, 2, 3]) page.api.send_to_julia(message(n));
    await until(() => expect(taken).toHaveLength(3));
    expect(taken).toEqual([1, 2, 3]);
  });

  it("survives a transport that answers from within send", () => {
    const page = openPage();
    const taken: number[] = [];
    page.api.on_connection_open((frame) => {
      const n = read(frame).message;
      if (n < 5) page.api.send_to_julia(message(n + 1));
      taken.push(n);
    }, false, false);
    page.api.send_to_julia(message(1));
    expect(taken).toEqual([1, 2, 3, 4, 5]);
  });

  it("survives a transport that closes from within send", () => {
    const page = openPage();
    page.api.send_to_julia(message(1));
    page.api.send_to_julia(message(2));
    page.api.on_connection_open((frame) => { page.frames.push(frame); page.api.on_connection_close(); }, false, false);
    expect(numbers(page.sent())).toEqual([1]);
    page.connect();
    expect(numbers(page.sent())).toEqual([2]);
  });

  it("replays nothing a second time", () => {
    const page = openPage();
    page.api.send_to_julia(message(1));
    for (let i = 0; i < 3; i++) {
      page.connect();
      page.api.on_connection_connecting();
    }
    expect(numbers(page.sent())).toEqual([1]);
  });

  it("ends, visibly and for good, when more waits than allowed", () => {
    const page = openPage();
    page.api.configure({ max_queue_bytes: 10_000 });
    page.api.send_to_julia({ msg_type: "4", message: "x".repeat(9_000) });
    expect(page.api.Connection.state().status).toBe("connecting");
    page.api.send_to_julia({ msg_type: "4", message: "x".repeat(2_000) });
    expect(page.api.Connection.state()).toEqual({ status: "disconnected", reason: "overflow" });
    expect(document.documentElement.getAttribute("data-bonito-connection")).toBe("overflow");
    expect(document.querySelector("bonito-connection")!.shadowRoot!.textContent).toContain("Too much");
    expect(page.connect()).toBe(false);
    expect(page.frames).toEqual([]);
    expect(page.remarks.flat().join()).toContain("giving up");
  });

  it("bounds the queue of a page that could not be started, too", async () => {
    const page = openPage();
    page.api.configure({ max_queue_bytes: 10_000 });
    await page.api.init_session("r", new Uint8Array([0xc1]), "root");
    for (let i = 0; i < 100; i++) page.api.send_to_julia({ msg_type: "4", message: "x".repeat(1_000) });
    expect(page.api.Connection.state().reason).toBe("overflow");
    expect(page.api.Connection.queued().bytes).toBeLessThan(12_000);
  });

  it("does not bound what an open connection takes at once", () => {
    const page = openPage();
    page.api.configure({ max_queue_bytes: 10 });
    page.connect(false, false);
    page.api.send_to_julia({ msg_type: "4", message: "x".repeat(1_000) });
    expect(page.frames).toHaveLength(1);
    expect(page.api.can_send_to_julia()).toBe(true);
  });

  it("sends nothing on a page without a server", () => {
    const page = openPage();
    page.api.set_no_connection();
    page.api.send_to_julia(message(1));
    expect(page.api.is_no_connection()).toBe(true);
    expect(page.api.Connection.queued()).toEqual({ messages: 0, bytes: 0 });
  });

  it("throws in page code, and sends nothing, for what has no wire form", () => {
    const page = openPage();
    page.connect(false, false);
    expect(() => page.api.send_to_julia({ msg_type: "0", payload: 1n })).toThrow("Unrecognized object");
    expect(page.frames).toEqual([]);
    page.api.send_to_julia(message(1));
    expect(numbers(page.sent())).toEqual([1]);
  });
});

describe("compression", () => {
  it("keeps order, whatever the sizes, and a closing in the middle loses and doubles nothing", async () => {
    const page = openPage();
    const first: Uint8Array[] = [];
    const send = (n: number) => page.api.send_to_julia({ msg_type: "4", message: n, ballast: "x".repeat(n % 2 ? 200_000 : 1) });
    const all = Array.from({ length: 30 }, (_, n) => n);
    all.slice(0, 20).forEach(send);
    page.api.on_connection_open((frame) => {
      first.push(frame);
      if (first.length === 7) page.api.on_connection_connecting();
    }, true, false);
    await until(() => expect(first).toHaveLength(7));
    page.connect(true, false);
    all.slice(20).forEach(send);
    while (page.api.Connection.queued().messages > 0) await settle();
    await settle();
    const frames = await Promise.all([...first, ...page.frames].map(decompress));
    expect(frames.map((frame) => read(frame).message)).toEqual(all);
    expect(first).toHaveLength(7);
  });
});

describe("compression of a message under way", () => {
  it("when the connection is replaced goes on from that message, on the new one only", async () => {
    const page = openPage();
    const first: Uint8Array[] = [];
    page.api.on_connection_open((frame) => void first.push(frame), true, false);
    for (const n of [1, 2, 3]) page.api.send_to_julia(message(n));
    page.connect(true, false);
    await until(() => expect(page.frames).toHaveLength(3));
    expect(first).toEqual([]);
    expect((await Promise.all(page.frames.map(decompress))).map((frame) => read(frame).message)).toEqual([1, 2, 3]);
  });
});

describe("announcements", () => {
  it("come after queue and ping, in order of start, once", async () => {
    const page = openPage(`<div id="s1"></div><div id="s2"></div>`);
    await page.api.init_session("r", null, "root");
    await page.api.init_session("s2", null, "sub");
    await page.api.init_session("s1", null, "sub");
    page.connect();
    const started = ["r", "s2", "s1"];
    const done = (frames: any[]) => frames.filter(({ msg_type }) => msg_type === "8").map(({ session }) => session);
    expect(done(page.sent())).toEqual(started);
    page.api.on_connection_connecting();
    await page.api.free_session("s2");
    page.api.send_to_julia(message(1));
    page.connect();
    const frames = page.sent();
    expect(frames.map(({ msg_type }) => msg_type)).toEqual(["4", "11", "8", "8"]);
    expect(done(frames)).toEqual(["r", "s1"]);
  });

  it("are not repeated for a session whose report was waiting", async () => {
    const page = openPage(`<div id="s"></div>`);
    await page.api.init_session("r", null, "root");
    page.connect();
    page.api.on_connection_connecting();
    page.sent();
    await page.api.init_session("s", null, "sub");
    page.connect();
    expect(page.sent().filter(({ msg_type }) => msg_type === "8").map(({ session }) => session)).toEqual(["s", "r"]);
  });

  it("that failed are made anew, not sent twice", async () => {
    const page = openPage();
    await page.api.init_session("r", null, "root");
    page.connect();
    page.sent();
    page.api.on_connection_connecting();
    let room = 1;
    page.api.on_connection_open(() => room-- > 0, false, true);
    page.connect();
    expect(page.sent().map(({ msg_type }) => msg_type)).toEqual(["11", "8"]);
  });
});

describe("pings", () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  it("go every five seconds while open, and never wait for a connection", () => {
    const page = openPage();
    const pings = () => page.sent().filter(({ msg_type }) => msg_type === "11").length;
    page.connect();
    expect(pings()).toBe(1);
    vi.advanceTimersByTime(15_000);
    expect(pings()).toBe(3);
    page.api.on_connection_connecting();
    vi.advanceTimersByTime(20_000);
    page.api.send_pingpong();
    page.connect();
    expect(pings()).toBe(1);
    vi.advanceTimersByTime(5_000);
    expect(pings()).toBe(1);
  });

  it("can be left out", () => {
    const page = openPage();
    page.connect(false, false);
    vi.advanceTimersByTime(20_000);
    expect(page.frames).toEqual([]);
  });

  it("tell whether the server answers", () => {
    const page = openPage();
    page.connect();
    expect(page.api.Connection.liveness()).toEqual({ answers: false, waitingSince: performance.now() });
    page.receive({ msg_type: "11" });
    expect(page.api.Connection.liveness()).toEqual({ answers: true, waitingSince: null });
    vi.advanceTimersByTime(9_000);
    expect(page.api.Connection.is_julia_responsive()).toBe(true);
    expect(page.api.Connection.liveness().waitingSince).toBe(performance.now() - 4_000);
    vi.advanceTimersByTime(2_000);
    expect(page.api.Connection.is_julia_responsive()).toBe(false);
  });
});
