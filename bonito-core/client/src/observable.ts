export type Listener = (value: any) => unknown;

/** What an observable needs from the rest of the client. */
export interface ObservableLink {
  send(id: string, value: unknown): void;
  reportError(message: string, error: unknown): void;
}

/**
 * The page's end of a value shared with the server. `id` and `value` are its only own fields,
 * because page code may send an observable as a payload and then exactly those two travel (§3.2).
 */
export class Observable {
  readonly id: string;
  value: unknown;
  #listeners: Listener[] = [];
  #link: ObservableLink;

  constructor(id: string, value: unknown, link: ObservableLink) {
    this.id = id;
    this.value = value;
    this.#link = link;
  }

  /** Sets the value and runs the listeners; tells the server unless `dontNotifyServer`. */
  notify(value: unknown, dontNotifyServer?: unknown): void {
    this.value = value;
    // A copy, since a listener may add or remove listeners.
    for (const listener of [...this.#listeners]) this.#run(listener, value);
    if (!dontNotifyServer) this.#link.send(this.id, value);
  }

  on(listener: Listener): void {
    if (typeof listener !== "function") {
      throw new TypeError(`A listener of observable ${this.id} must be a function, not ${typeof listener}`);
    }
    this.#listeners.push(listener);
  }

  #run(listener: Listener, value: unknown): void {
    try {
      // §5: any result that loosely equals false asks for removal; undefined and null do not.
      if (listener(value) == false) {
        const at = this.#listeners.indexOf(listener);
        if (at >= 0) this.#listeners.splice(at, 1);
      }
    } catch (error) {
      this.#link.reportError(`Error during running onjs callback\nCallback:\n${String(listener)}`, error);
    }
  }
}

/** Runs `listener` with the values of all observables whenever one of them changes. */
export function onany(observables: readonly Observable[], listener: (values: unknown[]) => unknown): void {
  const run = () => listener(observables.map((observable) => observable.value));
  for (const observable of observables) observable.on(run);
}
