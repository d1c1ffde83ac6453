import type { Log } from "../log.ts";
import type { Observable, Owner } from "../observable.ts";

/**
 * What a session's entry says (protocol.md §8.2); `false` waits for the server to free it. There
 * is no "moving": whether a node has gone is asked when the move is over.
 */
export type Status = "root" | "sub" | "delete" | false;

export interface Entry {
  status: Status;
  readonly tracked: Set<string>;
  /** What was followed by its first messages. */
  readonly follows: Owner;
  /** Set once its start was reported; from then on it is announced after every reconnect (§10). */
  initialised: boolean;
  /** Its root element, once seen in the page. */
  element?: Element;
}

/** How long a freed id stays dead, so that a late envelope cannot bring it back (§9.2). */
export const TOMBSTONE_MS = 30_000;

/**
 * The sessions of this page and the objects they hold. An object lives as long as any session
 * tracks it, whatever that session's status (§4). Maps rather than plain objects, so that ids
 * like "constructor" are ids like any other.
 */
export class SessionTable {
  #entries = new Map<string, Entry>();
  #objects = new Map<string, unknown>();
  #tombstones = new Set<string>();
  #log: Log;
  /** The session whose first messages are running. */
  starting: Entry | undefined;

  constructor(log: Log) {
    this.#log = log;
  }

  get(id: string): Entry | undefined {
    return this.#entries.get(id);
  }

  [Symbol.iterator](): IterableIterator<[string, Entry]> {
    return this.#entries.entries();
  }

  /**
   * A fresh entry in place of any older one: `init_session` overrides, even a tombstone (§7, §9.2).
   * What an envelope brought for this session beforehand stays its own, or nobody would free it.
   */
  replace(id: string, status: Status): Entry {
    const { tracked = new Set<string>(), follows = new Set<Observable>() } = this.#entries.get(id) ?? {};
    const entry: Entry = { status, tracked, follows, initialised: false };
    this.#entries.set(id, entry);
    return entry;
  }

  /** The entry of an envelope's session, made when absent; `undefined` when the id was freed (§4). */
  ensure(id: string, status: Status): Entry | undefined {
    const entry = this.#entries.get(id);
    if (entry || this.#tombstones.has(id)) return entry;
    return this.replace(id, status);
  }

  has(key: string): boolean {
    return this.#objects.has(key);
  }

  lookup(key: string): unknown {
    if (this.#objects.has(key)) return this.#objects.get(key);
    this.#log.warn(`No object with key ${key} on this page`);
    return null;
  }

  /** Makes `session` keep the object alive. False when that session is gone. */
  track(session: string, key: string): boolean {
    const entry = this.#entries.get(session);
    entry?.tracked.add(key);
    return entry !== undefined;
  }

  /** Takes a new object in, unless nobody is there to own it. */
  register(session: string, key: string, object: unknown): void {
    if (this.track(session, key)) this.#objects.set(key, object);
  }

  /** Forgets the object if no session tracks it any more. */
  freeObject(key: string): void {
    for (const entry of this.#entries.values()) if (entry.tracked.has(key)) return;
    this.#objects.delete(key);
  }

  /** Forgets the object whoever tracks it. */
  forceFreeObject(key: string): void {
    for (const entry of this.#entries.values()) entry.tracked.delete(key);
    this.#objects.delete(key);
  }

  /** Drops the session and what only it held. */
  free(id: string): void {
    const entry = this.#entries.get(id);
    if (!entry) {
      this.#log.warn(`Session ${id} cannot be freed: it is not on this page`);
      return;
    }
    this.#entries.delete(id);
    for (const key of entry.tracked) this.freeObject(key);
    for (const observable of entry.follows) observable.drop(entry.follows);
    this.#tombstones.add(id);
    setTimeout(() => this.#tombstones.delete(id), TOMBSTONE_MS);
  }

  /** For tests and for people with a console: the table as plain data. */
  snapshot(): Record<string, [Set<string>, Status]> {
    return Object.fromEntries([...this.#entries].map(([id, entry]) => [id, [new Set(entry.tracked), entry.status]]));
  }

  objects(): Record<string, unknown> {
    return Object.fromEntries(this.#objects);
  }
}
