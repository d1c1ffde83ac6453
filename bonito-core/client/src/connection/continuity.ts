/** After a page was loaded afresh it is not again for so long: a server that never goes on must not make it flicker. */
export const GUARD_MS = 10_000;
/** How long the next page may take to come. */
const NOTE_MS = 60_000;

/** What is done about a loss: nothing (there is none, or nothing more can be), the page does it, or a fresh page comes. */
export type Care = "none" | "page" | "reload";

/** `true`: the page takes care of it. */
export type OnContinuityLost = (reason: string) => unknown;

export interface ContinuityHost {
  /** May throw: a browser keeps storage from some pages. */
  storage(): Pick<Storage, "getItem" | "setItem">;
  readonly key: string;
  /** Wall-clock time in ms, since it has to outlive the page. */
  now(): number;
  /** How old the page is, in ms. */
  age(): number;
  wasReloaded(): boolean;
  reload(): void;
  failed(error: unknown): void;
}

/** What one page leaves to the next. */
interface Note {
  readonly reason: string;
  readonly at: number;
  readonly told: boolean;
}

/**
 * What becomes of a page that cannot go on where it was (protocol.md §18.5): it is loaded afresh,
 * and the new one says why; or the page's own code takes care of it.
 */
export class Continuity {
  handler: OnContinuityLost | null = null;
  /** Why the page before this one was given up; `null` if this one was not loaded for that. */
  readonly former: string | null;
  #host: ContinuityHost;
  #care: Care | null = null;

  constructor(host: ContinuityHost) {
    this.#host = host;
    const note = this.#read();
    const news = note && !note.told && this.#since(note) < NOTE_MS ? note : null;
    // A duplicated tab is none that lost anything.
    this.former = news && news.reason !== "duplicate" ? news.reason : null;
    if (news) this.#write({ ...news, told: true });
  }

  /** Decides once; a page is lost only once. */
  lost(reason = "unknown"): Care {
    this.#care ??= this.#decide(reason);
    return this.#care;
  }

  #decide(reason: string): Care {
    try {
      if (this.handler?.(reason) === true) return "page";
    } catch (error) {
      this.#host.failed(error);
    }
    const note = this.#read();
    if (note && this.#since(note) < GUARD_MS) return "none";
    const noted = this.#write({ reason, at: this.#host.now(), told: false });
    // Without storage the browser still knows how this page came.
    if (!noted && this.#host.wasReloaded() && this.#host.age() < GUARD_MS) return "none";
    this.#host.reload();
    return "reload";
  }

  /** A clock that was set back makes a note old, rather than new for ever. */
  #since({ at }: Note): number {
    const since = this.#host.now() - at;
    return since < 0 ? Infinity : since;
  }

  #read(): Note | null {
    try {
      const note: unknown = JSON.parse(this.#host.storage().getItem(this.#host.key) ?? "null");
      const { reason, at, told } = (note ?? {}) as Partial<Note>;
      return typeof reason === "string" && typeof at === "number" ? { reason, at, told: told === true } : null;
    } catch {
      return null;
    }
  }

  #write(note: Note): boolean {
    try {
      this.#host.storage().setItem(this.#host.key, JSON.stringify(note));
      return true;
    } catch {
      return false;
    }
  }
}
