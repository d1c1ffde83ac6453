import type { Codec } from "../codec/codec.ts";
import { compress } from "../codec/compression.ts";
import type { Log } from "../log.ts";
import { doneMessage, errorMessage, type Message, pingMessage } from "../messages.ts";
import type { ResumableLink } from "../websocket/library.ts";
import { MessageTooLong, Outbox, type Send } from "./outbox.ts";
import { isFinal, type Reason, type State } from "./status.ts";

/** How often an open page pings (protocol.md §2.5). */
export const PING_INTERVAL_MS = 5_000;
/** Error reports that may wait: a page that fails all the time must not fill its queue with that. */
const MAX_WAITING_REPORTS = 64;
/** How many bytes may wait for a connection. */
export const DEFAULT_QUEUE_BYTES = 8 * 1024 * 1024;

export interface ConnectionHost {
  readonly codec: Codec;
  readonly log: Log;
  /** Ids of the sessions to announce on a new connection, in the order of their start (§10). */
  sessionsToAnnounce(): Iterable<string>;
  onState(state: State): void;
}

interface SendOptions {
  transient?: boolean;
  announces?: string;
  report?: boolean;
}

/** The page's one connection, whatever transport carries it: its state, its queue, its pings (§8.1). */
export class Connection {
  maxQueueBytes = DEFAULT_QUEUE_BYTES;
  #host: ConnectionHost;
  #state: State = { status: "connecting" };
  #compression = false;
  #outbox: Outbox;
  #pingTimer: ReturnType<typeof setTimeout> | undefined;
  #pongs = 0;
  #lastPong: number;
  #waitingSince: number | null = null;
  /** Error reports that wait for a connection. */
  #reports = 0;
  /** The transport, when it can resume. */
  #link: ResumableLink | null = null;
  /** The longest frame that the server takes, once it has said so. */
  #messageBytes = Infinity;

