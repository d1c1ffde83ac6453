/** Message tags (protocol.md §5 and §6). They travel as strings; an integer is refused. */
export const MessageType = {
  UpdateObservable: "0",
  OnjsCallback: "1",
  EvalJavascript: "2",
  JavascriptError: "3",
  JavascriptWarning: "4",
  JSDoneLoading: "8",
  FusedMessage: "9",
  CloseSession: "10",
  PingPong: "11",
  UpdateSession: "12",
  GetSessionDOM: "13",
} as const;

/** A message as it goes over the wire. Which fields it has depends on its tag. */
export interface Message {
  msg_type?: unknown;
  [field: string]: unknown;
}

/** Far above any honest stack, far below what would hurt a queue. */
const REPORT_LIMIT = 16_384;

function clip(text: string): string {
  return text.length > REPORT_LIMIT ? `${text.slice(0, REPORT_LIMIT)}…` : text;
}

/** Text for anything that can be thrown: `throw "text"` and `throw null` keep what they said (§11). */
export function exceptionText(error: unknown): string {
  try {
    return clip(String(error));
  } catch {
    return "(an exception that has no text)";
  }
}

/** The stack, with base64 data URLs cut out (§6), or "" for what carries none. */
export function stackText(error: unknown): string {
  try {
    const stack = (error as { stack?: unknown } | null | undefined)?.stack;
    if (typeof stack !== "string") return "";
    return clip(stack.replace(/(data:[\w+.-]+\/[\w+.-]+;base64,)[A-Za-z0-9+/=]+/g, "$1<<BASE64>>"));
  } catch {
    return "";
  }
}

// The order of keys in each of these is part of the wire format (§6).

export function pingMessage(): Message {
  return { msg_type: MessageType.PingPong };
}

export function updateMessage(id: string, payload: unknown): Message {
  return { msg_type: MessageType.UpdateObservable, id, payload };
}

export function errorMessage(message: string, error: unknown): Message {
  return {
    msg_type: MessageType.JavascriptError,
    message: clip(String(message)),
    exception: exceptionText(error),
    stacktrace: stackText(error),
  };
}

export function warningMessage(message: unknown): Message {
  return { msg_type: MessageType.JavascriptWarning, message };
}

/** `failure` wraps what was thrown, so that a thrown `null` is still a failure. */
export function doneMessage(session: string, failure?: { error: unknown }): Message {
  return {
    msg_type: MessageType.JSDoneLoading,
    session,
    message: "",
    exception: failure ? exceptionText(failure.error) : "nothing",
    stacktrace: failure ? stackText(failure.error) : "",
  };
}

export function closeMessage(session: string, subsession: unknown): Message {
  return { msg_type: MessageType.CloseSession, session, subsession };
}

/** A message as text for an error report: bulk data by size, functions left out (§11). */
export function messageText(message: unknown): string {
  try {
    const text = JSON.stringify(message, (_key, value: unknown) => {
      if (ArrayBuffer.isView(value)) return `<${value.byteLength} bytes>`;
      return typeof value === "bigint" ? String(value) : value;
    });
    return clip(text ?? String(message));
  } catch (error) {
    return `(${exceptionText(error)})`;
  }
}
