import type { State } from "./status.ts";

type Listener = (state: State) => void;

/** The connection's state for whoever shows it: what it is, and then each change once. */
export class StateStream {
  #state: State = { status: "connecting" };
  #listeners = new Set<Listener>();
  #onError: (error: unknown) => void;

  constructor(onError: (error: unknown) => void) {
    this.#onError = onError;
  }

  tell(state: State): void {
    const { status, reason, detail } = this.#state;
    if (state.status === status && state.reason === reason && state.detail === detail) return;
    this.#state = state;
    for (const listener of [...this.#listeners]) this.#run(listener, state);
  }

  /** Answers what ends it. */
  listen(listener: Listener): () => void {
    // Its own, so that one function may listen twice and end once.
    const own: Listener = (state) => listener(state);
    this.#listeners.add(own);
    this.#run(own, this.#state);
    return () => void this.#listeners.delete(own);
  }

  #run(listener: Listener, state: State): void {
    try {
      listener(state);
    } catch (error) {
      this.#onError(error);
    }
  }
}
