import { beforeEach, describe, expect, it } from "vitest";
import { actionFor, CloseCode, plainOutcomes } from "../src/websocket/close_codes.ts";
import { retryAfterMs, type Verdict } from "../src/websocket/probe.ts";
import * as reconnect from "../src/websocket/reconnect.ts";
import { probeUrl, socketUrl } from "../src/websocket/url.ts";

const { BASE_DELAY_MS, CONNECT_TIMEOUT_MS, MAX_DELAY_MS, Reconnector, SILENCE_MS, STABLE_AFTER_MS } = reconnect;

/** A world with its own clock, and sockets that do what the test says. */
class World implements reconnect.Environment {
  time = 0;
  luck = 0.5;
  verdict: Verdict = { kind: "unknown" };
  probes = 0;
  pings = 0;
  silence = { answers: false, waitingSince: null as number | null };
  refuse = false;
  sockets: { events: reconnect.SocketEvents; closed: number | undefined }[] = [];
  log: string[] = [];
  wanted = true;
  #timers: { at: number; run: () => void }[] = [];
  readonly machine = new Reconnector(this, {
    connecting: () => void this.log.push("connecting"),
    opened: () => (this.log.push("open"), this.wanted),
    message: (data) => void this.log.push(String(data)),
    ended: ({ reason }) => void this.log.push(reason),
  });

