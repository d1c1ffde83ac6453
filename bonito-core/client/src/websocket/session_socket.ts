import { CloseCode, type Outcomes, plainOutcomes, resumableOutcomes } from "./close_codes.ts";
import { KEY_BYTES, PROTOCOL } from "./control.ts";
import type { Library } from "./library.ts";
import type { Verdict } from "./probe.ts";
import { type Phase, Reconnector, type Socket, type SocketEvents } from "./reconnect.ts";
import { Resume } from "./resume.ts";
import { probeUrl, socketUrl } from "./url.ts";

export interface SetupOptions {
  proxy_url?: string;
  session_id: string;
  compression_enabled?: boolean;
  query?: string;
  /** False for a second socket that only receives (protocol.md §2.6). */
  main_connection?: boolean;
  /** The page's key in base64url: the server can resume (§18). */
  resume?: string;
}

/** The page around a socket. Times are in ms of one monotonic clock. */
export interface SocketHost {
  /** The page's address. */
  readonly page: string;
  /** Made at random for this load of the page (§18.2). */
  readonly instance: Uint8Array;
  library(): Library;
  open(url: string, protocol?: string): WebSocket;
  probe(url: string): Promise<Verdict>;
  now(): number;
  random(): number;
  after(ms: number, run: () => void): () => void;
  /** The socket is not to connect again; `final` when nothing of its session is. */
  ended(socket: SessionSocket, final: boolean): void;
}

/** One socket to one session, kept open; resumed where server and library can. */
export class SessionSocket {
  readonly url: string;
  readonly #host: SocketHost;
  readonly #compression: boolean;
  readonly #main: boolean;
  readonly #reconnector: Reconnector;
  /** `null` in the plain mode. */
  #resume: Resume | null;
  #socket: WebSocket | null = null;
  #events: SocketEvents | null = null;
  #opened = false;
  #welcome = { resumed: false, messageBytes: Infinity };

