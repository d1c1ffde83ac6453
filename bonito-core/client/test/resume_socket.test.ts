import { beforeEach, describe, expect, it } from "vitest";
import { encodePlain } from "../src/codec/codec.ts";
import { DEFAULT_QUEUE_BYTES } from "../src/connection/connection.ts";
import { SILENCE_MS } from "../src/websocket/reconnect.ts";
import { Clock } from "./support/clock.ts";
import { Network } from "./support/network.ts";
import { ResumedPage } from "./support/resumed_page.ts";
import { ResumeServer } from "./support/resume_server.ts";

let clock: Clock;
let server: ResumeServer;
let network: Network;
let page: ResumedPage;
const random = () => 0.5;
const socket = () => page.lines.at(-1)!.socket;
const message = (n: unknown) => ({ msg_type: "4", message: n });

async function open() {
  clock = new Clock();
  server = new ResumeServer(clock, random);
  network = new Network(clock, random, server);
  page = new ResumedPage(clock, network, server, random);
  await clock.pass(500);
}
const load = async () => {
  const tab = new ResumedPage(clock, network, server, () => 0.25);
  await clock.pass(500);
  return tab;
};

beforeEach(open);

describe("a page that is resumed", () => {
  it("announces itself once, and pings by control frames only", async () => {
    for (let i = 0; i < 5; i++) {
      server.close(1006);
      await clock.pass(20_000);
    }
    expect(page.state).toEqual({ status: "connected" });
    expect(server.opened).toBe(1);
    expect(server.got).toEqual([]);
    expect(server.counts.resumed).toBe(5);
  });

  it("tells the library of every pong", async () => {
    await clock.pass(6_000);
    expect(page.pongs).toBe(1);
  });

  it("sends nothing before the welcome, though it comes late", async () => {
    network.slowness = 2_000;
    server.close(1006);
    for (let n = 1; n <= 5; n++) page.send(n);
    await clock.pass(15_000);
    expect(server.breaches).toEqual([]);
    expect(server.got).toEqual([1, 2, 3, 4, 5]);
  });

  it("does not count what a socket of the past still brings", async () => {
    page.socket.reconnect();
    const old = page.lines[0]!.socket;
    await clock.pass(500);
    old.readyState = 1;
    old.receive(encodePlain(message(1)));
    old.onclose?.({ code: 4005, reason: "stream" });
    server.send(message("real"));
    await clock.pass(3_000);
    expect(page.got).toEqual(["real"]);
    expect(page.state).toEqual({ status: "connected" });
    expect(server.waiting).toBe(0);
  });

  it(`notices within ${SILENCE_MS + 6_000} ms that nothing comes any more`, async () => {
    page.lines[0]!.stall();
    page.send(1);
    server.send(message(2));
    await clock.pass(SILENCE_MS - 1_000);
    expect(page.state).toEqual({ status: "connected" });
    await clock.pass(7_000 + 2_000);
    expect(page.lines).toHaveLength(2);
    expect([server.got, page.got]).toEqual([[1], [2]]);
  });

  it("that was frozen for an hour goes on at once on a socket that survived", async () => {
    network.freeze();
    for (let n = 1; n <= 60; n++) server.send(message(n));
    await clock.pass(3_600_000);
    network.thaw();
    page.socket.retry_connection();
    await clock.pass(10_000);
    expect(page.lines).toHaveLength(1);
    expect(page.got).toHaveLength(60);
  });

  it("that was left and is shown again resumes", async () => {
    page.socket.suspend();
    server.close(1001);
    server.send(message(1));
    await clock.pass(60_000);
    expect(page.lines).toHaveLength(1);
    page.socket.resume();
    await clock.pass(500);
    expect(page.got).toEqual([1]);
  });

  it.each([[1012, 5_000], [1013, 5_000]])("comes back after the time that %i asks for, and resumes", async (code, ms) => {
    server.close(code, `retry-after=${ms}`);
    await clock.pass(ms);
    expect(page.lines).toHaveLength(1);
    await clock.pass(5_000);
    expect(page.lines).toHaveLength(2);
    expect(page.state).toEqual({ status: "connected" });
  });

  it("waits as long as 503 asks, and resumes", async () => {
    server.status = 503;
    server.close(1006);
    await clock.pass(300);
    expect(page.lines).toHaveLength(2);
    server.status = null;
    page.socket.retry_connection();
    await clock.pass(1_900);
    expect(page.lines).toHaveLength(2);
    await clock.pass(3_000);
    expect(page.state).toEqual({ status: "connected" });
    expect(server.counts.resumed).toBe(1);
  });

  it("comes back from whatever is no end", async () => {
    for (const code of [1000, 1001, 1002, 1006, 1007, 1008, 1011, 4000, 4008, 4999]) {
      server.close(code);
      await clock.pass(60_000);
      expect(page.state, String(code)).toEqual({ status: "connected" });
    }
    expect(server.counts.resumed).toBe(10);
  });

  it.each([
    ["a second welcome", new Uint8Array([0xc1, ...encodePlain([1, true, new Uint8Array(16), new Uint8Array(32), 0, 1])])],
    ["a control frame that makes no sense", new Uint8Array([0xc1, 0xc1])],
    ["a hello", new Uint8Array([0xc1, ...encodePlain([0])])],
  ])("gives a socket up for %s, and comes back later", async (_, bytes) => {
    server.sendRaw(bytes);
    await clock.pass(100);
    expect(page.state).toEqual({ status: "connecting" });
    await clock.pass(10_000);
    expect(page.state).toEqual({ status: "connected" });
    expect(server.counts.resumed).toBe(1);
  });

  it("gives a socket up for text", async () => {
    socket().onmessage?.({ data: "text" });
    expect(page.state).toEqual({ status: "connecting" });
    await clock.pass(10_000);
    expect(page.state).toEqual({ status: "connected" });
  });

  it("does not go on in the plain mode, but tries again", async () => {
    server.speaks = false;
    server.close(1006);
    await clock.pass(5_000);
    expect(page.state).toEqual({ status: "connecting" });
    expect(page.lines.length).toBeLessThan(5);
    server.speaks = true;
    await clock.pass(30_000);
    expect(page.state).toEqual({ status: "connected" });
    expect(server.breaches).toEqual([]);
  });
});

