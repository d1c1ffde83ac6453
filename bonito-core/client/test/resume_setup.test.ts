import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { decodePlain, encodePlain } from "../src/codec/codec.ts";
import { setup_connection } from "../src/websocket/main.ts";
import { openPage, settle } from "./support/page.ts";
import { bytes, read, update } from "./support/server.ts";

class FakeSocket {
  static all: FakeSocket[] = [];
  readyState = 0;
  protocol = "";
  sent: Uint8Array[] = [];
  onopen?: () => void;
  onmessage?: (event: { data: unknown }) => void;
  onclose?: (event: { code: number; reason: string }) => void;
  readonly arguments: unknown[];
  constructor(...args: unknown[]) {
    this.arguments = args;
    FakeSocket.all.push(this);
  }
  static get last(): FakeSocket {
    return this.all.at(-1)!;
  }
  open(protocol: string) {
    this.readyState = 1;
    this.protocol = protocol;
    this.onopen?.();
  }
  send(frame: Uint8Array) {
    this.sent.push(frame);
  }
  close(code = 1005, reason = "") {
    if (this.readyState >= 2) return;
    this.readyState = 3;
    this.onclose?.({ code, reason });
  }
  receive(frame: Uint8Array) {
    this.onmessage?.({ data: new Uint8Array(frame).buffer });
  }
  /** What the page has said since the last call: control frames as arrays, messages by their tag. */
  said() {
    return this.sent.splice(0).map((frame) => (frame[0] === 0xc1 ? (decodePlain(frame.subarray(1)) as unknown[]) : read(frame).msg_type));
  }
}

const PROTOCOL = "bonito.resume.1";
const KEY = new Uint8Array(32).map((_, i) => 255 - i);
const TEXT = Buffer.from(KEY).toString("base64url");
const STREAM = new Uint8Array(16).fill(9);
const NEXT = new Uint8Array(32).fill(3);
const welcome = (resumed: boolean, received: number, limit = 1 << 20) =>
  new Uint8Array([0xc1, ...encodePlain([1, resumed, STREAM, NEXT, received, limit])]);
const mirrored = () => document.documentElement.getAttribute("data-bonito-connection");

let session = 0;
async function load(options: object = {}, library: (api: any) => object = (api) => api) {
  const page = openPage();
  (window as any).Bonito = library(page.api);
  await page.api.init_session("root", null, "root");
  setup_connection({ proxy_url: "./", session_id: `resumed-${++session}`, query: "", resume: TEXT, ...options });
  return page;
}
async function open(options: object = {}) {
  const page = await load(options);
  FakeSocket.last.open(PROTOCOL);
  FakeSocket.last.receive(welcome(false, 0));
  return page;
}

