import { decode, encode } from "@msgpack/msgpack";
import type { Clock } from "./clock.ts";
import type { Accepting, Line, ServerEnd } from "./network.ts";

/** One socket, from the upgrade on. */
interface Attachment {
  readonly line: Line;
  /** The how-manieth socket it was that was let in. */
  readonly arrival: number;
  greeted: boolean;
}

const frame = (array: unknown[]) => new Uint8Array([0xc1, ...encode(array)]);
const same = (a: unknown, b: Uint8Array | null) => a instanceof Uint8Array && b !== null && a.join() === b.join();

/**
 * The server's half of protocol.md §18, for one session, as that section has it. It notes in
 * `breaches` whatever a page does against it.
 */
export class ResumeServer implements Accepting {
  readonly pageKey: Uint8Array;
  readonly breaches: string[] = [];
  /** What the application got, and what it was told. */
  readonly got: unknown[] = [];
  /** `null` while it speaks the protocol; a status otherwise. */
  status: number | null = null;
  speaks = true;
  messageBytes = 1 << 20;
  takeover: "fork" | "reject" | "newest" = "fork";
  opened = 0;
  counts = { welcomes: 0, resumed: 0, replayed: 0, duplicates: 0, unheard: 0, fenced: 0, acks: 0 };
  #clock: Clock;
  #random: () => number;
  #current: Uint8Array;
  #next: Uint8Array | null = null;
  #instance: Uint8Array | null = null;
  #stream: Uint8Array | null = null;
  #received = 0;
  #unacknowledged = { frames: 0, bytes: 0 };
  #cancelAck: () => void = () => {};
  /** Not acknowledged, the first being number `#base + 1`; `#written` of them are on the socket in use. */
  #ring: Uint8Array[] = [];
  #base = 0;
  #written = 0;
  #attached: Attachment | null = null;
  #arrivals = 0;
  #over: string | null = null;
  /** The arrival of the socket that was welcomed last. */
  #welcomed = 0;

  constructor(clock: Clock, random: () => number) {
    this.#clock = clock;
    this.#random = random;
    this.pageKey = this.#secret(32);
    this.#current = this.pageKey;
  }

  get attached(): Line | null {
    return this.#attached?.line ?? null;
  }

  /** Messages that the page is not known to have. */
  get waiting(): number {
    return this.#ring.length;
  }

  upgrade(protocol: string | undefined, line: Line): { protocol: string; end: ServerEnd } | number {
    if (this.status !== null) return this.status;
    if (protocol !== "bonito.resume.1") this.breaches.push(`offered ${protocol}`);
    const attachment: Attachment = { line, arrival: ++this.#arrivals, greeted: false };
    this.#clock.after(10_000, () => {
      if (!attachment.greeted && line.alive) line.serverCloses(4008, "");
    });
    return {
      protocol: this.speaks ? "bonito.resume.1" : "",
      end: {
        frame: (bytes) => this.#frame(attachment, bytes),
        closed: () => {
          if (this.#attached === attachment) this.#detach();
        },
      },
    };
  }

  send(message: unknown): void {
    this.#ring.push(encode(message));
    this.#flush();
  }

  /** Ends the socket in use. */
  close(code: number, reason = ""): void {
    const line = this.attached;
    this.#detach();
    line?.serverCloses(code, reason);
  }

  /** The session is over, and whoever says hello next is told why. */
  lose(reason: string): void {
    this.#over = reason;
    if (this.#attached) this.close(4005, reason);
  }

  /** For tests of a server that goes wrong. */
  sendRaw(bytes: Uint8Array): void {
    this.attached?.down(bytes);
  }

  #secret(length: number): Uint8Array {
    return Uint8Array.from({ length }, () => this.#random() * 256);
  }

  #frame(from: Attachment, bytes: Uint8Array): void {
    if (!from.greeted) {
      this.#first(from, bytes);
      return;
    }
    if (this.#attached !== from) {
      this.counts.fenced++;
      return;
    }
    if (this.#next) {
      this.#current = this.#next;
      this.#next = null;
    }
    if (bytes[0] === 0xc1) this.#control(from, decode(bytes.subarray(1)) as unknown[]);
    else this.#data(bytes);
  }

