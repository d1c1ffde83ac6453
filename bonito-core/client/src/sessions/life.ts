import type { Codec } from "../codec/codec.ts";
import { decompress } from "../codec/compression.ts";
import type { Lock } from "../lock.ts";
import { closeMessage, doneMessage, type Message } from "../messages.ts";
import { nodeAvailable, replaceContent } from "../page/dom.ts";
import type { Entry, SessionTable, Status } from "./table.ts";

export interface SessionHost {
  readonly codec: Codec;
  readonly lock: Lock;
  readonly sessions: SessionTable;
  process(message: Message): void;
  send(message: Message, options?: { announces?: string }): void;
  /** The page's root session could not start, so there will be no connection to report it on. */
  rootFailed(error: unknown): void;
}

type Bundle = Uint8Array | ArrayBuffer | null | undefined;

/** Start, swap and end of sessions (protocol.md §7, §8, §9). */
export class SessionLife {
  #host: SessionHost;
  /** Ids in the order in which their sessions started. */
  #order = new Set<string>();

  constructor(host: SessionHost) {
    this.#host = host;
  }

  /**
   * Runs a session's first messages. The entry exists from now on, the messages run when their
   * bytes are here and everything queued before is done: bundles load in parallel, but start in
   * the order of their scripts (§7).
   */
  init(id: string, bundle: Bundle | PromiseLike<Bundle>, status: Status = "root", compression = false): Promise<unknown> {
    const entry = this.#host.sessions.replace(id, status);
    this.#see(id, entry);
    const bytes = Promise.resolve(bundle);
    // A download may fail long before its turn in the lock, where the failure is handled.
    bytes.catch(() => {});
    return this.#host.lock.lock(async () => {
      try {
        this.#start(id, await this.#messages(id, await bytes, compression));
      } catch (error) {
        this.#failed(id, error);
        if (status === "root") this.#host.rootFailed(error);
      }
    });
  }

  free(id: string): Promise<unknown> {
    return this.#host.lock.lock(() => {
      this.#order.delete(id);
      this.#host.sessions.free(id);
    });
  }

  /**
   * "12": mounts a sub session. Waiting for the target does not block other frames; the swap itself
   * is a task of its own, so it runs after everything that is queued already (§9.1).
   */
  update(message: Message): void {
    const { session_id, session_status = "sub", messages, html, replace, dom_node_selector } = message;
    const id = session_id as string;
    this.#host.sessions.ensure(id, session_status as Status);
    const swap = (target: Element) => {
      try {
        replaceContent(target, html as Node | string, Boolean(replace));
        const entry = this.#host.sessions.get(id);
        if (entry) this.#see(id, entry, html);
        this.#start(id, messages);
      } catch (error) {
        this.#failed(id, error);
      }
    };
    const wait = (): void => {
      nodeAvailable(dom_node_selector as string).then(
        // An earlier swap may have taken the target away; then its successor is the target.
        (target) => this.#host.lock.lock(() => (target.isConnected ? swap(target) : wait())),
        (error: unknown) => this.#failed(id, error),
      );
    };
    wait();
  }

  /** Tells the server that a sub's DOM is gone; the entry stays until the server frees it (§9.2). */
  close(id: string, entry: Entry): void {
    const status = entry.status;
    entry.status = false;
    this.#host.send(closeMessage(id, status));
  }

  /** §10: what is announced on a new connection, in order of initialisation. */
  started(): string[] {
    return [...this.#order].filter((id) => this.#host.sessions.get(id)?.initialised);
  }

  async #messages(id: string, bundle: Bundle, compression: boolean): Promise<unknown> {
    if (bundle === null || bundle === undefined) return [];
    let bytes = bundle instanceof Uint8Array ? bundle : new Uint8Array(bundle);
    if (compression) bytes = await decompress(bytes);
    return this.#host.codec.decode(bytes, { session: id });
  }

  #start(id: string, messages: unknown): void {
    const { sessions } = this.#host;
    const entry = sessions.get(id);
    if (!entry) throw new Error("Session deleted before initialization completed");
    sessions.starting = entry;
    try {
      for (const message of messages as Iterable<Message>) this.#host.process(message);
    } finally {
      sessions.starting = undefined;
    }
    if (entry.status === "sub") entry.status = "delete";
    entry.initialised = true;
    this.#order.add(id);
    this.#see(id, entry);
    this.#host.send(doneMessage(id), { announces: id });
    // Its DOM may have gone while it was starting: nobody would notice later.
    if (entry.status === "delete" && entry.element && !entry.element.isConnected) this.close(id, entry);
  }

  #failed(id: string, error: unknown): void {
    this.#host.send(doneMessage(id, { error }), { announces: id });
  }

  /** Remembers a session's element: only what was once in the page can be missed from it. */
  #see(id: string, entry: Entry, html?: unknown): void {
    const element = html instanceof Element && html.id === id ? html : document.getElementById(id);
    if (element) entry.element = element;
  }
}