  now = () => this.time;
  random = () => this.luck;
  after(ms: number, run: () => void) {
    const timer = { at: this.time + ms, run };
    this.#timers.push(timer);
    return () => void (this.#timers = this.#timers.filter((other) => other !== timer));
  }
  connect(events: reconnect.SocketEvents) {
    if (this.refuse) throw new Error("no");
    const socket = { events, closed: undefined as number | undefined };
    this.sockets.push(socket);
    return { close: (code?: number) => void (socket.closed ??= code) };
  }
  probe() {
    this.probes++;
    return Promise.resolve(this.verdict);
  }
  outcomes = () => plainOutcomes;
  liveness = () => this.silence;
  ping = () => void this.pings++;

  get last() {
    return this.sockets.at(-1)!;
  }
  get timers() {
    return this.#timers.map(({ at }) => at - this.time);
  }
  open() {
    this.last.events.opened();
  }
  drop(code: number = CloseCode.Abnormal) {
    this.last.events.closed(code);
  }
  /** Lets time pass, timer by timer. */
  pass(ms: number) {
    const end = this.time + ms;
    for (;;) {
      const next = this.#timers.filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)[0];
      if (!next) break;
      this.#timers = this.#timers.filter((other) => other !== next);
      this.time = Math.max(this.time, next.at);
      next.run();
    }
    this.time = end;
  }
  /** Time passes, but nothing runs: the page is frozen. */
  freeze(ms: number) {
    this.time += ms;
  }
}

let world: World;
const answered = () => new Promise((resolve) => setTimeout(resolve));
const phase = () => world.machine.phase;

beforeEach(() => {
  world = new World();
  world.machine.start();
});

/** Opens and holds long enough to count as a good connection. */
function hold() {
  world.open();
  world.pass(STABLE_AFTER_MS);
}

describe("pauses", () => {
  it("have full jitter and double up to the cap", () => {
    hold();
    for (let failure = 0; failure < 12; failure++) {
      const bound = Math.min(MAX_DELAY_MS, BASE_DELAY_MS * 2 ** failure);
      world.luck = failure % 3 === 0 ? 0 : failure % 3 === 1 ? 0.5 : 0.75;
      world.drop();
      expect(world.timers).toEqual([world.luck * bound]);
      const attempts = world.sockets.length;
      if (world.luck > 0) world.pass(world.luck * bound - 0.5);
      expect(world.sockets.length).toBe(attempts);
      world.pass(0.5);
      expect(world.sockets.length).toBe(attempts + 1);
    }
  });

  it("never end", () => {
    for (let i = 0; i < 500; i++) {
      world.drop();
      world.pass(MAX_DELAY_MS);
      expect(phase()).toBe("connecting");
    }
  });

  it("start short again after a connection that held", () => {
    for (let i = 0; i < 8; i++) { world.drop(); world.pass(MAX_DELAY_MS); }
    hold();
    world.drop();
    expect(world.timers).toEqual([BASE_DELAY_MS / 2]);
  });

  it("grow with connections that open and do not hold, from the start again", () => {
    for (let i = 0; i < 8; i++) { world.drop(); world.pass(MAX_DELAY_MS); }
    for (const expected of [250, 500, 1000, 2000]) {
      world.open();
      world.drop();
      expect(world.timers).toEqual([expected]);
      world.pass(expected);
    }
  });

  it("are longer when the server is busy", () => {
    hold();
    world.drop(CloseCode.TryLater);
    expect(world.timers).toEqual([BASE_DELAY_MS * 8 * 0.5]);
  });

  it("also follow a connect that throws or never answers", () => {
    world.drop();
    world.refuse = true;
    world.pass(250);
    expect(phase()).toBe("waiting");
    world.refuse = false;
    world.pass(500);
    expect(phase()).toBe("connecting");
    const stuck = world.last;
    world.pass(CONNECT_TIMEOUT_MS);
    expect(stuck.closed).toBe(CloseCode.NoAnswer);
    expect(phase()).toBe("waiting");
  });
});

describe("a second drop", () => {
  it("right after a reconnect is answered like the first", () => {
    hold();
    world.drop();
    world.pass(250);
    world.open();
    world.drop();
    world.pass(250);
    expect(phase()).toBe("connecting");
    world.open();
    expect(phase()).toBe("open");
  });

  it("does not count when it is of an earlier socket", () => {
    hold();
    const old = world.last;
    world.drop();
    world.pass(250);
    hold();
    old.events.closed(CloseCode.Superseded);
    old.events.message("late");
    old.events.opened();
    expect(phase()).toBe("open");
    expect(world.log).toEqual(["connecting", "open", "connecting", "open"]);
  });

  it("a thousand times over, in every state, never sticks", () => {
    for (let i = 0; i < 1000; i++) {
      world.luck = (i * 7919 % 1000) / 1000;
      if (i % 2) world.open();
      if (i % 3 === 0) world.machine.suspend();
      if (i % 5) world.drop([1000, 1001, 1006, 1011, 1012, 1013][i % 6]);
      if (i % 3 === 0) world.machine.resume();
      if (i % 7 === 0) world.machine.wake();
      world.pass(MAX_DELAY_MS);
    }
    world.pass(CONNECT_TIMEOUT_MS + MAX_DELAY_MS);
    expect(phase()).toBe("connecting");
    world.open();
    expect(phase()).toBe("open");
    expect(world.sockets.slice(0, -1).every(({ closed }) => closed !== undefined)).toBe(true);
    expect(world.last.closed).toBeUndefined();
    expect(world.timers).toHaveLength(1);
  });
});

describe("waking", () => {
  it("tries at once, once", () => {
    hold();
    world.drop();
    world.machine.wake();
    expect(phase()).toBe("connecting");
    world.machine.wake();
    expect(world.sockets).toHaveLength(2);
    world.pass(MAX_DELAY_MS - 1);
    expect(world.sockets).toHaveLength(2);
  });

  it("checks a connection that looks open", () => {
    hold();
    world.machine.wake();
    expect(world.pings).toBe(1);
    expect(phase()).toBe("open");
  });
});

describe("leaving the page", () => {
  it("suppresses every attempt", () => {
    hold();
    world.machine.suspend();
    world.drop();
    world.machine.wake();
    world.pass(60_000);
    expect(world.sockets).toHaveLength(1);
    expect(world.probes).toBe(0);
  });

  it("stops a pause that is running", () => {
    hold();
    world.drop();
    world.machine.suspend();
    world.pass(60_000);
    expect(world.sockets).toHaveLength(1);
  });

  it("and coming back connects at once, or goes on with the socket that survived", () => {
    hold();
    world.machine.suspend();
    world.machine.resume();
    expect(phase()).toBe("open");
    expect(world.sockets).toHaveLength(1);
    world.machine.suspend();
    world.drop();
    world.machine.resume();
    expect(phase()).toBe("connecting");
    expect(world.sockets).toHaveLength(2);
  });

  it("and coming back from an attempt under way makes a new one", () => {
    const first = world.last;
    world.machine.suspend();
    world.machine.resume();
    expect(first.closed).toBeDefined();
    expect(phase()).toBe("connecting");
    world.open();
    expect(phase()).toBe("open");
  });

  it("means nothing to a machine that has ended", () => {
    world.drop(CloseCode.Superseded);
    world.machine.suspend();
    world.machine.resume();
    expect(phase()).toBe("ended");
  });
});

describe("ends", () => {
  for (const [code, reason] of [[4001, "superseded"], [4003, "refused"], [4004, "gone"]] as const) {
    it(`${code} is ${reason}, and nothing fights back`, () => {
      hold();
      world.drop(code);
      world.machine.wake();
      world.machine.resume();
      world.machine.reconnect();
      world.pass(600_000);
      expect(phase()).toBe("ended");
      expect(world.sockets).toHaveLength(1);
      expect(world.log).toEqual(["connecting", "open", reason]);
      expect(world.timers).toEqual([]);
    });
  }

  for (const code of [1000, 1001, 1002, 1005, 1006, 1007, 1008, 1009, 1011, 1012, 1013, 1015, 3000, 4000, 4999]) {
    it(`${code} is not one`, () => expect(actionFor(code).kind).toBe("reconnect"));
  }

  it("when the library wants no connection any more", () => {
    world.wanted = false;
    world.open();
    expect(phase()).toBe("ended");
    expect(world.last.closed).toBe(1000);
  });
});

describe("a server that drains", () => {
  it("is left alone for as long as it asks", () => {
    hold();
    world.last.events.closed(CloseCode.Restart, "retry-after=5000");
    world.pass(4_999);
    expect(world.sockets).toHaveLength(1);
    world.pass(10_001);
    expect(world.sockets).toHaveLength(2);
  });

  it("is left alone as well by a page that is shown again", () => {
    hold();
    world.last.events.closed(CloseCode.Restart, "retry-after=5000");
    world.machine.suspend();
    world.pass(1_000);
    world.machine.resume();
    world.pass(3_999);
    expect(world.sockets).toHaveLength(1);
    world.pass(1 + BASE_DELAY_MS);
    expect(world.sockets).toHaveLength(2);
  });

  it("is asked at once by a page that is shown again later", () => {
    hold();
    world.last.events.closed(CloseCode.Restart, "retry-after=5000");
    world.machine.suspend();
    world.freeze(5_000);
    world.machine.resume();
    expect(world.sockets).toHaveLength(2);
  });

  it.each([
    ["retry-after=99999999", 60_000],
    ["retry-after=-5", 0],
    ["retry-after=5000x", 0],
    ["", 0],
  ])("may say %j and gets %d ms", (reason, ms) => {
    expect(actionFor(CloseCode.Restart, reason)).toMatchObject({ kind: "reconnect", afterMs: ms });
  });
});

describe("asking over HTTP", () => {
  it("happens after a failed attempt only, not after a lost connection", () => {
    hold();
    world.drop();
    expect(world.probes).toBe(0);
    world.pass(250);
    world.drop();
    expect(world.probes).toBe(1);
  });

  it("ends it when the session is gone", async () => {
    world.verdict = { kind: "gone", status: 404 };
    world.drop();
    await answered();
    expect(phase()).toBe("ended");
    expect(world.log.at(-1)).toBe("gone");
    world.pass(60_000);
    expect(world.sockets).toHaveLength(1);
  });

  it("counts for nothing when a socket has opened since", async () => {
    world.verdict = { kind: "gone", status: 404 };
    world.drop();
    world.pass(250);
    world.open();
    await answered();
    expect(phase()).toBe("open");
    world.drop();
    await answered();
    expect(phase()).toBe("waiting");
  });

  it("counts for nothing when it is about an earlier loss", async () => {
    let answer: (verdict: Verdict) => void = () => {};
    world.probe = () => new Promise((resolve) => (answer = resolve));
    world.drop();
    world.pass(250);
    world.open();
    world.drop();
    answer({ kind: "gone", status: 404 });
    await answered();
    expect(phase()).toBe("waiting");
  });

  it("waits as long as the server says, hope or not", async () => {
    world.verdict = { kind: "later", afterMs: 30_000 };
    world.drop();
    await answered();
    world.machine.wake();
    world.pass(30_000);
    expect(world.sockets).toHaveLength(1);
    world.pass(MAX_DELAY_MS);
    expect(world.sockets).toHaveLength(2);
  });

  it("reads Retry-After in both forms, and not for ever", () => {
    expect(retryAfterMs("12", 0)).toBe(12_000);
    expect(retryAfterMs(new Date(90_000).toUTCString(), 60_000)).toBe(30_000);
    expect(retryAfterMs("86400", 0)).toBe(300_000);
    expect(retryAfterMs("soon", 0)).toBe(0);
    expect(retryAfterMs("-5", 0)).toBe(0);
    expect(retryAfterMs(null, 0)).toBe(0);
  });
});

describe("a half-open peer", () => {
  /** Pings go unanswered from now on. */
  const mute = () => void (world.silence = { answers: true, waitingSince: world.time });

  it("is dropped after fifteen silent seconds, and connected to again", () => {
    hold();
    world.last.events.message("pong");
    mute();
    world.pass(SILENCE_MS - 1);
    expect(phase()).toBe("open");
    world.pass(1);
    expect(phase()).toBe("waiting");
    expect(world.sockets[0]!.closed).toBe(CloseCode.NoAnswer);
    world.pass(MAX_DELAY_MS);
    expect(phase()).toBe("connecting");
  });

  it("is not one that says anything at all", () => {
    hold();
    world.last.events.message("x");
    mute();
    for (let i = 0; i < 20; i++) { world.pass(10_000); world.last.events.message("x"); }
    expect(phase()).toBe("open");
  });

  it("is not one that never answered pings, nor one that owes no answer", () => {
    hold();
    world.silence = { answers: false, waitingSince: 0 };
    world.pass(120_000);
    world.silence = { answers: true, waitingSince: null };
    world.pass(120_000);
    expect(phase()).toBe("open");
  });

  it("is not suspected for the time in which the page was frozen", () => {
    hold();
    mute();
    world.freeze(3_600_000);
    world.pass(SILENCE_MS - 2_000);
    expect(phase()).toBe("open");
    expect(world.pings).toBe(1);
    world.pass(2_000);
    expect(phase()).toBe("waiting");
  });
});

describe("addresses", () => {
  const page = "http://127.0.0.1:8701/deep/page?x=1";
  for (const [proxy, url] of [
    ["./", "ws://127.0.0.1:8701/SID?q"],
    ["/", "ws://127.0.0.1:8701/SID?q"],
    ["", "ws://127.0.0.1:8701/SID?q"],
    ["http://h:1234", "ws://h:1234/SID?q"],
    ["https://x/base", "wss://x/base/SID?q"],
    ["https://x/base/", "wss://x/base/SID?q"],
    ["wss://y", "wss://y/SID?q"],
    ["//http.example", "ws://http.example/SID?q"],
    ["/proxy/8000", "ws://127.0.0.1:8701/proxy/8000/SID?q"],
    ["./sub/", "ws://127.0.0.1:8701/deep/sub/SID?q"],
  ] as const) {
    it(`${proxy || "(empty)"} is ${url}`, () => expect(socketUrl(proxy, "SID", "?q", page)).toBe(url));
  }

  it("is secure on a secure page, and without a query if there is none", () => {
    expect(socketUrl("./", "SID", undefined, "https://h/p")).toBe("wss://h/SID");
    expect(probeUrl("wss://h/SID?q")).toBe("https://h/SID?q");
  });
});
