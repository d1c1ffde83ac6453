import { ControlFrames, isControl, type PlainCodec, type Welcome } from "./control.ts";
import { Ring } from "./ring.ts";

/** When to say what has been received (protocol.md §18.3). */
export const ACK_FRAMES = 32;
export const ACK_BYTES = 64 * 1024;
/** The same of compressed bytes, which inflate to about a thousand times as many at the most: the server's window counts those. */
export const ACK_COMPRESSED_BYTES = 256;
export const ACK_DELAY_MS = 1_000;
export const PING_INTERVAL_MS = 5_000;

export interface Identity {
  /** Made at random for this load of the page. */
  readonly instance: Uint8Array;
  /** The page's key, from its HTML. */
  readonly key: Uint8Array;
  /** Whether messages are compressed. */
  readonly compressed?: boolean;
}

/** Why a page cannot go on where it was (§18.5), as far as it finds out by itself. */
export type Loss = "overflow" | "stream" | "count";

export interface ResumeHost {
  readonly codec: PlainCodec;
  /** In ms of one monotonic clock. */
  now(): number;
  /** Returns what cancels it. */
  after(ms: number, run: () => void): () => void;
  /** Writes to the socket in use. */
  write(frame: Uint8Array): void;
  /** The server has let the page in. What is sent from within goes out behind what has to be sent again. */
  opened(resumed: boolean, messageBytes: number): void;
  /** The next message of the stream. */
  message(frame: Uint8Array): void;
  /** The server has answered a ping. */
  pong(): void;
  /** The server does not keep to the protocol; this socket is worth nothing. */
  broken(): void;
  lost(reason: Loss): void;
}

/** A socket whose greeting is under way or done. Its identity tells it from those before. */
interface Link {
  phase: "greeting" | "opening" | "open";
}

/**
 * The page's half of the resumable protocol (protocol.md §18): each message once and in order, over
 * any number of sockets. It has no socket, clock or timer of its own.
 *
 * Inputs: `attach` (a socket has opened), `detach` (it is gone, or given up), `receive` (a frame of
 * the socket in use), `send` and `ping`. Between a hello and its welcome nothing is written.
 */
export class Resume {
  #host: ResumeHost;
  #frames: ControlFrames;
  #instance: Uint8Array;
  #ackBytes: number;
  /** The key for the next hello. */
  #key: Uint8Array;
  #stream: Uint8Array | null = null;
  #ring = new Ring();
  #link: Link | null = null;
  /** Messages of this stream had so far. */
  #received = 0;
  #unacknowledged = { frames: 0, bytes: 0, since: 0 };
  #cancelAck: () => void = () => {};
  #cancelPing: () => void = () => {};
  #waitingSince: number | null = null;

  constructor({ instance, key, compressed = false }: Identity, host: ResumeHost) {
    this.#ackBytes = compressed ? ACK_COMPRESSED_BYTES : ACK_BYTES;
    this.#host = host;
    this.#frames = new ControlFrames(host.codec);
    this.#instance = instance;
    this.#key = key;
  }

  /** Whether there is a stream to go on with. */
  get begun(): boolean {
    return this.#stream !== null;
  }

  /** Bytes sent, or to be sent, that the server is not known to have. */
  get heldBytes(): number {
    return this.#ring.bytes;
  }

  /** Since when a ping waits; a server of this protocol answers them. */
  get liveness(): { answers: boolean; waitingSince: number | null } {
    return { answers: true, waitingSince: this.#waitingSince };
  }

  /** A new socket is open: the hello goes out, and nothing more until it is answered. */
  attach(): void {
    this.detach();
    this.#link = { phase: "greeting" };
    this.#ring.rewind();
    const hello = { instance: this.#instance, key: this.#key, stream: this.#stream, received: this.#received };
    this.#host.write(this.#frames.hello(hello));
  }

  /** The socket is of the past; what it was given may or may not have arrived. */
  detach(): void {
    this.#link = null;
    this.#waitingSince = null;
    this.#cancelPing();
    this.#acknowledged();
  }

  /** Keeps the message until the server has it. */
  send(message: Uint8Array): void {
    this.#ring.push(message);
    this.#flush();
  }

  ping(): void {
    if (this.#link?.phase !== "open") return;
    this.#waitingSince ??= this.#host.now();
    this.#host.write(this.#frames.ping());
  }

  receive(frame: Uint8Array): void {
    const link = this.#link;
    if (!link) return;
    this.#waitingSince = null;
    if (!isControl(frame)) {
      if (link.phase === "greeting") this.#host.broken();
      else this.#take(link, frame);
      return;
    }
    let control: ReturnType<ControlFrames["decode"]>;
    try {
      control = this.#frames.decode(frame);
    } catch {
      this.#host.broken();
      return;
    }
    if (control?.kind === "welcome") this.#welcomed(link, control);
    else if (control && link.phase === "greeting") this.#host.broken();
    else if (control?.kind === "pong") this.#host.pong();
    else if (control?.kind === "ack" && !this.#ring.acknowledge(control.received)) this.#host.lost("count");
  }

  #welcomed(link: Link, { resumed, stream, key, received, messageBytes }: Welcome): void {
    if (link.phase !== "greeting") {
      this.#host.broken();
      return;
    }
    const same = this.#stream !== null && stream.every((byte, i) => byte === this.#stream?.[i]);
    // A stream that this page has begun goes on, or what was in it is lost.
    if (resumed ? !same : this.#stream !== null) {
      this.#host.lost("stream");
      return;
    }
    if (!this.#ring.acknowledge(received)) {
      this.#host.lost("count");
      return;
    }
    this.#stream = stream;
    this.#key = key;
    link.phase = "opening";
    this.#host.opened(resumed, messageBytes);
    // Whoever was told may have ended this socket, or begun another one.
    if (this.#link !== link) return;
    link.phase = "open";
    this.#pingLater();
    this.#flush();
  }

  #flush(): void {
    while (this.#link?.phase === "open") {
      const frame = this.#ring.next();
      if (!frame) return;
      this.#host.write(frame);
    }
  }

  /** Counts before handing on: what the handler does, a new socket included, finds it received. */
  #take(link: Link, frame: Uint8Array): void {
    this.#received++;
    const waiting = this.#unacknowledged;
    if (waiting.frames === 0) {
      waiting.since = this.#host.now();
      this.#cancelAck = this.#host.after(ACK_DELAY_MS, () => this.#acknowledge());
    }
    waiting.frames++;
    waiting.bytes += frame.length;
    this.#host.message(frame);
    if (this.#link !== link || waiting.frames === 0) return;
    // The timer alone would do, were it not held back in pages that nobody sees.
    const due = this.#host.now() - waiting.since >= ACK_DELAY_MS;
    if (due || waiting.frames >= ACK_FRAMES || waiting.bytes >= this.#ackBytes) this.#acknowledge();
  }

  #acknowledge(): void {
    this.#acknowledged();
    this.#host.write(this.#frames.ack(this.#received));
  }

  /** Nothing waits to be acknowledged: it has been said, or the next hello says it. */
  #acknowledged(): void {
    this.#cancelAck();
    this.#unacknowledged.frames = this.#unacknowledged.bytes = 0;
  }

  #pingLater(): void {
    this.#cancelPing = this.#host.after(PING_INTERVAL_MS, () => {
      this.#pingLater();
      this.ping();
    });
  }
}
