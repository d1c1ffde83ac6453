import type { Care } from "../connection/continuity.ts";
import type { State, Status } from "../connection/status.ts";
import { DefaultIndicator } from "./indicator.ts";

/** What an application registers to show the connection itself (protocol.md §8.1). */
export interface ConnectionIndicator {
  onStatusChange?(status: Status, detail: State): void;
}

/** Shows the state of the connection: on the document element, and by one indicator. */
export class Indication {
  readonly standard: DefaultIndicator;
  #custom: ConnectionIndicator | null = null;
  #state: State = { status: "connecting" };
  #care: Care = "none";
  #onError: (error: unknown) => void;

  constructor(reload: () => void, onError: (error: unknown) => void) {
    this.standard = new DefaultIndicator(reload);
    this.#onError = onError;
  }

  /** `care`: what is done about a loss of continuity. */
  update(state: State, care: Care): void {
    this.#state = state;
    this.#care = care;
    // For style sheets and tests: the reason says more than "disconnected", where there is one.
    const { status, reason } = state;
    document.documentElement.setAttribute("data-bonito-connection", reason && reason !== "closed" ? reason : status);
    if (!this.#custom) {
      this.standard.update(state, care);
      return;
    }
    try {
      this.#custom.onStatusChange?.(status, state);
    } catch (error) {
      this.#onError(error);
    }
  }

  /** The built-in indicator makes way; the new one is told the state at once. */
  register(indicator: ConnectionIndicator): void {
    this.#custom = indicator;
    this.standard.remove();
    this.update(this.#state, this.#care);
  }

  unregister(): void {
    this.#custom = null;
    this.update(this.#state, this.#care);
  }
}