  constructor(host: ConnectionHost) {
    this.#host = host;
    this.#lastPong = performance.now();
    this.#outbox = new Outbox(
      (error) => {
        host.log.warn("the transport did not take a message", error);
        this.#closed("closed");
      },
      (error, { report }) => {
        if (report) host.log.error("an error report could not be sent", error);
        else this.reportError("A message could not be sent", error);
      },
    );
  }

  get state(): State {
    return this.#state;
  }

  get compression(): boolean {
    return this.#compression;
  }

  get isOpen(): boolean {
    return this.#state.status === "connected";
  }

  get queued(): { messages: number; bytes: number } {
    return { messages: this.#outbox.length, bytes: this.#outbox.waitingBytes };
  }

  /**
   * A transport is ready. What waited goes first, then a ping, then every started session is
   * announced, except those whose report was just among what waited (§10). Answers `false` when
   * this page has given up for good, so that the transport can close. After a connection that was
   * `resumed` nothing is announced, since the server has heard it already (§18.3).
   */
  opened(send: Send, compression: boolean, pings: boolean, resumed = false, messageBytes = Infinity): boolean {
    if (this.#state.reason === "overflow" || this.#state.reason === "lost") return false;
    this.#messageBytes = messageBytes;
    const reported = this.#outbox.announced();
    this.#compression = compression;
    this.#waitingSince = null;
    this.#outbox.open(send, compression ? compress : null, messageBytes);
    this.#setState({ status: "connected" });
    clearTimeout(this.#pingTimer);
    if (pings) this.#ping();
    for (const session of resumed ? [] : this.#host.sessionsToAnnounce()) {
      if (!this.isOpen) return true;
      if (!reported.has(session)) this.#push(doneMessage(session), { transient: true });
    }
    this.#outbox.pump();
    return true;
  }

  connecting(): void {
    if (isFinal(this.#state.reason)) return;
    this.#down({ status: "connecting" });
  }

  closed(reason: unknown, detail?: unknown): void {
    this.#closed(isFinal(reason) ? reason : "closed", detail);
  }

  /** From now on a transport keeps what it takes until the server has it (§18); `null`: it does not. */
  resumable(link: ResumableLink | null): void {
    this.#link = link;
  }

  /** A page without a server: callbacks in the page work, nothing is sent (§2.7). */
  setNoConnection(): void {
    this.#down({ status: "no_connection" });
  }

  /** Throws when the message has no wire form (§3.2), or is longer than the server takes; then nothing was sent. */
  send(message: Message, options: SendOptions = {}): void {
    const { status, reason } = this.#state;
    if (status === "no_connection") {
      this.#host.log.debug("not sent, since this page has no server", message);
      return;
    }
    if (isFinal(reason) && reason !== "failed") {
      this.#host.log.debug(`not sent, since the connection ended (${reason})`, message);
      return;
    }
    this.#push(message, options);
    if (this.#overflows()) {
      this.#host.log.error(`more than ${this.maxQueueBytes} bytes wait for a connection; giving up`);
      // Whatever ended before: from now on nothing more is kept.
      this.#link?.overflow();
      if (this.#state.reason !== "lost") this.#down({ status: "disconnected", reason: "overflow" });
      return;
    }
    this.#outbox.pump();
  }

  /** What a socket takes at once is gone, unless the transport keeps it. */
  #overflows(): boolean {
    if (this.#link) return this.#outbox.waitingBytes + this.#link.heldBytes() > this.maxQueueBytes;
    return !this.isOpen && this.#outbox.waitingBytes > this.maxQueueBytes;
  }

  sendPing(): void {
    if (!this.isOpen) return;
    this.#waitingSince ??= performance.now();
    this.send(pingMessage(), { transient: true });
  }

  /** To the log and, but for a flood of them without a connection, to the server. Never throws. */
  reportError(message: string, error: unknown): void {
    this.#host.log.error(message, error);
    if (this.isOpen) this.#reports = 0;
    else if (++this.#reports > MAX_WAITING_REPORTS) return;
    try {
      this.send(errorMessage(message, error), { report: true });
    } catch (failure) {
      this.#host.log.error("an error report could not be sent", failure);
    }
  }

  /** Anything that arrives proves that the other side is alive; a pong also that it answers pings. */
  heard(pong: boolean): void {
    this.#waitingSince = null;
    if (!pong) return;
    this.#pongs++;
    this.#lastPong = performance.now();
  }

  /** §2.5: whether a pong came within the last two intervals. */
  isResponsive(): boolean {
    return performance.now() - this.#lastPong < 2 * PING_INTERVAL_MS;
  }

  /** For a transport that looks for a half-open peer: since when a ping waits, in `performance.now()` time. */
  liveness(): { answers: boolean; waitingSince: number | null } {
    return { answers: this.#pongs > 0, waitingSince: this.#waitingSince };
  }

  /** Tells the state once more, to whoever shows it. */
  showState(): void {
    this.#host.onState(this.#state);
  }

  #ping(): void {
    if (!this.isOpen) return;
    this.#pingTimer = setTimeout(() => this.#ping(), PING_INTERVAL_MS);
    this.sendPing();
  }

  #push(message: Message, { transient = false, ...more }: SendOptions): void {
    const bytes = this.#host.codec.encode(message);
    // A compressed one may become short enough: that is seen when it leaves.
    if (!this.#compression && bytes.length > this.#messageBytes) throw new MessageTooLong(bytes.length, this.#messageBytes);
    this.#outbox.push({ bytes, transient, ...more });
  }

  #closed(reason: Reason, detail?: unknown): void {
    if (isFinal(this.#state.reason)) return;
    this.#down({ status: "disconnected", reason, ...(typeof detail === "string" && { detail }) });
  }

  #down(state: State): void {
    clearTimeout(this.#pingTimer);
    this.#waitingSince = null;
    this.#outbox.close();
    this.#setState(state);
  }

  /** Told again even when nothing changed: indicators rely on that (§8.1). */
  #setState(state: State): void {
    this.#state = state;
    this.#host.onState(state);
  }
}
