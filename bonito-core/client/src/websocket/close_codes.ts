/**
 * What a close code means for the page. Whatever is not listed is a lost connection, to be made
 * again: proxies end idle connections with all kinds of codes, 1000 among them.
 */
export enum CloseCode {
  Normal = 1000,
  GoingAway = 1001,
  ProtocolError = 1002,
  Abnormal = 1006,
  InvalidData = 1007,
  TooBig = 1009,
  ServerError = 1011,
  Restart = 1012,
  TryLater = 1013,
  /** Sent by this client when the peer stopped answering. */
  NoAnswer = 4000,
  /** Another tab or socket has taken the session. */
  Superseded = 4001,
  /** The server does not let this page in. */
  Refused = 4003,
  /** The server has closed the session. */
  SessionClosed = 4004,
  /** The page cannot go on where it was (protocol.md §18.5). Also sent by this client. */
  ContinuityLost = 4005,
}

/** Why a page is not to connect again. */
export interface End {
  readonly reason: "gone" | "superseded" | "refused" | "lost";
  /** One word more, as the server or this client says it. */
  readonly detail?: string;
}

export type CloseAction =
  | { readonly kind: "end"; readonly end: End }
  /** `patience`: how many failed attempts this close counts as, so that a busy server gets time. */
  | { readonly kind: "reconnect"; readonly patience: number; readonly afterMs: number };

/** A server that drains may ask for so much patience at the most. */
const MAX_PAUSE_MS = 60_000;

/** `retry-after=2500` in the reason of a close frame: milliseconds. */
function pauseOf(reason: string): number {
  const [, ms] = /^retry-after=(\d{1,9})$/.exec(reason) ?? [];
  return Math.min(Number(ms ?? 0), MAX_PAUSE_MS);
}

/** What the ends of sockets, and answers to the question why, mean to a page. */
export interface Outcomes {
  closed(code: number, reason?: string): CloseAction;
  /** The status with which plain HTTP says that there is nothing to come back to. */
  gone(status: number): End;
}

const end = (reason: End["reason"], detail?: string): CloseAction => ({
  kind: "end",
  end: detail === undefined ? { reason } : { reason, detail },
});

const again = (patience = 0, afterMs = 0): CloseAction => ({ kind: "reconnect", patience, afterMs });

export function actionFor(code: number, reason = ""): CloseAction {
  switch (code) {
    case CloseCode.Superseded:
      return end("superseded");
    case CloseCode.Refused:
      return end("refused");
    case CloseCode.SessionClosed:
      return end("gone");
    case CloseCode.Restart:
      return again(0, pauseOf(reason));
    case CloseCode.TryLater:
      return again(3, pauseOf(reason));
    default:
      return again();
  }
}

/** A reason of a close frame, if it is one of the words that §18.5 has, or a later version may have. */
const wordOf = (reason: string): string => (/^[a-z][a-z-]{0,31}$/.test(reason) ? reason : "unknown");

function resumableActionFor(code: number, reason = ""): CloseAction {
  switch (code) {
    case CloseCode.Refused:
      return end("refused", wordOf(reason));
    case CloseCode.ContinuityLost:
      return end("lost", wordOf(reason));
    case CloseCode.TooBig:
      // The same message would come again on every socket.
      return end("lost", "size");
    case CloseCode.ProtocolError:
      return again(3);
    default:
      return actionFor(code, reason);
  }
}

/** Without resumption: whoever loses the session knows no more than that. */
export const plainOutcomes: Outcomes = { closed: actionFor, gone: () => ({ reason: "gone" }) };

/** With resumption (§18.5). Forbidden: the page is not let in as who it was; what it missed is not lost by that. */
export const resumableOutcomes: Outcomes = {
  closed: resumableActionFor,
  gone: (status) => (status === 403 ? { reason: "refused", detail: "identity" } : { reason: "lost", detail: "gone" }),
};
