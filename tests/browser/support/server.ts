import { Process } from "./process.ts";

/** See `fixture/src/options.rs`. */
export interface ServerOptions {
  adapter?: string;
  base?: string;
  externalUrl?: string;
  nats?: string;
  clientCopy?: boolean;
  compression?: boolean;
  noSoftClose?: boolean;
  cleanupMs?: number;
  connectMs?: number;
  pingMs?: number;
  deadMs?: number;
  closeMs?: number;
  takeoverMs?: number;
  queuedMessages?: number;
  takeover?: "fork" | "newest" | "reject";
}

export interface Stats {
  sessions: number;
  open: number;
  soft_closed: number;
  sockets: number;
  tasks: number;
  bindings: number;
  queued_bytes: number;
  /** Futures of the fixture that have not been dropped. */
  alive: number;
  slider: { value: number; listeners: number; sessions: number };
}

/** What became of one session. */
export interface SessionRecord {
  status: string;
  opened: number;
  reopened: number;
  soft_closed: number;
  closed: string | null;
  numbers: number[];
  dials: number[];
  arrays: { length: number; checksum: number }[];
  errors: { message: string; exception: string; stacktrace: string }[];
  warnings: string[];
  queued_messages?: number;
  tasks?: number;
  bindings?: number;
  level?: number;
  text?: string;
}

export type Evaluated =
  | { value: unknown; error?: never }
  | { error: { text: string; exception: string | null; timeout: boolean; wrong_type: boolean; closed: boolean }; value?: never };

/** The server of the fixture, with its control API. */
export class Server {
  readonly url: string;
  readonly #process: Process;

  private constructor(process: Process, url: string) {
    this.#process = process;
    this.url = url;
  }

  static async start(options: ServerOptions): Promise<Server> {
    const binary = process.env["BROWSER_FIXTURE"];
    if (!binary) throw new Error("BROWSER_FIXTURE does not say where the fixture is");
    const args = Object.entries(options).flatMap(([name, value]) => {
      const flag = `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
      if (value === true) return [flag];
      return value === false || value === undefined ? [] : [flag, String(value)];
    });
    const adapter = process.env["BROWSER_ADAPTER"];
    if (adapter && !options.adapter) args.push("--adapter", adapter);
    const started = await Process.start(binary, args);
    return new Server(started.process, started.url);
  }

  get port(): number {
    return Number(new URL(this.url).port);
  }

  get log(): readonly string[] {
    return this.#process.lines;
  }

  stop(): Promise<void> {
    return this.#process.stop();
  }

  stats(): Promise<Stats> {
    return this.#command("stats", {});
  }

  session(session: string): Promise<SessionRecord> {
    return this.#command("session", { session });
  }

  /** Closes the session, as the application would. */
  close(session: string): Promise<null> {
    return this.#command("close", { session });
  }

  /** Ends the socket and not the session. */
  disconnect(session: string): Promise<null> {
    return this.#command("disconnect", { session });
  }

  setSlider(value: number): Promise<null> {
    return this.#command("slider", { value });
  }

  setLevel(session: string, ...values: number[]): Promise<null> {
    return this.#command("level", { session, values });
  }

  setText(session: string, text: string): Promise<null> {
    return this.#command("text", { session, text });
  }

  /** Sends the page a script for each number, `ballast` bytes long. Answers what became of each. */
  sendNumbers(session: string, from: number, to: number, ballast = 0): Promise<string[]> {
    return this.#command("numbers", { session, from, to, ballast });
  }

  /** Numbers to a page `/chaos`, over so many milliseconds, each by a script and as a value of an observable. */
  flow(session: string, from: number, to: number, over_ms: number): Promise<string[]> {
    return this.#command("flow", { session, from, to, over_ms });
  }

  /** The same on the lane for large data. */
  sendLarge(session: string, from: number, to: number, ballast = 0): Promise<string[]> {
    return this.#command("large", { session, from, to, ballast });
  }

  /** Sets an array of so many bytes, on the lane for large data. */
  setImage(session: string, bytes: number): Promise<null> {
    return this.#command("image", { session, bytes });
  }

  /** What `/clicks` has measured, in ms: the longest click while idle, and while large data came, of so many clicks. */
  measurements(): Promise<[idle: number, during: number, clicks: number][]> {
    return this.#command("measurements", {});
  }

  run(session: string, source: string): Promise<string> {
    return this.#command("script", { session, source });
  }

  evaluate(session: string, source: string, more: { as?: "number" | "text"; within_ms?: number } = {}): Promise<Evaluated> {
    return this.#command("evaluate", { session, source, ...more });
  }

  /** Sets the time of day so many times, and answers the last one. */
  sendStamps(session: string, count: number): Promise<number> {
    return this.#command("stamps", { session, count });
  }

  /** Lets `/same` be made anew. */
  forgetSame(): Promise<null> {
    return this.#command("forget", {});
  }

  async #command<T>(name: string, body: object): Promise<T> {
    const response = await fetch(`${this.url}/control/${name}`, { method: "POST", body: JSON.stringify(body) });
    const text = await response.text();
    if (!response.ok) throw new Error(`${name}: ${text}`);
    return JSON.parse(text) as T;
  }
}
