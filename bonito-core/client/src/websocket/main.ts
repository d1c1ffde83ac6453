/** The websocket transport, in a page: its events, its clock, its library. */
import { ID_BYTES } from "./control.ts";
import type { Library } from "./library.ts";
import { probe } from "./probe.ts";
import { SessionSocket, type SetupOptions, type SocketHost } from "./session_socket.ts";

const page = window as unknown as { Bonito: Library; WEBSOCKET?: SessionSocket };

const sockets = new Map<string, SessionSocket>();
/** What each socket listens to, until it has ended. */
const listening = new WeakMap<SessionSocket, AbortController>();

const host: SocketHost = {
  page: location.href,
  // Never stored: a page that is loaded a second time, as by duplicating its tab, is another instance.
  instance: crypto.getRandomValues(new Uint8Array(ID_BYTES)),
  library: () => page.Bonito,
  // Looked up at each attempt, and without a second argument in the plain mode.
  open: (url, protocol) => (protocol === undefined ? new WebSocket(url) : new WebSocket(url, protocol)),
  probe,
  now: () => performance.now(),
  random: () => Math.random(),
  after: (ms, run) => {
    const timer = setTimeout(run, ms);
    return () => clearTimeout(timer);
  },
  ended: (socket, final) => {
    listening.get(socket)?.abort();
    if (!final) return;
    // A second socket alone would go on taking what is meant for whoever has the session now.
    for (const other of sockets.values()) if (other !== socket && other.address === socket.address) other.close();
  },
};

function listen(socket: SessionSocket): void {
  const controller = new AbortController();
  listening.set(socket, controller);
  const options = { signal: controller.signal };
  const wake = () => socket.retry_connection();
  addEventListener("online", wake, options);
  addEventListener("focus", wake, options);
  addEventListener("pagehide", () => socket.suspend(), options);
  addEventListener("pageshow", () => socket.resume(), options);
  document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && wake(), options);
  // A page that was frozen looks at once whether its socket has survived.
  document.addEventListener("resume", wake, options);
}

/**
 * Opens the socket of a session and keeps it open. A second call for the same one replaces the
 * first, except that a stream that can be resumed goes on, on another socket.
 */
export function setup_connection(options: SetupOptions): void {
  const socket = new SessionSocket(options, host);
  const former = sockets.get(socket.url);
  if (former?.resumable) {
    former.reconnect();
    return;
  }
  former?.close();
  sockets.set(socket.url, socket);
  page.WEBSOCKET = socket;
  listen(socket);
  socket.start();
}
