import { beforeEach, describe, expect, it } from "vitest";
import { decodePlain, encodePlain } from "../src/codec/codec.ts";
import { ControlFrames, isControl } from "../src/websocket/control.ts";
import * as resume from "../src/websocket/resume.ts";
import { Clock } from "./support/clock.ts";

const { ACK_BYTES, ACK_COMPRESSED_BYTES, ACK_DELAY_MS, ACK_FRAMES, PING_INTERVAL_MS, Resume } = resume;
const codec = { encode: encodePlain, decode: decodePlain };
const frames = new ControlFrames(codec);
const filled = (length: number, value: number) => new Uint8Array(length).fill(value);
const control = (...array: unknown[]) => new Uint8Array([0xc1, ...encodePlain(array)]);
const [STREAM, OTHER] = [filled(16, 7), filled(16, 8)];
const welcome = (resumed: boolean, received: number, { stream = STREAM, key = 1, limit = 1000 } = {}) =>
  control(1, resumed, stream, filled(32, key), received, limit);
const data = (n: number) => new Uint8Array([n]);

/** The world around one stream: it notes what goes out, and what is told. */
class World implements resume.ResumeHost {
  readonly codec = codec;
  readonly clock = new Clock();
  /** Data frames as their number, control frames decoded. */
  written: any[] = [];
  log: unknown[] = [];
  onOpened: () => void = () => {};
  readonly stream: resume.Resume;

  constructor(compressed = false) {
    this.stream = new Resume({ instance: filled(16, 5), key: filled(32, 0), compressed }, this);
  }

  now = () => this.clock.time;
  after = (ms: number, run: () => void) => this.clock.after(ms, run);
  write(frame: Uint8Array) {
    this.written.push(isControl(frame) ? decodePlain(frame.subarray(1)) : frame[0]);
  }
  opened(resumed: boolean, limit: number) {
    this.log.push(["opened", resumed, limit]);
    this.onOpened();
  }
  message: (frame: Uint8Array) => void = (frame) => void this.log.push(frame[0]);
  pong = () => void this.log.push("pong");
  broken = () => void this.log.push("broken");
  lost = (reason: string) => void this.log.push(`lost: ${reason}`);

  out = () => this.written.splice(0);
  told = () => this.log.splice(0);
}

let world: World;
let stream: World["stream"];
beforeEach(() => {
  world = new World();
  stream = world.stream;
});

/** Opens the stream for the first time. */
function begin() {
  stream.attach();
  stream.receive(welcome(false, 0));
  world.out();
  world.told();
}

/** A new socket, welcomed. */
function again(received: number) {
  stream.detach();
  stream.attach();
  stream.receive(welcome(true, received, { key: 2 }));
}

describe("a greeting", () => {
  it("says who the page is, and nothing more until it is answered", () => {
    stream.attach();
    stream.send(data(1));
    stream.ping();
    expect(world.out()).toEqual([[0, 1, filled(16, 5), filled(32, 0), null, 0]]);
    stream.receive(welcome(false, 0));
    expect(world.told()).toEqual([["opened", false, 1000]]);
    expect(world.out()).toEqual([1]);
  });

  it("uses the key and the stream of the last welcome, and what has been received", () => {
    begin();
    for (const n of [1, 2, 3]) stream.receive(data(n));
    stream.detach();
    stream.attach();
    expect(world.out()).toEqual([[0, 1, filled(16, 5), filled(32, 1), STREAM, 3]]);
  });

  it("that is never answered changes nothing", () => {
    for (let i = 0; i < 3; i++) {
      stream.attach();
      stream.detach();
    }
    const hello = [0, 1, filled(16, 5), filled(32, 0), null, 0];
    expect(world.out()).toEqual([hello, hello, hello]);
    begin();
    for (let i = 0; i < 3; i++) {
      stream.detach();
      stream.attach();
    }
    expect(world.out().at(-1)).toEqual([0, 1, filled(16, 5), filled(32, 1), STREAM, 0]);
  });

  it.each([
    ["a message", data(1)],
    ["an ack", frames.ack(0)],
    ["a pong", control(5)],
    ["a hello", control(0, 1, filled(16, 5), filled(32, 0), null, 0)],
    ["what makes no sense", new Uint8Array([0xc1])],
  ])("is broken by %s before the welcome", (_, frame) => {
    stream.attach();
    stream.receive(frame);
    expect(world.told()).toEqual(["broken"]);
  });

  it("is not broken by what a later version says", () => {
    stream.attach();
    stream.receive(control(9, "news"));
    expect(world.told()).toEqual([]);
  });

  it("has one welcome", () => {
    begin();
    stream.receive(welcome(true, 0));
    expect(world.told()).toEqual(["broken"]);
  });
});

