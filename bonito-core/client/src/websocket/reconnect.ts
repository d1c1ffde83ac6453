import { CloseCode, type End, type Outcomes } from "./close_codes.ts";
import type { Verdict } from "./probe.ts";

export const BASE_DELAY_MS = 500;
export const MAX_DELAY_MS = 10_000;
export const CONNECT_TIMEOUT_MS = 10_000;
/** A connection that held this long was a good one: the next loss starts with short pauses again. */
export const STABLE_AFTER_MS = 5_000;
/** Silence after which a peer that used to answer pings is taken for dead. */
export const SILENCE_MS = 15_000;
/** A ping has to have waited this long, or silence proves nothing. */
const PING_PATIENCE_MS = 5_000;
const TICK_MS = 1_000;
/** A tick later than this means that the page was frozen or throttled, and heard nothing for that reason. */
const LATE_TICK_MS = 5_000;

export interface SocketEvents {
  opened(): void;
  message(data: unknown): void;
  closed(code: number, reason?: string): void;
}

export interface Socket {
  close(code?: number, reason?: string): void;
}

/** The world, as far as reconnecting needs it. Times are in ms of one monotonic clock. */
export interface Environment {
  now(): number;
  /** In [0, 1). */
  random(): number;
  /** Returns what cancels it. */
  after(ms: number, run: () => void): () => void;
  connect(events: SocketEvents): Socket;
  probe(): Promise<Verdict>;
  /** What the mode that is spoken makes of an end. */
  outcomes(): Outcomes;
  liveness(): { answers: boolean; waitingSince: number | null };
  ping(): void;
}

export interface Listener {
  connecting(): void;
  /** `false` when nobody wants a connection any more. */
  opened(): boolean;
  message(data: unknown): void;
  ended(end: End): void;
}

export type Phase = "idle" | "connecting" | "open" | "waiting" | "suspended" | "ended";

/**
 * Keeps one socket open: when to connect, when to wait and how long, when to stop.
 *
 * Inputs: `start`, `stop`, `wake` (there is reason to hope: online, focus, visible), `suspend` and
 * `resume` (the page goes and comes back), and the events of the socket in use. Events of any
 * earlier socket are ignored. It never gives up by itself: only the server ends it, by a close code
 * or by not knowing the session any more.
 */
export class Reconnector {
  #env: Environment;
  #listener: Listener;
  #phase: Phase = "idle";
  #socket: Socket | null = null;
  /** The identity of the attempt in use: what bears another one is of the past. */
  #attempt: object | null = null;
  #cancelTimer: () => void = () => {};
  /** Attempts in a row that came to nothing. */
  #failures = 0;
  /** Connections in a row that opened and did not hold: they slow down as well, but start anew. */
  #flaps = 0;
  /** When the socket in use opened; `null` while it has not. */
  #openedAt: number | null = null;
  #heardAt = 0;
  #tickedAt = 0;
  #notBefore = 0;
  /** The question under way; an answer to any other one comes too late. */
  #question: object | null = null;

  constructor(env: Environment, listener: Listener) {
    this.#env = env;
    this.#listener = listener;
  }

  get phase(): Phase {
    return this.#phase;
  }