it("a socket that the page closes keeps nothing, and leaves the queue to the next one", async () => {
  page.lines[0]!.stall();
  for (let n = 0; n < 6; n++) page.send("x".repeat(1_000_000));
  page.socket.close();
  expect(page.state).toEqual({ status: "disconnected", reason: "closed" });
  for (let n = 0; n < 6; n++) page.send("x".repeat(1_000_000));
  expect(page.state.reason).toBe("closed");
  await clock.pass(60_000);
  expect(page.lines).toHaveLength(1);
  expect(clock.pending).toBe(0);
});

describe("the end", () => {
  it.each([
    [4001, "", { reason: "superseded" }],
    [4003, "key", { reason: "refused", detail: "key" }],
    [4003, "duplicate", { reason: "refused", detail: "duplicate" }],
    [4003, "plain", { reason: "refused", detail: "plain" }],
    [4004, "", { reason: "gone" }],
    [4005, "stream", { reason: "lost", detail: "stream" }],
    [4005, "count", { reason: "lost", detail: "count" }],
    [4005, "overflow", { reason: "lost", detail: "overflow" }],
    [4005, "a later word", { reason: "lost", detail: "unknown" }],
    [4005, "<b>", { reason: "lost", detail: "unknown" }],
    [1009, "", { reason: "lost", detail: "size" }],
  ])("%i %s is one", async (code, reason, end) => {
    server.close(code, reason);
    await clock.pass(100);
    expect(page.state).toEqual({ status: "disconnected", ...end });
    page.socket.retry_connection();
    page.socket.reconnect();
    page.socket.suspend();
    page.socket.resume();
    page.send("late");
    expect(page.socket.send(new Uint8Array(1)), "kept for nobody").toBe(false);
    await clock.pass(600_000);
    expect(page.lines).toHaveLength(1);
    expect(server.got).toEqual([]);
    expect(page.states.filter(({ status }) => status === "disconnected")).toHaveLength(1);
  });

  it.each([
    [404, { reason: "lost", detail: "gone" }],
    [410, { reason: "lost", detail: "gone" }],
    [403, { reason: "refused", detail: "identity" }],
  ])("a session that is answered with %i is one", async (status, end) => {
    server.status = status;
    server.close(1006);
    await clock.pass(2_000);
    expect(page.state).toEqual({ status: "disconnected", ...end });
  });

  it("is told to the server when the page finds it out", async () => {
    server.sendRaw(new Uint8Array([0xc1, ...encodePlain([2, 99])]));
    await clock.pass(100);
    expect(page.state).toEqual({ status: "disconnected", reason: "lost", detail: "count" });
    expect(socket().closedWith).toEqual([4005, "count"]);
  });
});

