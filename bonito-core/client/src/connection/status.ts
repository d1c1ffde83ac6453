/** What an indicator is told (protocol.md §8.1). */
export const ConnectionStatus = Object.freeze({
  CONNECTING: "connecting",
  CONNECTED: "connected",
  DISCONNECTED: "disconnected",
  NO_CONNECTION: "no_connection",
} as const);

export type Status = (typeof ConnectionStatus)[keyof typeof ConnectionStatus];

/**
 * Why a connection stays down. `closed` is the only one that may pass by itself:
 * - `gone`: the server no longer knows the session;
 * - `superseded`: another tab or socket took it over;
 * - `refused`: the server does not let this page in;
 * - `lost`: the page cannot go on where it was, and something may be missing on either side;
 * - `overflow`: more waited to be sent than the page may keep, and nothing can be resumed;
 * - `failed`: the page's first messages could not be read, so it never connected.
 */
export type Reason = "closed" | "gone" | "superseded" | "refused" | "lost" | "overflow" | "failed";

const finals: readonly unknown[] = ["gone", "superseded", "refused", "lost", "overflow", "failed"];

export function isFinal(reason: unknown): reason is Exclude<Reason, "closed"> {
  return finals.includes(reason);
}

export interface State {
  readonly status: Status;
  /** Only with status `disconnected`. */
  readonly reason?: Reason;
  /** With the reasons `lost` and `refused`: one word more, from the table of protocol.md §18.5. */
  readonly detail?: string;
}
