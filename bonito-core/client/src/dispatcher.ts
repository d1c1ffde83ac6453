import type { Codec } from "./codec/codec.ts";
import type { Lock } from "./lock.ts";
import { type Message, MessageType, messageText } from "./messages.ts";
import type { Observable } from "./observable.ts";
import { isThenable } from "./promises.ts";
import type { SessionTable } from "./sessions/table.ts";

export const DECODE_ERROR = "Error while decoding/processing incoming websocket message";

export interface DispatcherHost {
  readonly codec: Codec;
  readonly lock: Lock;
  readonly sessions: SessionTable;
  reportError(message: string, error: unknown): void;
  /** Called for every message, with whether it was a pong. */
  heard(pong: boolean): void;
  /** Decodes one frame as the connection's settings say. */
  decodeFrame(bytes: Uint8Array): unknown;
  updateSession(message: Message): void;
}

type Handler = (message: Message) => unknown;

/** Carries out what the server says (protocol.md §5). Errors become reports; nothing is thrown. */
export class Dispatcher {
  #host: DispatcherHost;
  #handlers: Record<string, Handler>;
  #pending: Promise<void> = Promise.resolve();

  constructor(host: DispatcherHost) {
    this.#host = host;
    this.#handlers = {
      [MessageType.UpdateObservable]: ({ id, payload }) => {
        // An observable that this page has freed may still get an update: that is no error (§9.2).
        const key = id as string;
        if (host.sessions.has(key)) (host.sessions.lookup(key) as Observable).notify(payload, true);
      },
      [MessageType.OnjsCallback]: ({ obs, payload }) => {
        (obs as Observable).on((payload as () => (value: unknown) => unknown)());
      },
      [MessageType.EvalJavascript]: ({ payload }) => (payload as () => unknown)(),
      [MessageType.FusedMessage]: ({ payload }) => {
        for (const inner of payload as Message[]) this.process(inner);
      },
      [MessageType.PingPong]: () => {},
      [MessageType.UpdateSession]: (message) => host.updateSession(message),
    };
  }

  /**
   * Takes a decoded message, a promise of one, or a frame as it came from a transport; the last is
   * what the documented custom connection passes. A frame is serialised with everything else by
   * the lock; a decoded message runs at once, since its transport has taken the lock or does not care.
   */
  accept(input: unknown): Promise<void> | undefined {
    if (input instanceof ArrayBuffer) return this.accept(new Uint8Array(input));
    if (input instanceof Uint8Array) return this.#acceptFrame(input);
    if (isThenable(input)) return this.#acceptLater(input);
    this.process(input as Message);
    return undefined;
  }

  process(message: Message): void {
    try {
      const type = message.msg_type;
      this.#host.heard(type === MessageType.PingPong);
      if (typeof type !== "string" || !Object.hasOwn(this.#handlers, type)) {
        throw new Error(`Unrecognized message type: ${String(type)}.`);
      }
      const result = this.#handlers[type]?.(message);
      // Code that fails later is reported like code that fails at once.
      if (isThenable(result)) result.then(undefined, (error: unknown) => this.#failed(message, error));
    } catch (error) {
      this.#failed(message, error);
    }
  }

  #acceptFrame(bytes: Uint8Array): Promise<void> | undefined {
    // §2.2: a single zero byte is a test write and means nothing.
    if (bytes.length === 1 && bytes[0] === 0) return undefined;
    if (this.#host.lock.inside) return this.#decodeAndProcess(bytes);
    // Not returned: whoever awaits it from a later part of a lock task would wait for itself.
    void this.#host.lock.lock(() => this.#decodeAndProcess(bytes));
    return undefined;
  }

  #decodeAndProcess(bytes: Uint8Array): Promise<void> | undefined {
    try {
      return this.accept(this.#host.decodeFrame(bytes));
    } catch (error) {
      this.#host.reportError(DECODE_ERROR, error);
      return undefined;
    }
  }

  /** Promised messages are processed in the order in which they were accepted, whenever they resolve. */
  #acceptLater(input: PromiseLike<unknown>): Promise<void> {
    const settled = Promise.resolve(input).then(
      (message) => () => this.process(message as Message),
      (error: unknown) => () => this.#host.reportError(DECODE_ERROR, error),
    );
    const done = this.#pending.then(() => settled).then((run) => run());
    this.#pending = done;
    this.#host.lock.hold(done);
    return done;
  }

  #failed(message: Message, error: unknown): void {
    this.#host.reportError(`Error while processing message ${messageText(message)}`, error);
  }
}
