import { afterEach, vi } from "vitest";
import { createClient } from "../../src/client.ts";
import { bytes, read } from "./server.ts";

const stops: (() => void)[] = [];

afterEach(() => {
  for (const stop of stops.splice(0)) stop();
  document.body.innerHTML = "";
  for (const indicator of document.querySelectorAll("bonito-connection")) indicator.remove();
});

/** One page with a client and a transport that notes what it is given. */
export function openPage(body = "") {
  document.body.innerHTML = body;
  const { api, stop } = createClient();
  stops.push(stop);
  const remarks: unknown[][] = [];
  const note = (...parts: unknown[]) => void remarks.push(parts);
  api.configure({ logger: { debug: note, warn: note, error: note } });
  const frames: Uint8Array[] = [];
  return {
    api,
    remarks,
    frames,
    /** Opens the connection; everything is accepted, `undefined` is the answer. */
    connect: (compression = false, pings = true) =>
      api.on_connection_open((frame) => void frames.push(frame), compression, pings),
    /** What was sent since the last call, decoded. */
    sent: (): any[] => frames.splice(0).map(read),
    receive: (message: unknown) => api.process_message(bytes(message)),
  };
}

/** Lets everything that is due run: promises, observers, and zero timers. */
export const settle = (ms = 5): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Waits for what other threads have a part in, as with compression. */
export const until = (holds: () => void): Promise<void> => vi.waitFor(holds, { timeout: 30_000, interval: 5 });