  start(): void {
    if (this.#phase !== "idle") return;
    this.#listener.connecting();
    this.#connect();
  }

  stop(): void {
    this.#abandon(CloseCode.Normal);
    this.#phase = "ended";
  }

  /** Nothing more is tried, and whoever listens is told why. */
  end(end: End): void {
    if (this.#phase === "ended") return;
    const lost = end.reason === "lost";
    this.#abandon(lost ? CloseCode.ContinuityLost : CloseCode.Normal, lost ? end.detail : undefined);
    this.#phase = "ended";
    this.#listener.ended(end);
  }

  /** Try now rather than later; if connected, make sure of it. */
  wake(): void {
    if (this.#phase === "open") this.#env.ping();
    else if (this.#phase === "waiting" && this.#env.now() >= this.#notBefore) this.#connect();
  }

  /** The page is being left: a close that follows is no reason to come back. */
  suspend(): void {
    if (this.#phase === "ended" || this.#phase === "idle") return;
    this.#clearTimer();
    this.#phase = "suspended";
  }

  /** The page is back. Its socket may have survived. */
  resume(): void {
    if (this.#phase !== "suspended") return;
    this.#failures = this.#flaps = 0;
    // What became of an attempt under way in the meantime is not worth finding out.
    const early = this.#notBefore - this.#env.now();
    if (this.#openedAt !== null) this.#watch();
    else if (early > 0) this.#wait(early);
    else this.#connect();
  }

  /** Drops the socket in use, as a network would, and connects again. */
  reconnect(): void {
    if (this.#phase === "ended" || this.#phase === "suspended") return;
    this.#abandon(CloseCode.Normal);
    this.#listener.connecting();
    this.#connect();
  }

  #connect(): void {
    this.#abandon(CloseCode.Normal);
    this.#phase = "connecting";
    const attempt = {};
    this.#attempt = attempt;
    const current = (run: () => void) => {
      if (this.#attempt === attempt) run();
    };
    this.#cancelTimer = this.#env.after(CONNECT_TIMEOUT_MS, () => current(() => this.#lost(CloseCode.Abnormal)));
    let socket: Socket;
    try {
      socket = this.#env.connect({
        opened: () => current(() => this.#opened()),
        message: (data) => current(() => this.#message(data)),
        closed: (code, reason) => current(() => this.#lost(code, reason)),
      });
    } catch {
      current(() => this.#lost(CloseCode.Abnormal));
      return;
    }
    if (this.#attempt === attempt) this.#socket = socket;
    else socket.close();
  }

  #opened(): void {
    this.#openedAt = this.#env.now();
    this.#heardAt = this.#openedAt;
    this.#failures = 0;
    this.#notBefore = 0;
    this.#question = null;
    if (this.#phase !== "suspended") this.#watch();
    if (!this.#listener.opened()) this.stop();
  }

  #message(data: unknown): void {
    this.#heardAt = this.#env.now();
    this.#listener.message(data);
  }

  /** The socket in use is no more, or was given up. */
  #lost(code: number, reason = ""): void {
    const openedAt = this.#openedAt;
    const stable = openedAt !== null && this.#env.now() - openedAt >= STABLE_AFTER_MS;
    const suspended = this.#phase === "suspended";
    this.#abandon(CloseCode.NoAnswer);
    const action = this.#env.outcomes().closed(code, reason);
    if (action.kind === "end") {
      this.end(action.end);
      return;
    }
    if (openedAt !== null) {
      this.#failures = stable ? 0 : this.#flaps;
      this.#flaps = stable ? 0 : this.#flaps + 1;
    }
    this.#failures = Math.max(this.#failures, action.patience);
    if (suspended) this.#phase = "suspended";
    else this.#wait(action.afterMs);
    if (action.afterMs > 0) this.#notBefore = this.#env.now() + action.afterMs;
    this.#listener.connecting();
    if (openedAt === null && !suspended) this.#ask();
  }

  /** Full jitter: any pause up to the bound, so that the clients of a restarted server spread out. */
  #wait(atLeastMs: number): void {
    const bound = Math.min(MAX_DELAY_MS, BASE_DELAY_MS * 2 ** Math.min(this.#failures, 30));
    this.#failures++;
    this.#phase = "waiting";
    this.#clearTimer();
    this.#cancelTimer = this.#env.after(atLeastMs + this.#env.random() * bound, () => this.#connect());
  }

  /** Finds out whether waiting makes sense at all. */
  #ask(): void {
    const question = {};
    this.#question = question;
    void this.#env.probe().then((verdict) => {
      if (this.#question !== question || (this.#phase !== "waiting" && this.#phase !== "connecting")) return;
      if (verdict.kind === "gone") this.end(this.#env.outcomes().gone(verdict.status));
      else if (verdict.kind === "later" && verdict.afterMs > 0 && this.#phase === "waiting") {
        this.#notBefore = this.#env.now() + verdict.afterMs;
        this.#wait(verdict.afterMs);
      }
    });
  }

  /** Looks every second whether the peer is still there (§2.5: nothing else would notice). */
  #watch(): void {
    this.#phase = "open";
    this.#tickedAt = this.#env.now();
    this.#tick();
  }

  #tick(): void {
    const attempt = this.#attempt;
    this.#clearTimer();
    this.#cancelTimer = this.#env.after(TICK_MS, () => {
      if (this.#attempt !== attempt || this.#phase !== "open") return;
      const now = this.#env.now();
      if (now - this.#tickedAt > LATE_TICK_MS) {
        this.#heardAt = now;
        this.#env.ping();
      }
      this.#tickedAt = now;
      const { answers, waitingSince } = this.#env.liveness();
      const unanswered = answers && waitingSince !== null && now - waitingSince >= PING_PATIENCE_MS;
      if (unanswered && now - this.#heardAt >= SILENCE_MS) this.#lost(CloseCode.Abnormal);
      else this.#tick();
    });
  }

  #abandon(code: number, reason?: string): void {
    this.#clearTimer();
    const socket = this.#socket;
    this.#attempt = null;
    this.#socket = null;
    this.#openedAt = null;
    // Closing one that is closed already does nothing.
    socket?.close(code, reason);
  }

  #clearTimer(): void {
    this.#cancelTimer();
    this.#cancelTimer = () => {};
  }
}