beforeEach(() => {
  FakeSocket.all = [];
  vi.stubGlobal("WebSocket", FakeSocket);
  vi.stubGlobal("fetch", vi.fn().mockResolvedValue({ status: 426, headers: new Headers(), body: null }));
});
afterEach(() => {
  (window as any).WEBSOCKET?.close();
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

describe("setup_connection with a page key", () => {
  it("offers the protocol and says hello, then announces what it has", async () => {
    await load();
    expect(FakeSocket.last.arguments[1]).toBe(PROTOCOL);
    FakeSocket.last.open(PROTOCOL);
    const [hello = [], ...more] = FakeSocket.last.said() as unknown[][];
    const [kind, version, instance, key, stream, received] = hello;
    expect([kind, version, key, stream, received]).toEqual([0, 1, KEY, null, 0]);
    expect(instance).toHaveLength(16);
    expect(instance).not.toEqual(new Uint8Array(16));
    expect(more).toEqual([]);
    expect(mirrored()).toBe("connecting");
    FakeSocket.last.receive(welcome(false, 0));
    expect(FakeSocket.last.said()).toEqual(["8"]);
    expect(mirrored()).toBe("connected");
  });

  it("resumes by itself: what is not acknowledged, then what is new, and no announcement", async () => {
    const page = await open();
    page.api.send_warning(1);
    page.api.send_warning(2);
    FakeSocket.last.close(1006);
    expect(mirrored()).toBe("connecting");
    page.api.send_warning(3);
    window.dispatchEvent(new Event("online"));
    FakeSocket.last.open(PROTOCOL);
    FakeSocket.last.receive(welcome(true, 2));
    const messages = FakeSocket.last.sent.filter((frame) => frame[0] !== 0xc1).map((frame) => read(frame).message);
    expect(messages).toEqual([2, 3]);
    expect(mirrored()).toBe("connected");
  });

  it("hands on what comes, in order, and pongs", async () => {
    const page = await open();
    expect(page.api.Connection.liveness().answers).toBe(false);
    const process = vi.spyOn(page.api, "process_message");
    FakeSocket.last.receive(bytes(update("a", 1)));
    FakeSocket.last.receive(bytes(update("b", 2)));
    FakeSocket.last.receive(new Uint8Array([0xc1, ...encodePlain([5])]));
    expect(process.mock.calls.map(([message]) => (message as any).id ?? (message as any).msg_type)).toEqual(["a", "b", "11"]);
    expect(page.api.Connection.is_julia_responsive()).toBe(true);
  });

  it("loses no announcement that was being compressed when the socket went", async () => {
    await load({ compression_enabled: true });
    FakeSocket.last.open(PROTOCOL);
    FakeSocket.last.receive(welcome(false, 0));
    FakeSocket.last.close(1006);
    window.dispatchEvent(new Event("online"));
    FakeSocket.last.open(PROTOCOL);
    FakeSocket.last.receive(welcome(true, 0));
    await vi.waitFor(() => expect(FakeSocket.last.sent.filter((frame) => frame[0] !== 0xc1)).toHaveLength(1));
  });

  it("counts the length of a compressed message as it travels", async () => {
    const page = await load({ compression_enabled: true });
    FakeSocket.last.open(PROTOCOL);
    FakeSocket.last.receive(welcome(false, 0, 4_000));
    const messages = () => FakeSocket.last.sent.filter((frame) => frame[0] !== 0xc1).length;
    await vi.waitFor(() => expect(messages()).toBe(1));
    page.api.send_warning("x".repeat(100_000));
    await vi.waitFor(() => expect(messages()).toBe(2));
    page.api.send_warning(crypto.getRandomValues(new Uint8Array(20_000)));
    await vi.waitFor(() => expect(page.remarks.flat().join()).toContain("more than the server takes, which is 4000 bytes"));
    await vi.waitFor(() => expect(messages()).toBe(3));
    await settle();
    expect(messages(), "the report in its place").toBe(3);
  });

  it.each(["online", "focus", "visibilitychange", "resume"])("looks on %s whether its socket is still there", async (name) => {
    await open();
    FakeSocket.last.said();
    (["visibilitychange", "resume"].includes(name) ? document : window).dispatchEvent(new Event(name));
    expect(FakeSocket.last.said()).toEqual([[4]]);
  });

  it("stays away while the page is left, and resumes when it is shown again", async () => {
    await open();
    window.dispatchEvent(new Event("pagehide"));
    FakeSocket.last.close(1001);
    window.dispatchEvent(new Event("online"));
    expect(FakeSocket.all).toHaveLength(1);
    window.dispatchEvent(new Event("pageshow"));
    expect(FakeSocket.all).toHaveLength(2);
    FakeSocket.last.open(PROTOCOL);
    expect(FakeSocket.last.said()[0]).toMatchObject({ 0: 0, 4: STREAM });
  });

  it("called a second time goes on with its stream, on another socket", async () => {
    const page = await open();
    session--;
    setup_connection({ proxy_url: "./", session_id: `resumed-${++session}`, query: "", resume: TEXT });
    expect(FakeSocket.all).toHaveLength(2);
    FakeSocket.last.open(PROTOCOL);
    expect(FakeSocket.last.said()[0]).toMatchObject({ 0: 0, 3: NEXT, 4: STREAM });
    FakeSocket.last.receive(welcome(true, 1));
    page.api.send_warning(1);
    expect(FakeSocket.last.said()).toEqual(["4"]);
  });

  it("keeps its keys to itself", async () => {
    const log = ["debug", "info", "log", "warn", "error"].map((name) => vi.spyOn(console, name as "log").mockImplementation(() => {}));
    const page = await open();
    page.api.configure({ debug: true, logger: null });
    FakeSocket.last.receive(new Uint8Array([0xc1, 0xc1]));
    for (const { arguments: given } of FakeSocket.all) expect(String(given)).not.toContain(TEXT);
    const { WEBSOCKET: socket } = window as any;
    const reachable = JSON.stringify([Object.entries(socket), page.api.Connection.state(), log.map(({ mock }) => mock.calls)]);
    expect(reachable).not.toContain(TEXT);
    expect(Object.values(socket).some((value) => value instanceof Uint8Array)).toBe(false);
  });
});

describe("the plain mode", () => {
  it.each<[string, object]>([
    ["without a key", { resume: undefined }],
    ["of a second socket", { main_connection: false }],
  ])("%s offers nothing", async (_, options) => {
    await load(options);
    expect(FakeSocket.last.arguments).toHaveLength(1);
  });

  it("of a library that cannot resume offers nothing", async () => {
    await load({}, (api) => ({ ...api, Connection: { liveness: api.Connection.liveness } }));
    expect(FakeSocket.last.arguments).toHaveLength(1);
    FakeSocket.last.open("");
    expect(FakeSocket.last.said()).toEqual(["8", "11"]);
  });

  it("of a server that answers no protocol is what it was: ping, announcements again, a bounded queue", async () => {
    const page = await load();
    FakeSocket.last.open("");
    expect(FakeSocket.last.said()).toEqual(["8", "11"]);
    FakeSocket.last.close(1006);
    page.api.send_warning(1);
    window.dispatchEvent(new Event("online"));
    expect(FakeSocket.last.arguments).toHaveLength(1);
    FakeSocket.last.open("");
    expect(FakeSocket.last.said()).toEqual(["4", "11", "8"]);
    page.api.configure({ max_queue_bytes: 10 });
    FakeSocket.last.close(1006);
    page.api.send_warning("more than that");
    expect(mirrored()).toBe("overflow");
  });
});
