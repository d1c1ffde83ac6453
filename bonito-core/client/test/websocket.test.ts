import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { setup_connection } from "../src/websocket/main.ts";
import { openPage } from "./support/page.ts";
import { bytes, read, update } from "./support/server.ts";

class FakeSocket {
  static readonly OPEN = 1;
  static all: FakeSocket[] = [];
  readyState = 0;
  binaryType = "blob";
  sent: any[] = [];
  onopen?: () => void;
  onmessage?: (event: { data: unknown }) => void;
  onclose?: (event: { code: number }) => void;
  readonly url: string;
  constructor(url: string) {
    this.url = url;
    FakeSocket.all.push(this);
  }
  static get last(): FakeSocket {
    return this.all.at(-1)!;
  }
  open() {
    this.readyState = 1;
    this.onopen?.();
  }
  send(frame: Uint8Array) {
    this.sent.push(read(frame));
  }
  close(code = 1005) {
    if (this.readyState >= 2) return;
    this.readyState = 3;
    this.onclose?.({ code });
  }
  receive(message: unknown) {
    this.onmessage?.({ data: new Uint8Array(bytes(message)).buffer });
  }
  types() {
    return this.sent.splice(0).map(({ msg_type }) => msg_type);
  }
}

let session = 0;
const fetched = vi.fn();

/** A page whose websocket module believes that it is alone in the window. */
async function open(options: object = {}) {
  const page = openPage();
  (window as any).Bonito = page.api;
  await page.api.init_session("root", null, "root");
  setup_connection({ proxy_url: "./", session_id: `sid-${++session}`, compression_enabled: false, query: "", main_connection: true, ...options });
  return page;
}
const mirrored = () => document.documentElement.getAttribute("data-bonito-connection");