  constructor(options: SetupOptions, host: SocketHost) {
    const { proxy_url, session_id, compression_enabled = false, query, main_connection = true, resume } = options;
    this.url = socketUrl(proxy_url, session_id, query, host.page);
    this.#host = host;
    this.#compression = Boolean(compression_enabled);
    this.#main = main_connection;
    this.#resume = this.#main && resume !== undefined ? this.#resumeBy(keyOf(resume)) : null;
    this.#reconnector = new Reconnector(
      {
        now: () => host.now(),
        random: () => host.random(),
        after: (ms, run) => host.after(ms, run),
        connect: (events) => this.#connect(events),
        probe: () => host.probe(probeUrl(this.url)),
        outcomes: (): Outcomes => (this.#resume ? resumableOutcomes : plainOutcomes),
        liveness: () =>
          this.#resume?.liveness ?? this.#library.Connection?.liveness?.() ?? { answers: false, waitingSince: null },
        ping: () => {
          if (this.#resume) this.#resume.ping();
          else if (this.#main) this.#library.send_pingpong();
        },
      },
      {
        // Only the main socket speaks for the connection: the other one comes and goes unseen.
        connecting: () => {
          if (this.#main) this.#library.on_connection_connecting();
        },
        opened: () => !this.#main || this.#announce(),
        message: (data) => this.#message(data),
        ended: ({ reason, detail }) => {
          host.ended(this, this.#main);
          if (this.#main) this.#library.on_connection_close(reason, detail);
        },
      },
    );
  }

  /** What the sockets of one session have in common. */
  get address(): string {
    return this.url.split("?", 1)[0] as string;
  }

  get phase(): Phase {
    return this.#reconnector.phase;
  }

  /** Whether there is something that another socket object would not know how to go on with. */
  get resumable(): boolean {
    return this.#resume !== null && this.phase !== "ended";
  }

  start(): void {
    const resume = this.#resume;
    if (this.#main) {
      this.#library.Connection?.resumable?.(
        resume && {
          heldBytes: () => resume.heldBytes,
          overflow: () => this.#reconnector.end({ reason: "lost", detail: "overflow" }),
        },
      );
    }
    this.#reconnector.start();
  }

  /** The page is being left. */
  suspend(): void {
    this.#reconnector.suspend();
  }

  /** The page is shown again. */
  resume(): void {
    this.#reconnector.resume();
  }

  isopen(): boolean {
    return this.#socket?.readyState === OPEN;
  }

  /** Whether the message was taken; if not, it is the caller's again. What can be resumed is kept until the server has it. */
  send(bytes: Uint8Array): boolean {
    if (this.#resume) {
      if (this.phase === "ended") return false;
      this.#resume.send(bytes);
      return true;
    }
    return this.#write(bytes);
  }

  retry_connection(): void {
    this.#reconnector.wake();
  }

  reconnect(): void {
    this.#reconnector.reconnect();
  }

  /** Ends this socket for good. */
  close(): void {
    this.#host.ended(this, false);
    this.#reconnector.stop();
    if (!this.#main) return;
    if (this.#resume) this.#library.Connection?.resumable?.(null);
    this.#library.on_connection_close();
  }

  get #library(): Library {
    return this.#host.library();
  }

  #connect(events: SocketEvents): Socket {
    const resume = this.#resume;
    const socket = resume ? this.#host.open(this.url, PROTOCOL) : this.#host.open(this.url);
    const inUse = () => this.#socket === socket;
    this.#socket = socket;
    this.#events = events;
    socket.binaryType = "arraybuffer";
    socket.onopen = () => {
      if (!inUse()) return;
      if (!resume) events.opened();
      else if (socket.protocol === PROTOCOL) resume.attach();
      // A stream goes on where it was or is lost, and this server speaks of neither: perhaps another one, later.
      else if (resume.begun) events.closed(CloseCode.ProtocolError);
      else this.#goPlain(events);
    };
    socket.onmessage = (event) => {
      if (inUse()) events.message(event.data);
    };
    socket.onclose = (event) => events.closed(event.code, event.reason);
    return {
      close: (code, reason) => {
        if (inUse()) {
          this.#socket = null;
          this.#resume?.detach();
        }
        socket.close(code, reason);
      },
    };
  }

  #resumeBy(key: Uint8Array): Resume | null {
    const { Connection, Protocol } = this.#library;
    const { encode_plain: encode, decode_plain: decode } = Protocol ?? {};
    if (!encode || !decode || !Connection?.resumable) return null;
    return new Resume(
      { instance: this.#host.instance, key, compressed: this.#compression },
      {
        codec: { encode, decode },
        now: () => this.#host.now(),
        after: (ms, run) => this.#host.after(ms, run),
        write: (frame) => void this.#write(frame),
        opened: (resumed, messageBytes) => {
          this.#welcome = { resumed, messageBytes };
          this.#events?.opened();
        },
        message: (frame) => this.#receive(frame),
        // So page code can still ask whether the server answers.
        pong: () => void this.#library.process_message({ msg_type: "11" }),
        broken: () => this.#events?.closed(CloseCode.ProtocolError),
        lost: (detail) => this.#reconnector.end({ reason: "lost", detail }),
      },
    );
  }

  /** The server does not resume, so there is nothing to keep for it. */
  #goPlain(events: SocketEvents): void {
    this.#resume = null;
    this.#library.Connection?.resumable?.(null);
    events.opened();
  }

  /** Whether the page still wants a connection. */
  #announce(): boolean {
    const send = (bytes: Uint8Array) => this.send(bytes);
    if (this.#resume) {
      const { resumed, messageBytes } = this.#welcome;
      return this.#library.on_connection_open(send, this.#compression, false, resumed, messageBytes) !== false;
    }
    const wanted = this.#library.on_connection_open(send, this.#compression) !== false;
    // Other copies of the library leave it to the transport to announce the sessions again (§10).
    if (this.#opened) this.#library.Sessions?.reannounce_initialized_sessions?.();
    this.#opened = true;
    return wanted;
  }

  #write(bytes: Uint8Array): boolean {
    if (!this.#socket || !this.isopen()) return false;
    this.#socket.send(bytes as Uint8Array<ArrayBuffer>);
    return true;
  }

  #message(data: unknown): void {
    if (this.#resume) {
      if (typeof data === "string") this.#events?.closed(CloseCode.ProtocolError);
      else this.#resume.receive(new Uint8Array(data as ArrayBuffer));
      return;
    }
    // Text frames carry nothing here (§2.2), but they are not worth a crash either.
    const bytes = typeof data === "string" ? new TextEncoder().encode(data) : new Uint8Array(data as ArrayBuffer);
    if (bytes.length === 1 && bytes[0] === 0) return;
    this.#receive(bytes);
  }

  #receive(bytes: Uint8Array): void {
    const library = this.#library;
    library.lock_loading(() => {
      try {
        return library.process_message(library.decode_binary(bytes, this.#compression));
      } catch (error) {
        library.send_error("Error while decoding/processing incoming websocket message", error);
        return undefined;
      }
    });
  }
}

/** `WebSocket.OPEN`. */
const OPEN = 1;

/** Throws, without the text: it is a secret. */
function keyOf(text: string): Uint8Array {
  let key: Uint8Array | undefined;
  try {
    key = Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (c) => c.charCodeAt(0));
  } catch {
    // Said below.
  }
  if (key?.length !== KEY_BYTES) throw new Error(`The key for resuming is not ${KEY_BYTES} bytes in base64url`);
  return key;
}
