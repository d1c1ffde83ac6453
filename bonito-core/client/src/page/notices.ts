import type { Reason, State } from "../connection/status.ts";

export interface Notice {
  readonly text: string;
  readonly button?: string;
}

const ELSEWHERE = "This page is open elsewhere.";

const ended: Record<Exclude<Reason, "lost">, Notice> = {
  closed: { text: "Connection lost." },
  gone: { text: "This page's session has ended.", button: "Start afresh" },
  superseded: { text: ELSEWHERE, button: "Use it here" },
  refused: { text: "The server refused this page.", button: "Try again" },
  overflow: { text: "Too much is waiting to be sent; this page was cut off.", button: "Start afresh" },
  failed: { text: "This page could not be started.", button: "Try again" },
};

/** Why a page could not go on (protocol.md §18.5). The words come from a server, so they only choose among these. */
const why = new Map([
  ["gone", "its session on the server has ended"],
  ["expired", "its session on the server has ended"],
  ["evicted", "its session on the server had to make room"],
  ["overflow", "more was waiting to be sent than can be kept"],
  ["stream", "the server no longer knows what it had received"],
  ["count", "the server and the page no longer agreed on what had arrived"],
  ["size", "it sent a message that is longer than the server takes"],
  ["duplicate", "it was open elsewhere"],
]);

const whyOf = (reason: string | undefined): string => why.get(reason ?? "") ?? "its connection could not be resumed";

export function noticeOf({ status, reason, detail }: State, wasConnected: boolean): Notice {
  if (status === "connected") return { text: "" };
  if (status === "connecting") return { text: wasConnected ? "Reconnecting…" : "Connecting…" };
  if (detail === "duplicate") return { text: ELSEWHERE, button: reason === "lost" ? "Start afresh" : "Try again" };
  if (reason === "lost") {
    return { text: `This page cannot go on: ${whyOf(detail)}. Its last changes may be missing.`, button: "Start afresh" };
  }
  return ended[reason ?? "closed"];
}

export function afreshText(reason: string): string {
  return `This page was loaded afresh: ${whyOf(reason)}. The last changes may be missing.`;
}