describe("what was sent", () => {
  it("comes again from where the server is, before what is new, once", () => {
    begin();
    for (const n of [1, 2, 3, 4]) stream.send(data(n));
    expect(world.out()).toEqual([1, 2, 3, 4]);
    stream.detach();
    stream.send(data(5));
    world.onOpened = () => stream.send(data(6));
    again(2);
    expect(world.out().slice(1)).toEqual([3, 4, 5, 6]);
    world.onOpened = () => {};
    again(6);
    expect(world.out().slice(1)).toEqual([]);
    stream.send(data(7));
    expect(world.out()).toEqual([7]);
  });

  it("is kept until it is acknowledged, over any number of sockets", () => {
    begin();
    for (const n of [1, 2, 3]) stream.send(data(n));
    world.out();
    for (let round = 0; round < 5; round++) {
      again(0);
      expect(world.out().filter((frame) => typeof frame === "number")).toEqual([1, 2, 3]);
    }
    expect(stream.heldBytes).toBe(3);
    stream.receive(frames.ack(2));
    expect(stream.heldBytes).toBe(1);
    again(2);
    expect(world.out().slice(1)).toEqual([3]);
    stream.receive(frames.ack(3));
    stream.receive(frames.ack(3));
    expect(stream.heldBytes).toBe(0);
    expect(world.told().filter((text) => typeof text === "string")).toEqual([]);
  });

  it("goes nowhere when whoever is told of the opening ends the socket", () => {
    begin();
    stream.send(data(1));
    stream.detach();
    stream.attach();
    world.out();
    world.onOpened = () => stream.detach();
    stream.receive(welcome(true, 0));
    expect(world.out()).toEqual([]);
    expect(world.clock.pending, "pings to nobody").toBe(0);
  });
});

describe("continuity is lost", () => {
  const resumed: [string, () => void, string][] = [
    ["by a welcome to another stream", () => stream.receive(welcome(true, 0, { stream: OTHER })), "stream"],
    ["by a welcome to a new stream", () => stream.receive(welcome(false, 0, { stream: OTHER })), "stream"],
    ["by a server that had what was never sent", () => stream.receive(welcome(true, 3)), "count"],
    ["by a server that no longer has what it had", () => stream.receive(welcome(true, 0)), "count"],
  ];
  it.each(resumed)("%s", (_, act, reason) => {
    begin();
    stream.send(data(1));
    stream.send(data(2));
    stream.receive(frames.ack(1));
    stream.detach();
    // Never written, so nobody can have it.
    stream.send(data(3));
    stream.attach();
    world.out();
    act();
    expect(world.told()).toEqual([`lost: ${reason}`]);
    expect(world.out()).toEqual([]);
  });

  it("by a stream that goes on though none began", () => {
    stream.attach();
    stream.receive(welcome(true, 0));
    expect(world.told()).toEqual(["lost: stream"]);
  });

  it.each([[3], [0]])("by an ack of %i when 2 were sent and 1 was acknowledged", (received) => {
    begin();
    stream.send(data(1));
    stream.send(data(2));
    stream.receive(frames.ack(1));
    expect(world.told()).toEqual([]);
    stream.receive(frames.ack(received));
    expect(world.told()).toEqual(["lost: count"]);
  });
});

