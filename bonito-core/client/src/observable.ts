import { isThenable } from "./promises.ts";

export type Listener = (value: any) => unknown;

/** What an observable needs from the rest of the client. */
export interface ObservableLink {
  send(id: string, value: unknown): void;
  reportError(message: string, error: unknown): void;
  /** Whom a listener that comes now is for, if for anybody who may go before the observable does. */
  owner(): Owner | undefined;
}

/**
 * What the listeners of one owner follow. Its identity is the owner's: who goes takes them along, since
 * what they hold, DOM above all, is not to be kept.
 */
export type Owner = Set<Observable>;

interface Entry {
  readonly listener: Listener;
  readonly owner: Owner | undefined;
}

/**
 * The page's end of a value shared with the server. `id` and `value` are its only own fields,
 * because page code may send an observable as a payload and then exactly those two travel (§3.2).
 */
export class Observable {
  readonly id: string;
  value: unknown;
  #listeners: Entry[] = [];
  #link: ObservableLink;

  constructor(id: string, value: unknown, link: ObservableLink) {
    this.id = id;
    this.value = value;
    this.#link = link;
  }

  /** Sets the value and runs the listeners; tells the server unless `dontNotifyServer`. */
  notify(value: unknown, dontNotifyServer?: unknown): void {
    this.value = value;
    // A copy, since a listener may add listeners.
    for (const entry of [...this.#listeners]) this.#run(entry, value);
    if (!dontNotifyServer) this.#link.send(this.id, value);
  }

  on(listener: Listener): void {
    if (typeof listener !== "function") {
      throw new TypeError(`A listener of observable ${this.id} must be a function, not ${typeof listener}`);
    }
    const owner = this.#link.owner();
    owner?.add(this);
    this.#listeners.push({ listener, owner });
  }

  /** The listeners of this owner are no more. */
  drop(owner: Owner): void {
    this.#listeners = this.#listeners.filter((entry) => entry.owner !== owner);
  }

  #run(entry: Entry, value: unknown): void {
    const { listener } = entry;
    const failed = (error: unknown) =>
      this.#link.reportError(`Error during running onjs callback\nCallback:\n${String(listener)}`, error);
    try {
      // §5: any result that loosely equals false asks for removal; undefined and null do not.
      const result = listener(value);
      if (result == false) this.#listeners = this.#listeners.filter((other) => other !== entry);
      else if (isThenable(result)) result.then(undefined, failed);
    } catch (error) {
      failed(error);
    }
  }
}

/** Runs `listener` with the values of all observables whenever one of them changes. */
export function onany(observables: readonly Observable[], listener: (values: unknown[]) => unknown): void {
  const run = () => listener(observables.map((observable) => observable.value));
  for (const observable of observables) observable.on(run);
}
