import { describe, expect, it } from "vitest";
import { Clock, randomOf, settled } from "./support/clock.ts";
import { Network } from "./support/network.ts";
import { ResumedPage } from "./support/resumed_page.ts";
import { ResumeServer } from "./support/resume_server.ts";

const RUNS = Number(process.env["RUNS"] ?? 1_000);
const FIRST = Number(process.env["SEED"] ?? 1);

class World {
  readonly clock = new Clock();
  readonly random: () => number;
  readonly server: ResumeServer;
  readonly network: Network;
  readonly page: ResumedPage;
  readonly trace: string[] = [];
  /** Numbers sent so far, by each side. */
  said = { page: 0, server: 0 };
  frozen = false;
  hidden = false;
  /** Whether something has happened that no stream survives. */
  fatal = false;

  constructor(seed: number) {
    this.random = randomOf(seed);
    this.server = new ResumeServer(this.clock, this.random);
    this.network = new Network(this.clock, this.random, this.server);
    this.network.slowness = this.pick(5, 40, 40, 400, 1_500);
    this.page = new ResumedPage(this.clock, this.network, this.server, this.random);
  }

  below(bound: number): number {
    return Math.floor(this.random() * bound);
  }

  pick<T>(...from: T[]): T {
    return from[this.below(from.length)] as T;
  }

  note(text: string): void {
    this.trace.push(`${Math.round(this.clock.time)} ${text}`);
  }

  /** What holds at every moment: what was observed is the beginning of what was said. */
  check = (): void => {
    const { page, server } = this;
    const beginning = (numbers: readonly unknown[]) => numbers.every((number, place) => number === place + 1);
    if (!beginning(page.got)) throw new Error(`the page got ${page.got.join()}`);
    if (!beginning(server.got)) throw new Error(`the server got ${server.got.join()}`);
    if (server.breaches.length > 0) throw new Error(server.breaches.join("; "));
    if (!this.fatal && page.errors.length > 0) throw new Error(`the page failed: ${String(page.errors[0])}`);
    if (!this.fatal && page.state.reason && page.state.reason !== "closed") throw new Error(`the page ended: ${JSON.stringify(page.state)}`);
  };

  pass(ms: number): Promise<void> {
    return this.clock.pass(ms, this.check);
  }

  say(side: "page" | "server", count: number): void {
    const { page, server, said } = this;
    for (; count > 0; count--) {
      if (side === "page") page.send(++said.page);
      else server.send({ msg_type: "4", message: ++said.server });
    }
  }

  async step(): Promise<void> {
    const { network, page, server } = this;
    const line = page.lines.at(-1);
    switch (this.below(16)) {
      case 0:
      case 1:
      case 2:
        this.note("page says");
        this.say("page", 1 + this.below(40));
        break;
      case 3:
      case 4:
      case 5:
        this.note("server says");
        this.say("server", 1 + this.below(40));
        break;
      case 6: {
        const ends = this.pick<[number | null, number | null]>([0, 0], [0, null], [null, 0], [this.below(5_000), this.below(40_000)], [0, 40_000]);
        this.note(`cut ${ends.join()}`);
        line?.cut(...ends);
        break;
      }
      case 7:
        this.note("half-open");
        line?.stall();
        break;
      case 8:
        network.refusing = this.random() < 0.3;
        this.note(`refusing ${network.refusing}`);
        break;
      case 9: {
        const end = this.pick<[number, string?]>([1000], [1001], [1006], [1007], [1011], [1012, "retry-after=700"], [1013], [4008]);
        this.note(`server closes ${end.join()}`);
        server.close(...end);
        break;
      }
      case 10:
        this.note("wake");
        if (!this.frozen) page.socket.retry_connection();
        break;
      case 11:
        this.hidden = !this.hidden && this.random() < 0.5;
        this.note(this.hidden ? "pagehide" : "pageshow");
        if (this.hidden) page.socket.suspend();
        else page.socket.resume();
        break;
      case 12:
        this.frozen = !this.frozen && this.random() < 0.5;
        this.note(this.frozen ? "freeze" : "thaw");
        if (this.frozen) network.freeze();
        else network.thaw();
        break;
      case 13:
        this.note("reconnect");
        if (!this.frozen) page.socket.reconnect();
        break;
      case 14:
        server.status = this.pick<number | null>(null, null, 503);
        this.note(`status ${server.status}`);
        break;
      default:
        this.note("duplicate");
        await this.duplicate();
    }
    await settled();
    this.check();
    await this.pass(this.pick(0, this.below(5), this.below(60), this.below(60), this.below(2_000), this.below(20_000)));
  }