  #first(from: Attachment, bytes: Uint8Array): void {
    from.greeted = true;
    if (bytes[0] !== 0xc1) {
      this.breaches.push("a message before the hello");
      from.line.serverCloses(1002, "");
      return;
    }
    const [kind, version, instance, key, stream, received] = decode(bytes.subarray(1)) as [number, number, Uint8Array, Uint8Array, Uint8Array | null, number];
    if (kind !== 0 || version !== 1 || instance.length !== 16 || key.length !== 32) this.breaches.push("a bad hello");
    if (this.#over !== null) {
      from.line.serverCloses(4005, this.#over);
      return;
    }
    if (this.status === 404) {
      from.line.serverCloses(1006, "");
      return;
    }
    const known = same(key, this.#current) || same(key, this.#next);
    if (this.#stream && same(instance, this.#instance) && from.arrival < this.#welcomed) {
      from.line.serverCloses(4001, "");
    } else if (this.#stream && same(key, this.pageKey) && !same(instance, this.#instance)) {
      this.counts.duplicates++;
      if (this.takeover !== "newest") {
        from.line.serverCloses(this.takeover === "fork" ? 4005 : 4003, "duplicate");
        return;
      }
      this.close(4001);
      this.#ring = [];
      this.#begin(from, instance);
    } else if (!known) {
      this.breaches.push("a key that is not known");
      from.line.serverCloses(4003, "key");
    } else if (stream === null) {
      if (this.#received > 0) {
        this.breaches.push("a page that has forgotten its stream");
        from.line.serverCloses(4005, "stream");
      } else this.#begin(from, instance);
    } else if (!same(stream, this.#stream) || !same(instance, this.#instance)) {
      this.breaches.push("another stream");
      from.line.serverCloses(4005, "stream");
    } else this.#resume(from, key, received);
  }

  #begin(from: Attachment, instance: Uint8Array): void {
    this.#detach();
    this.#instance = instance;
    this.#stream = this.#secret(16);
    this.#received = this.#base = 0;
    this.opened = 0;
    this.#welcome(from, false);
  }

  #resume(from: Attachment, key: Uint8Array, received: number): void {
    if (received < this.#base || received > this.#base + this.#ring.length) {
      this.breaches.push(`received ${received}`);
      from.line.serverCloses(4005, "count");
      return;
    }
    if (same(key, this.#next)) this.#current = key;
    this.#detach();
    this.#forget(received);
    this.counts.resumed++;
    this.counts.replayed += this.#ring.length;
    this.#welcome(from, true);
  }

  #welcome(from: Attachment, resumed: boolean): void {
    this.counts.welcomes++;
    if (this.#next) this.counts.unheard++;
    this.#welcomed = from.arrival;
    this.#next = this.#secret(32);
    this.#attached = from;
    this.#written = 0;
    from.line.down(frame([1, resumed, this.#stream, this.#next, this.#received, this.messageBytes, "later versions"]));
    this.#flush();
  }

  #control(from: Attachment, [kind, received]: unknown[]): void {
    if (kind === 4) from.line.down(frame([5]));
    else if (kind === 2) {
      const upTo = received as number;
      this.counts.acks++;
      if (upTo < this.#base || upTo > this.#base + this.#written) {
        this.breaches.push(`ack ${upTo}`);
        this.close(4005, "count");
        return;
      }
      this.#forget(upTo);
      this.#flush();
    } else this.breaches.push(`control ${String(kind)}`);
  }

  #data(bytes: Uint8Array): void {
    this.#received++;
    const message = decode(bytes) as { msg_type: string; message: unknown };
    if (message.msg_type === "8") {
      this.opened++;
      if (this.opened > 1) this.breaches.push("announced again");
      this.#flush();
    } else this.got.push(message.message);
    const waiting = this.#unacknowledged;
    if (waiting.frames++ === 0) this.#cancelAck = this.#clock.after(1_000, () => this.#acknowledge());
    waiting.bytes += bytes.length;
    if (waiting.frames >= 32 || waiting.bytes >= 65_536) this.#acknowledge();
  }

  #acknowledge(): void {
    this.#cancelAck();
    this.#unacknowledged = { frames: 0, bytes: 0 };
    this.attached?.down(frame([2, this.#received]));
  }

  #forget(upTo: number): void {
    this.#ring.splice(0, upTo - this.#base);
    this.#written = Math.max(this.#written - (upTo - this.#base), 0);
    this.#base = upTo;
  }

  /** A window of 64 messages, so that tests come to its end. */
  #flush(): void {
    while (this.attached && this.opened > 0 && this.#written < Math.min(this.#ring.length, 64)) {
      this.attached.down(this.#ring[this.#written++] as Uint8Array);
    }
  }

  #detach(): void {
    this.#attached = null;
    this.#cancelAck();
    this.#unacknowledged = { frames: 0, bytes: 0 };
  }
}
