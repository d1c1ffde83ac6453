import { Fifo } from "../fifo.ts";
import { isThenable } from "../promises.ts";

export interface Outgoing {
  /** The encoded message; compressed only when it leaves. */
  readonly bytes: Uint8Array;
  /** Made anew at every open, so worth nothing on another connection (pings, announcements). */
  readonly transient: boolean;
  /** The session whose start this reports, if it reports one. */
  readonly announces?: string;
  /** Whether this reports an error: of one that cannot be sent, no other report is made. */
  readonly report?: boolean;
}

/** How a transport takes one message. Only `false` or a throw, now or later, means that it did not (§2.7). */
export type Send = (bytes: Uint8Array) => unknown;
export type Prepare = (bytes: Uint8Array) => Promise<Uint8Array>;

/** How long a connection waits for what the former one still owes an answer for. */
export const ANSWER_MS = 10_000;

/** One open connection. Its identity tells what was begun on it from what came after. */
interface Link {
  readonly send: Send;
  readonly prepare: Prepare | null;
  /** The longest frame that the other side takes. */
  readonly limit: number;
  busy: boolean;
}

/** A message that is longer than the server takes. Nothing of it was sent. */
export class MessageTooLong extends RangeError {
  constructor(bytes: number, limit: number) {
    super(`A message of ${bytes} bytes is more than the server takes, which is ${limit} bytes; nothing of it was sent`);
    this.name = "MessageTooLong";
  }
}

/**
 * The one way out: everything is sent from this queue, in order, so nothing overtakes.
 *
 * A message leaves the queue in the moment in which the transport gets it and comes back to its
 * front only when the transport says that it did not take it. So it is neither lost nor doubled.
 */
export class Outbox {
  #queue = new Fifo<Outgoing>();
  #bytes = 0;
  #link: Link | null = null;
  /** Settles when no transport has a message any more of which it has not said whether it took it. */
  #answer: Promise<void> | null = null;
  #onRefused: (error: unknown) => void;
  #onTooLong: (error: MessageTooLong, message: Outgoing) => void;

  /**
   * `onRefused` is told when the transport did not take a message, `onTooLong` of one that was
   * dropped, since its length was known, or the limit, only when it was to leave.
   */
  constructor(onRefused: (error: unknown) => void, onTooLong: (error: MessageTooLong, message: Outgoing) => void) {
    this.#onRefused = onRefused;
    this.#onTooLong = onTooLong;
  }

  get length(): number {
    return this.#queue.length;
  }

  get waitingBytes(): number {
    return this.#bytes;
  }

  /** The sessions whose start is reported by a message that still waits. */
  announced(): Set<string> {
    const sessions = new Set<string>();
    for (const { announces } of this.#queue) if (announces !== undefined) sessions.add(announces);
    return sessions;
  }

  /** Takes the transport in use; `prepare` compresses, when this connection wants that. */
  open(send: Send, prepare: Prepare | null, limit = Infinity): void {
    this.close();
    const answer = this.#answer;
    const link: Link = { send, prepare, limit, busy: answer !== null };
    this.#link = link;
    if (!answer) return;
    // What it gives back goes first. One that never answers must not hold up all that follow.
    const patience = new Promise<void>((resolve) => setTimeout(resolve, ANSWER_MS));
    void this.#expect(Promise.race([answer, patience])).then(() => this.#run(link));
  }

  close(): void {
    this.#link = null;
    this.#queue.filter((message) => !message.transient);
    this.#bytes = 0;
    for (const message of this.#queue) this.#bytes += message.bytes.length;
  }

  push(message: Outgoing): void {
    this.#queue.push(message);
    this.#bytes += message.bytes.length;
  }

  /** Sends what waits; synchronous for as long as transport and preparation are. */
  pump(): void {
    const link = this.#link;
    // A transport may deliver, and so send, from within `send`: the running loop picks that up.
    if (!link || link.busy) return;
    link.busy = true;
    this.#run(link);
  }

  #run(link: Link): void {
    while (this.#link === link) {
      const message = this.#queue.peek();
      if (!message) {
        link.busy = false;
        return;
      }
      const pending = link.prepare ? this.#prepareAndHand(link, message, link.prepare) : this.#hand(link, message, message.bytes);
      if (pending) {
        void pending.then(() => this.#run(link));
        return;
      }
    }
  }

  /** The message stays in front of the queue while it is prepared: should the link close, it is still there. */
  async #prepareAndHand(link: Link, message: Outgoing, prepare: Prepare): Promise<void> {
    try {
      const bytes = await prepare(message.bytes);
      // Meanwhile another one may have come back to the front.
      if (this.#link === link && this.#queue.peek() === message) await this.#hand(link, message, bytes);
    } catch (error) {
      this.#refuse(link, error);
    }
  }

  #hand(link: Link, message: Outgoing, bytes: Uint8Array): Promise<void> | undefined {
    this.#queue.shift();
    this.#bytes -= message.bytes.length;
    if (bytes.length > link.limit) {
      this.#onTooLong(new MessageTooLong(bytes.length, link.limit), message);
      return undefined;
    }
    try {
      const answer = link.send(bytes);
      if (isThenable(answer)) return this.#expect(this.#later(link, message, answer));
      if (answer === false) this.#takeBack(link, message, undefined);
    } catch (error) {
      this.#takeBack(link, message, error);
    }
    return undefined;
  }

  #expect(answer: Promise<void>): Promise<void> {
    this.#answer = answer;
    return answer.then(() => {
      if (this.#answer === answer) this.#answer = null;
    });
  }

  async #later(link: Link, message: Outgoing, answer: PromiseLike<unknown>): Promise<void> {
    try {
      if ((await answer) === false) this.#takeBack(link, message, undefined);
    } catch (error) {
      this.#takeBack(link, message, error);
    }
  }

  #takeBack(link: Link, message: Outgoing, error: unknown): void {
    if (this.#link === link || !message.transient) {
      this.#queue.unshift(message);
      this.#bytes += message.bytes.length;
    }
    this.#refuse(link, error);
    // The next link may already be idle: it has this one to send as well.
    this.pump();
  }

  #refuse(link: Link, error: unknown): void {
    if (this.#link === link) this.#onRefused(error);
  }
}