  /** The tab is duplicated: the page's HTML is loaded a second time, and disturbs nobody. */
  async duplicate(): Promise<void> {
    if (this.server.opened === 0 || this.frozen || this.network.refusing || this.server.status !== null) return;
    const tab = new ResumedPage(this.clock, this.network, this.server, this.random);
    await this.pass(6 * this.network.slowness + 100);
    const state = tab.state;
    tab.socket.close();
    // Keys that the page has moved on from let nobody in; the page's own does, until then, and only to be turned away.
    if (state.reason !== "lost" || state.detail !== "duplicate") throw new Error(`the duplicate is ${JSON.stringify(state)}`);
  }

  /** One of the things that no stream survives. Answers what the page is to be told. */
  break(): string {
    this.fatal = true;
    const { network, page, server } = this;
    const detail = this.pick("gone", "overflow", "mine", "count");
    this.note(detail);
    if (detail === "mine") {
      page.connection.maxQueueBytes = 100;
      page.lines.at(-1)?.stall();
      for (let n = 0; n < 10; n++) page.send("more than may wait");
      return "overflow";
    }
    if (detail === "gone") {
      // The server has restarted, and knows nothing.
      network.refusing = false;
      server.status = 404;
      server.close(1006);
    } else server.lose(detail);
    return detail;
  }

  /** Time passes, and the page knows that it is lost; what it had before is the beginning of what was said. */
  async end(): Promise<void> {
    const { network, page, server } = this;
    const detail = this.break();
    const status = server.status;
    if (this.frozen) network.thaw();
    if (this.hidden) page.socket.resume();
    network.refusing = false;
    network.slowness = 40;
    server.status = status === 503 ? null : status;
    const { length } = server.got;
    await this.pass(90_000);
    expect(page.state).toEqual({ status: "disconnected", reason: "lost", detail });
    const { length: later } = server.got;
    page.send("late");
    await this.pass(90_000);
    expect(server.got.length, "nothing comes behind what is missing").toBe(later);
    expect(later).toBeGreaterThanOrEqual(length);
    expect(this.clock.pending, "timers that are left").toBe(0);
  }

  /** Everything works again, and time passes. */
  async heal(): Promise<void> {
    this.note("healed");
    const { network, page, server } = this;
    network.refusing = false;
    network.slowness = 40;
    server.status = null;
    if (this.frozen) network.thaw();
    if (this.hidden) page.socket.resume();
    await this.pass(90_000);
    this.say("page", 3);
    this.say("server", 3);
    await this.pass(5_000);
    expect(page.state).toEqual({ status: "connected" });
    expect(server.got.length, "what the page said").toBe(this.said.page);
    expect(page.got.length, "what the server said").toBe(this.said.server);
    expect(server.opened, "the page announces itself once").toBe(1);
    expect(server.waiting, "what the page is not known to have").toBe(0);
    expect(page.connection.queued.messages).toBe(0);
    const alive = page.lines.filter(({ socket }) => socket.readyState === 1);
    expect(alive.length, "sockets that the page holds").toBe(1);
    page.socket.close();
    await this.pass(200_000);
    expect(this.clock.pending, "timers that are left").toBe(0);
  }
}

async function run(seed: number, finish: (world: World) => Promise<void>): Promise<World> {
  const world = new World(seed);
  try {
    const steps = 10 + world.below(50);
    for (let step = 0; step < steps; step++) await world.step();
    await finish(world);
  } catch (error) {
    throw new Error(`SEED=${seed} RUNS=1: ${String(error)}\n${world.trace.join("\n")}`, { cause: error });
  }
  return world;
}

describe("a resumed stream", () => {
  it(`brings each message once and in order, both ways, in ${RUNS} random schedules`, { timeout: 600_000 }, async () => {
    const sum = new ResumeServer(new Clock(), Math.random).counts;
    for (let seed = FIRST; seed < FIRST + RUNS; seed++) {
      const { server } = await run(seed, (world) => world.heal());
      for (const name of Object.keys(sum) as (keyof typeof sum)[]) sum[name] += server.counts[name];
    }
    // The schedules come to what they are for.
    if (process.env["VERBOSE"]) console.info(sum);
    if (RUNS < 1_000) return;
    for (const [name, count] of Object.entries(sum)) expect(count, name).toBeGreaterThan(RUNS / 100);
  });

  it(`that is lost is told to the page, in ${RUNS} random schedules, and what came before is whole`, { timeout: 600_000 }, async () => {
    for (let seed = FIRST; seed < FIRST + RUNS; seed++) await run(seed, (world) => world.end());
  });
});