describe("a duplicated tab", () => {
  it("is told to load afresh, and the first one is not disturbed", async () => {
    page.send(1);
    const tab = await load();
    expect(tab.state).toEqual({ status: "disconnected", reason: "lost", detail: "duplicate" });
    page.send(2);
    await clock.pass(500);
    expect(server.got).toEqual([1, 2]);
    expect(page.lines).toHaveLength(1);
  });

  it("is refused, if the server wants it so", async () => {
    server.takeover = "reject";
    const tab = await load();
    expect(tab.state).toEqual({ status: "disconnected", reason: "refused", detail: "duplicate" });
    expect(page.state).toEqual({ status: "connected" });
  });

  it("takes over, if the server wants it so; the first one does not fight back", async () => {
    server.takeover = "newest";
    page.send(1);
    await clock.pass(100);
    const tab = await load();
    expect(tab.state).toEqual({ status: "connected" });
    expect(page.state).toEqual({ status: "disconnected", reason: "superseded" });
    tab.send("mine");
    await clock.pass(60_000);
    expect(server.got).toEqual([1, "mine"]);
    expect(page.lines).toHaveLength(1);
  });
});

describe("what waits", () => {
  const MIB = 1024 * 1024;
  const send = (bytes: number) => page.send("x".repeat(bytes));
  beforeEach(async () => {
    server.messageBytes = 64 * MIB;
    server.close(1006);
    await clock.pass(2_000);
  });

  it("is bounded together with what is not acknowledged, and overflows only beyond", async () => {
    page.lines.at(-1)!.stall();
    for (let n = 0; n < 4; n++) send(MIB);
    expect(page.state).toEqual({ status: "connected" });
    page.lines.at(-1)!.cut(0, null);
    network.refusing = true;
    await clock.pass(10);
    for (let n = 0; n < 3; n++) send(MIB);
    expect(page.state).toEqual({ status: "connecting" });
    send(MIB - 8 * 64);
    expect(page.state).toEqual({ status: "connecting" });
    send(1024);
    expect(page.state).toEqual({ status: "disconnected", reason: "lost", detail: "overflow" });
    network.refusing = false;
    await clock.pass(60_000);
    expect(server.got, "nothing of it is delivered").toEqual([]);
  });

  it("overflows while the socket looks open, too, and tells the server", async () => {
    page.lines.at(-1)!.stall();
    for (let n = 0; n < 9; n++) send(MIB);
    expect(page.state).toEqual({ status: "disconnected", reason: "lost", detail: "overflow" });
    expect(socket().closedWith).toEqual([4005, "overflow"]);
    expect(page.errors.flat().join()).toContain(`more than ${DEFAULT_QUEUE_BYTES} bytes`);
  });

  it("does not grow with what is acknowledged", async () => {
    for (let n = 0; n < 40; n++) {
      send(MIB);
      await clock.pass(2_000);
    }
    expect(page.state).toEqual({ status: "connected" });
    expect(server.got).toHaveLength(40);
  });
});

describe("a message that is longer than the server takes", () => {
  const LONG = "x".repeat(20_000);
  beforeEach(async () => {
    server.messageBytes = 10_000;
    server.close(1006);
    await clock.pass(2_000);
  });

  it("is refused where it is made, with both sizes, and nothing is lost by it", async () => {
    page.send(1);
    expect(() => page.send(LONG)).toThrow(/message of 20\d\d\d bytes .* 10000 bytes/);
    page.send(2);
    await clock.pass(500);
    expect(server.got).toEqual([1, 2]);
    expect(page.state).toEqual({ status: "connected" });
  });

  it("is refused while there is no connection as well", () => {
    server.close(1006);
    expect(() => page.send(LONG)).toThrow(RangeError);
  });

  it("is reported when the limit is known only after it was made", async () => {
    server.takeover = "newest";
    const tab = new ResumedPage(clock, network, server, () => 0.25);
    tab.send(LONG);
    tab.send(2);
    await clock.pass(2_000);
    expect(server.got).toEqual([2, "A message could not be sent"]);
    expect(tab.errors).toHaveLength(1);
    expect(tab.state).toEqual({ status: "connected" });
  });
});

describe("a server that does not speak the protocol", () => {
  it("gets the plain mode, as ever", async () => {
    server.speaks = false;
    const sent: any[] = [];
    server.upgrade = () => ({ protocol: "", end: { frame: (bytes) => void sent.push(bytes[0]), closed: () => {} } });
    const plain = await load();
    expect(plain.state).toEqual({ status: "connected" });
    plain.send(1);
    await clock.pass(100);
    // The announcement, the message; no control frame.
    expect(sent.map((byte) => byte === 0xc1)).toEqual([false, false, false]);
    plain.lines[0]!.socket.closed(4003, "duplicate");
    expect(plain.state).toEqual({ status: "disconnected", reason: "refused" });
  });
});

it("a key that is none is refused, without being told", () => {
  server.pageKey.fill(0);
  Object.defineProperty(server, "pageKey", { value: new Uint8Array(31).fill(65) });
  expect(() => new ResumedPage(clock, network, server, random)).toThrow(/^The key for resuming is not 32 bytes in base64url$/);
});