beforeEach(() => {
  vi.useFakeTimers();
  FakeSocket.all = [];
  vi.stubGlobal("WebSocket", FakeSocket);
  fetched.mockReset().mockResolvedValue({ status: 426, headers: new Headers(), body: null });
  vi.stubGlobal("fetch", fetched);
});
afterEach(() => {
  (window as any).WEBSOCKET?.close();
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

describe("setup_connection", () => {
  it("connects, flushes, pings, and sets window.WEBSOCKET", async () => {
    await open({ query: "?a=1" });
    expect(FakeSocket.last.url).toBe(`${location.origin.replace("http", "ws")}/sid-${session}?a=1`);
    expect(FakeSocket.last.binaryType).toBe("arraybuffer");
    FakeSocket.last.open();
    expect(FakeSocket.last.types()).toEqual(["8", "11"]);
    expect((window as any).WEBSOCKET.isopen()).toBe(true);
    expect(mirrored()).toBe("connected");
  });

  it("hands frames on in order, and no test write", async () => {
    const page = await open();
    FakeSocket.last.open();
    FakeSocket.last.types();
    const process = vi.spyOn(page.api, "process_message");
    FakeSocket.last.onmessage?.({ data: new Uint8Array([0]).buffer });
    FakeSocket.last.receive(update("a", 1));
    FakeSocket.last.receive(update("b", 2));
    expect(process.mock.calls.map(([message]) => (message as any).id)).toEqual(["a", "b"]);
    FakeSocket.last.onmessage?.({ data: new ArrayBuffer(0) });
    expect(FakeSocket.last.sent).toMatchObject([
      { msg_type: "3", message: "Error while decoding/processing incoming websocket message" },
    ]);
  });

  it("reconnects by itself, with queue, ping and announcement in that order", async () => {
    const page = await open();
    FakeSocket.last.open();
    FakeSocket.last.close(1006);
    expect(mirrored()).toBe("connecting");
    page.api.send_warning("offline");
    vi.advanceTimersByTime(500);
    expect(FakeSocket.all).toHaveLength(2);
    FakeSocket.last.open();
    expect(FakeSocket.last.types()).toEqual(["4", "11", "8"]);
  });

  it("keeps a message that a dying socket does not take", async () => {
    const page = await open();
    FakeSocket.last.open();
    FakeSocket.last.readyState = 2;
    page.api.send_warning("closing");
    expect(mirrored()).toBe("disconnected");
    FakeSocket.last.onclose?.({ code: 1006 });
    expect(mirrored()).toBe("connecting");
    vi.advanceTimersByTime(500);
    FakeSocket.last.open();
    expect(FakeSocket.last.types()).toEqual(["4", "11", "8"]);
  });

  it.each(["online", "focus"])("tries at once on %s", async (name) => {
    await open();
    FakeSocket.last.open();
    FakeSocket.last.close(1006);
    window.dispatchEvent(new Event(name));
    expect(FakeSocket.all).toHaveLength(2);
  });

  it("tries at once when the page becomes visible", async () => {
    await open();
    FakeSocket.last.open();
    FakeSocket.last.close(1006);
    document.dispatchEvent(new Event("visibilitychange"));
    expect(FakeSocket.all).toHaveLength(2);
  });

  it("does not come back while the page is left, and does when it is shown again", async () => {
    await open();
    FakeSocket.last.open();
    window.dispatchEvent(new Event("pagehide"));
    FakeSocket.last.close(1001);
    vi.advanceTimersByTime(60_000);
    expect(FakeSocket.all).toHaveLength(1);
    window.dispatchEvent(new Event("pageshow"));
    expect(FakeSocket.all).toHaveLength(2);
  });

  it("stops when another tab took over, whatever happens then", async () => {
    await open();
    FakeSocket.last.open();
    FakeSocket.last.close(4001);
    expect(mirrored()).toBe("superseded");
    for (const name of ["online", "focus", "pagehide", "pageshow"]) window.dispatchEvent(new Event(name));
    vi.advanceTimersByTime(600_000);
    expect(FakeSocket.all).toHaveLength(1);
  });

  it.each([403, 404, 410])("asks over HTTP after a failed attempt and ends when the session is gone (%i)", async (status) => {
    await open();
    fetched.mockResolvedValue({ status, headers: new Headers(), body: null });
    FakeSocket.last.close(1006);
    await vi.advanceTimersByTimeAsync(0);
    expect(fetched.mock.calls[0]![0]).toBe(`${location.origin}/sid-${session}`);
    expect(fetched.mock.calls[0]![1]).toMatchObject({ method: "GET", cache: "no-store", credentials: "same-origin" });
    expect(mirrored()).toBe("gone");
  });

  it.each([
    ["401", { status: 401 }],
    ["a redirect, as to a login", { status: 0, type: "opaqueredirect" }],
  ])("ends as well when the host does not let the page in: %s", async (_, answer) => {
    await open();
    fetched.mockResolvedValue({ headers: new Headers(), body: null, ...answer });
    FakeSocket.last.close(1006);
    await vi.advanceTimersByTimeAsync(0);
    expect(fetched.mock.calls[0]![1]).toMatchObject({ redirect: "manual" });
    expect(mirrored()).toBe("gone");
  });

  it("keeps trying when the question fails as well", async () => {
    await open();
    fetched.mockRejectedValue(new TypeError("network"));
    for (let i = 0; i < 50; i++) {
      FakeSocket.last.close(1006);
      await vi.advanceTimersByTimeAsync(10_000);
    }
    expect(FakeSocket.all).toHaveLength(51);
    expect(mirrored()).toBe("connecting");
  });

  it("notices a peer that has stopped answering", async () => {
    await open();
    FakeSocket.last.open();
    FakeSocket.last.receive({ msg_type: "11" });
    await vi.advanceTimersByTimeAsync(14_000);
    expect(mirrored()).toBe("connected");
    await vi.advanceTimersByTimeAsync(2_000);
    expect(FakeSocket.all).toHaveLength(2);
    expect(FakeSocket.all[0]!.readyState).toBe(3);
  });

  it("closes when the page has given up for good", async () => {
    const page = await open();
    page.api.configure({ max_queue_bytes: 10 });
    page.api.send_warning("more than that");
    FakeSocket.last.open();
    expect(FakeSocket.last.readyState).toBe(3);
    expect(FakeSocket.last.sent).toEqual([]);
    expect(mirrored()).toBe("overflow");
  });

  it("replaces its socket when called twice for one session", async () => {
    await open();
    const first = FakeSocket.last;
    first.open();
    session--;
    const page = await open();
    expect(first.readyState).toBe(3);
    FakeSocket.last.open();
    expect(page.api.can_send_to_julia()).toBe(true);
    vi.advanceTimersByTime(30_000);
    expect(FakeSocket.all).toHaveLength(2);
  });

  it("lets a second, receiving socket come and go unseen", async () => {
    await open({ query: "?low_latency" });
    FakeSocket.last.open();
    const main = FakeSocket.last;
    const socket = (window as any).WEBSOCKET;
    setup_connection({ proxy_url: "./", session_id: `sid-${session}`, query: "?large_data", main_connection: false });
    const large = FakeSocket.last;
    large.open();
    main.types();
    large.receive({ msg_type: "?" });
    expect(main.types()).toEqual(["3"]);
    large.close(1006);
    expect(mirrored()).toBe("connected");
    vi.advanceTimersByTime(500);
    expect(FakeSocket.all).toHaveLength(3);
    socket.close();
  });

  it("lets the second socket go for good with the main one, and not another session's", async () => {
    await open({ query: "?low_latency" });
    const main = FakeSocket.last;
    main.open();
    const second = (session_id: string) => {
      setup_connection({ proxy_url: "./", session_id, query: "?large_data", main_connection: false });
      FakeSocket.last.open();
      return FakeSocket.last;
    };
    const [large, foreign] = [second(`sid-${session}`), second(`sid-${session}-other`)];
    main.close(1006);
    expect(large.readyState, "a lost connection comes back").toBe(1);
    vi.advanceTimersByTime(500);
    const again = FakeSocket.last;
    again.open();
    again.close(4001);
    expect(mirrored()).toBe("superseded");
    expect(large.readyState).toBe(3);
    expect(foreign.readyState).toBe(1);
    vi.advanceTimersByTime(60_000);
    expect(FakeSocket.last, "nothing connects any more").toBe(again);
  });

  it("asks another library to announce its sessions, at every open but the first", async () => {
    const page = await open();
    const calls: string[] = [];
    (window as any).Bonito = {
      ...page.api,
      on_connection_open: () => void calls.push("open"),
      Sessions: { reannounce_initialized_sessions: () => void calls.push("announce") },
    };
    FakeSocket.last.open();
    FakeSocket.last.close(1006);
    vi.advanceTimersByTime(500);
    FakeSocket.last.open();
    expect(calls).toEqual(["open", "open", "announce"]);
  });

  it("works with a library that answers nothing to on_connection_open", async () => {
    const page = await open();
    (window as any).Bonito = { ...page.api, on_connection_open: () => undefined, Connection: {} };
    FakeSocket.last.open();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(FakeSocket.last.readyState).toBe(1);
  });
});
