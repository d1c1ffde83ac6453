import type { Socket } from "node:net";

/** `up` is from the browser to the server. */
export type Direction = "up" | "down";
/** Whose end of a connection: the browser's or the server's. */
export type End = "near" | "far";
/** How a connection ends: at once and without what is under way, or in order, wherever in a message that is. */
export type How = "rst" | "fin";

export interface Delay {
  readonly ms: number;
  /** Up to so much more, anew for each piece; pieces keep their order all the same. */
  readonly jitterMs?: number;
  /** In [0, 1). */
  readonly random?: () => number;
}

/** What a line holds back before it reads no more. */
const MOST_BYTES = 1 << 20;

/** One direction of a connection: what comes from one socket goes to the other, in its order, now or later or never. */
class Way {
  readonly #from: Socket;
  readonly #to: Socket;
  #waiting: { readonly bytes: Buffer; readonly due: number }[] = [];
  #waitingBytes = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #stalled = false;
  #delay: Delay = { ms: 0 };
  /** What came first, which says what the connection is for. */
  first: Buffer | undefined;
  bytes = 0;

  constructor(from: Socket, to: Socket, onFirst: (way: Way) => void) {
    this.#from = from;
    this.#to = to;
    from.on("data", (bytes: Buffer) => {
      this.bytes += bytes.length;
      if (!this.first) {
        this.first = bytes;
        onFirst(this);
      }
      this.#take(bytes);
    });
    to.on("drain", () => this.#move());
  }

  get stalled(): boolean {
    return this.#stalled;
  }

  stall(): void {
    this.#stalled = true;
    clearTimeout(this.#timer);
    this.#from.pause();
  }

  resume(): void {
    this.#stalled = false;
    this.#move();
  }

  delay(delay: Delay): void {
    this.#delay = delay;
  }

  /** All that waits, at once: its sender is gone. */
  flush(): void {
    if (this.#stalled || this.#to.destroyed) return;
    clearTimeout(this.#timer);
    for (const { bytes } of this.#waiting.splice(0)) this.#to.write(bytes);
  }

  drop(): void {
    clearTimeout(this.#timer);
    this.#waiting = [];
  }

  #take(bytes: Buffer): void {
    const { ms, jitterMs = 0, random = Math.random } = this.#delay;
    this.#waiting.push({ bytes, due: performance.now() + ms + random() * jitterMs });
    this.#waitingBytes += bytes.length;
    this.#move();
  }

  #move(): void {
    if (this.#stalled || this.#to.destroyed) return;
    clearTimeout(this.#timer);
    while (!this.#to.writableNeedDrain) {
      const [next] = this.#waiting;
      if (!next) break;
      const wait = next.due - performance.now();
      if (wait > 0) {
        this.#timer = setTimeout(() => this.#move(), wait);
        break;
      }
      this.#waiting.shift();
      this.#waitingBytes -= next.bytes.length;
      this.#to.write(next.bytes);
    }
    if (this.#waitingBytes > MOST_BYTES || this.#to.writableNeedDrain) this.#from.pause();
    else this.#from.resume();
  }
}

/** One connection of a browser and its other half to the server. */
export class Line {
  readonly #ends: Record<End, Socket>;
  readonly #ways: Record<Direction, Way>;
  #halfOpen = false;
  #over = false;

  constructor(near: Socket, far: Socket, onWebSocket: (line: Line) => void, onEnd: (line: Line) => void) {
    this.#ends = { near, far };
    const answered = (way: Way) => {
      if (way.first?.subarray(0, 12).toString("latin1") === "HTTP/1.1 101") onWebSocket(this);
    };
    this.#ways = { up: new Way(near, far, () => {}), down: new Way(far, near, answered) };
    let ended = 0;
    const follow = (end: End, other: End, way: Direction) => {
      this.#ends[end].on("error", () => {});
      this.#ends[end].once("close", (failed) => {
        // A half-open line does not even say that one of its ends is gone.
        this.#over = true;
        if (!this.#halfOpen) {
          if (failed) this.#end(other, "rst");
          else {
            this.#ways[way].flush();
            this.#end(other, "fin");
          }
        }
        if (++ended === 2) onEnd(this);
      });
    };
    follow("near", "far", "up");
    follow("far", "near", "down");
  }

  get isWebSocket(): boolean {
    return this.#ways.down.first?.subarray(0, 12).toString("latin1") === "HTTP/1.1 101";
  }

  /** Nothing goes over it any more. */
  get isBroken(): boolean {
    return this.#over || this.#halfOpen;
  }

  /** Bytes that came, whether or not they went on. */
  get bytes(): Readonly<Record<Direction, number>> {
    return { up: this.#ways.up.bytes, down: this.#ways.down.bytes };
  }

  /** Both ends are told. */
  cut(how: How = "rst"): void {
    for (const end of ["near", "far"] as const) this.cutEnd(end, how);
  }

  /** This end is told, and the other goes on believing in the connection, until a `cut`. */
  cutEnd(end: End, how: How = "rst"): void {
    this.halfOpen();
    this.#end(end, how);
  }

  /** Carries nothing any more and says nothing about it, as after a router has forgotten a connection. */
  halfOpen(): void {
    this.#halfOpen = true;
    for (const way of Object.values(this.#ways)) way.stall();
  }

  stall(direction: Direction): void {
    this.#ways[direction].stall();
  }

  /** Carries again what a `stall` has kept; a line that is half-open stays so. */
  resume(): void {
    if (this.#halfOpen) return;
    for (const way of Object.values(this.#ways)) way.resume();
  }

  delay(delay: Delay): void {
    for (const way of Object.values(this.#ways)) way.delay(delay);
  }

  #end(end: End, how: How): void {
    const socket = this.#ends[end];
    this.#ways[end === "near" ? "down" : "up"].drop();
    if (how === "rst") socket.resetAndDestroy();
    else socket.destroySoon();
    // One that is paused would never see that its peer has hung up too.
    socket.resume();
  }
}
