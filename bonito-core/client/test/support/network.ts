import type { Clock } from "./clock.ts";

/** What the server sees of a socket. */
export interface ServerEnd {
  frame(bytes: Uint8Array): void;
  closed(): void;
}

export interface Accepting {
  /** Answers the subprotocol, or an HTTP status. */
  upgrade(protocol: string | undefined, line: Line): { protocol: string; end: ServerEnd } | number;
}

/**
 * One connection, whose frames take their time and keep their order in each direction. It can be
 * cut, noticed by both ends or by one of them, and it can go on without carrying anything.
 */
export class Line {
  readonly socket: FakeSocket;
  readonly #network: Network;
  #end: ServerEnd | null = null;
  #carries = true;
  #lastUp = 0;
  #lastDown = 0;

  constructor(network: Network, socket: FakeSocket) {
    this.#network = network;
    this.socket = socket;
  }

  get alive(): boolean {
    return this.#end !== null && this.socket.readyState <= 1;
  }

  open(protocol: string, end: ServerEnd): void {
    this.#end = end;
    this.#down(() => this.socket.opened(protocol));
  }

  up(bytes: Uint8Array): void {
    const copy = bytes.slice();
    this.#up(() => this.#end?.frame(copy));
  }

  down(bytes: Uint8Array): void {
    const copy = bytes.slice();
    this.#down(() => this.socket.receive(copy));
  }

  /** The server ends it, behind all that it has sent. */
  serverCloses(code: number, reason: string): void {
    this.#end = null;
    this.#down(() => this.socket.closed(code, reason));
  }

  /** The page ends it, behind all that it has sent. */
  pageCloses(): void {
    this.#up(() => {
      const end = this.#end;
      this.#end = null;
      end?.closed();
    });
  }

  stall(): void {
    this.#carries = false;
  }

  /** What is under way is lost. Each end notices after so many ms, or never. */
  cut(page: number | null, server: number | null): void {
    this.#carries = false;
    const { clock } = this.#network;
    if (page !== null) clock.after(page, () => this.#network.atPage(() => this.socket.closed(1006, "")));
    if (server !== null) {
      clock.after(server, () => {
        const end = this.#end;
        this.#end = null;
        end?.closed();
      });
    }
  }

  #up(run: () => void): void {
    this.#lastUp = this.#later(this.#lastUp, run);
  }

  #down(run: () => void): void {
    this.#lastDown = this.#later(this.#lastDown, () => this.#network.atPage(run));
  }

  #later(last: number, run: () => void): number {
    const { clock } = this.#network;
    const at = Math.max(last, clock.time + this.#network.latency());
    clock.after(at - clock.time, () => {
      if (this.#carries) run();
    });
    return at;
  }
}

export class Network {
  readonly clock: Clock;
  readonly random: () => number;
  /** New connections come to nothing. */
  refusing = false;
  /** The longest that something is under way, in ms. */
  slowness = 40;
  #frozen: (() => void)[] | null = null;
  #server: Accepting;

  constructor(clock: Clock, random: () => number, server: Accepting) {
    this.clock = clock;
    this.random = random;
    this.#server = server;
  }

  latency(): number {
    return 1 + this.random() * this.slowness;
  }

  connect(protocol?: string): FakeSocket {
    const socket = new FakeSocket();
    const line = new Line(this, socket);
    socket.line = line;
    this.clock.after(this.latency(), () => {
      const answer = this.refusing ? 0 : this.#server.upgrade(protocol, line);
      if (typeof answer === "number") this.atPage(() => socket.closed(1006, ""));
      else line.open(answer.protocol, answer.end);
    });
    return socket;
  }

  /** Runs what happens in the page, when it is not frozen. */
  atPage(run: () => void): void {
    if (this.#frozen) this.#frozen.push(run);
    else run();
  }

  freeze(): void {
    this.#frozen ??= [];
  }

  thaw(): void {
    const missed = this.#frozen ?? [];
    this.#frozen = null;
    for (const run of missed) run();
  }
}

/** A `WebSocket`, and a nasty one: it goes on delivering after `close`. */
export class FakeSocket {
  line!: Line;
  readyState = 0;
  protocol = "";
  binaryType = "blob";
  closedWith: [code: number | undefined, reason: string | undefined] | null = null;
  onopen?: () => void;
  onmessage?: (event: { data: unknown }) => void;
  onclose?: (event: { code: number; reason: string }) => void;

  opened(protocol: string): void {
    if (this.readyState !== 0) return;
    this.readyState = 1;
    this.protocol = protocol;
    this.onopen?.();
  }

  receive(bytes: Uint8Array): void {
    if (this.readyState === 3) return;
    this.onmessage?.({ data: bytes.slice().buffer });
  }

  closed(code: number, reason: string): void {
    if (this.readyState === 3) return;
    this.readyState = 3;
    this.onclose?.({ code, reason });
  }

  send(bytes: Uint8Array): void {
    if (this.readyState === 0) throw new Error("still connecting");
    if (this.readyState === 1) this.line.up(bytes);
  }

  close(code?: number, reason?: string): void {
    if (code !== undefined && code !== 1000 && !(code >= 3000 && code <= 4999)) throw new Error(`no page may close with ${code}`);
    if (this.readyState >= 2) return;
    this.closedWith = [code, reason];
    this.readyState = 2;
    this.line.pageCloses();
  }
}
