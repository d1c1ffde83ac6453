import { setTimeout as pause } from "node:timers/promises";
import type { Line } from "./line.ts";
import type { Random } from "./random.ts";
import type { Relay } from "./relay.ts";

/** What can happen to a WebSocket, however long the other end is left to believe in it. */
const kinds = {
  reset: (line: Line) => line.cut("rst"),
  hangUp: (line: Line) => line.cut("fin"),
  "browser first": async (line: Line, random: Random) => {
    line.cutEnd("near");
    await pause(random.below(30));
    line.cut();
  },
  "server first": async (line: Line, random: Random) => {
    line.cutEnd("far");
    await pause(random.below(30));
    line.cut();
  },
  "half-open": async (line: Line, random: Random) => {
    line.halfOpen();
    await pause(random.below(30));
    line.cut();
  },
  "stalled up": async (line: Line, random: Random) => {
    line.stall("up");
    await pause(random.below(30));
    line.cut();
  },
  "stalled down": async (line: Line, random: Random) => {
    line.stall("down");
    await pause(random.below(30));
    line.cut();
  },
} as const;

export type Break = keyof typeof kinds;

/** Breaks the WebSocket that is up in one of all ways, and lets what comes next through. Answers which way it was. */
export async function breakWebSocket(relay: Relay, random: Random): Promise<Break> {
  const line = await relay.webSocket();
  const kind = random.pick(Object.keys(kinds) as Break[]);
  await kinds[kind](line, random);
  return kind;
}