describe("what is received", () => {
  const acks = () => world.out().filter((frame) => Array.isArray(frame) && frame[0] === 2);
  beforeEach(begin);

  it(`is acknowledged after ${ACK_FRAMES} messages`, () => {
    for (let n = 1; n < ACK_FRAMES; n++) stream.receive(data(n));
    expect(acks()).toEqual([]);
    stream.receive(data(0));
    expect(acks()).toEqual([[2, ACK_FRAMES]]);
  });

  it(`is acknowledged after ${ACK_BYTES} bytes`, () => {
    stream.receive(new Uint8Array(ACK_BYTES - 1));
    expect(acks()).toEqual([]);
    stream.receive(data(1));
    expect(acks()).toEqual([[2, 2]]);
  });

  it(`is acknowledged after ${ACK_COMPRESSED_BYTES} compressed bytes, of which nobody knows yet what they inflate to`, () => {
    world = new World(true);
    stream = world.stream;
    begin();
    stream.receive(new Uint8Array(ACK_COMPRESSED_BYTES));
    expect(acks()).toEqual([[2, 1]]);
  });

  it(`is acknowledged ${ACK_DELAY_MS} ms after the first`, async () => {
    stream.receive(data(1));
    await world.clock.pass(ACK_DELAY_MS / 2);
    stream.receive(data(2));
    await world.clock.pass(ACK_DELAY_MS / 2 - 1);
    expect(acks()).toEqual([]);
    await world.clock.pass(1);
    expect(acks()).toEqual([[2, 2]]);
    await world.clock.pass(4 * ACK_DELAY_MS);
    expect(acks()).toEqual([]);
  });

  it("is acknowledged in time though timers are late, as in a page that nobody sees", () => {
    stream.receive(data(1));
    world.clock.time += ACK_DELAY_MS;
    stream.receive(data(2));
    expect(acks()).toEqual([[2, 2]]);
  });

  it("is counted whatever is in it: empty, a test write, or with a handler that ends the socket", () => {
    stream.receive(new Uint8Array(0));
    stream.receive(new Uint8Array([0]));
    world.message = () => void stream.detach();
    stream.receive(data(3));
    stream.attach();
    expect(world.out().at(-1)[5]).toBe(3);
  });

  it("does not count when it comes over no socket", async () => {
    stream.detach();
    stream.receive(data(1));
    stream.attach();
    expect(world.out()[0][5]).toBe(0);
    expect(world.told()).toEqual([]);
  });

  it("and not acknowledged when the socket ended is not on the next, whose hello has said it", async () => {
    stream.receive(data(1));
    again(0);
    world.out();
    await world.clock.pass(2 * ACK_DELAY_MS);
    expect(acks()).toEqual([]);
  });
});

describe("pings", () => {
  beforeEach(begin);
  const pings = () => world.out().filter((frame) => Array.isArray(frame) && frame[0] === 4).length;

  it(`go every ${PING_INTERVAL_MS} ms, and only while open`, async () => {
    await world.clock.pass(3 * PING_INTERVAL_MS);
    expect(pings()).toBe(3);
    stream.detach();
    stream.ping();
    await world.clock.pass(3 * PING_INTERVAL_MS);
    expect(pings()).toBe(0);
    expect(world.clock.pending).toBe(0);
  });

  it("wait for any sign of life", async () => {
    expect(stream.liveness).toEqual({ answers: true, waitingSince: null });
    await world.clock.pass(2 * PING_INTERVAL_MS);
    expect(stream.liveness.waitingSince).toBe(PING_INTERVAL_MS);
    stream.receive(control(5));
    expect(world.told()).toEqual(["pong"]);
    expect(stream.liveness.waitingSince).toBeNull();
    stream.ping();
    stream.receive(data(1));
    expect(stream.liveness.waitingSince).toBeNull();
  });
});
