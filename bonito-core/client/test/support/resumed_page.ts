import { Codec, decodePlain, encodePlain } from "../../src/codec/codec.ts";
import { Connection } from "../../src/connection/connection.ts";
import type { State } from "../../src/connection/status.ts";
import { Log } from "../../src/log.ts";
import type { Library } from "../../src/websocket/library.ts";
import type { Verdict } from "../../src/websocket/probe.ts";
import { SessionSocket } from "../../src/websocket/session_socket.ts";
import type { Clock } from "./clock.ts";
import type { Line, Network } from "./network.ts";
import type { ResumeServer } from "./resume_server.ts";

/** One load of a page: the real connection, queue, stream and socket, without a DOM. */
export class ResumedPage {
  readonly got: unknown[] = [];
  readonly states: State[] = [];
  /** Its connections, the latest one last. */
  readonly lines: Line[] = [];
  readonly errors: unknown[][] = [];
  pongs = 0;
  readonly connection: Connection;
  readonly socket: SessionSocket;

  constructor(clock: Clock, network: Network, server: ResumeServer, random: () => number) {
    const log = new Log();
    log.setLogger({ error: (...parts) => void this.errors.push(parts) });
    const codec = new Codec();
    this.connection = new Connection({
      codec,
      log,
      sessionsToAnnounce: () => ["root"],
      onState: (state) => void this.states.push(state),
    });
    const { connection } = this;
    const library: Library = {
      on_connection_open: (send, compression, pings = true, resumed, messageBytes) =>
        connection.opened(send, compression, pings, resumed, messageBytes),
      on_connection_close: (reason, detail) => connection.closed(reason, detail),
      on_connection_connecting: () => connection.connecting(),
      process_message: (message) => {
        const { msg_type, message: number } = message as { msg_type: string; message: unknown };
        if (msg_type === "11") this.pongs++;
        else this.got.push(number);
      },
      decode_binary: (bytes) => codec.decode(bytes),
      lock_loading: (task) => task(),
      send_pingpong: () => connection.sendPing(),
      send_error: (message, error) => void this.errors.push([message, error]),
      Connection: { liveness: () => connection.liveness(), resumable: (link) => connection.resumable(link) },
      Protocol: { encode_plain: encodePlain, decode_plain: decodePlain },
    };
    const verdict = (): Verdict =>
      server.status === null || network.refusing ? { kind: "unknown" }
      : server.status === 503 ? { kind: "later", afterMs: 2_000 }
      : { kind: "gone", status: server.status };
    this.socket = new SessionSocket(
      { session_id: "session", resume: Buffer.from(server.pageKey).toString("base64url") },
      {
        page: "http://host/page",
        instance: Uint8Array.from({ length: 16 }, () => random() * 256),
        library: () => library,
        open: (_url, protocol) => {
          const socket = network.connect(protocol);
          this.lines.push(socket.line);
          return socket as unknown as WebSocket;
        },
        probe: () => Promise.resolve(verdict()),
        now: () => clock.time,
        random,
        after: (ms, run) => {
          // A timer of a frozen page waits until it is thawed, and may be cancelled then.
          let wanted = true;
          const cancel = clock.after(ms, () => network.atPage(() => wanted && run()));
          return () => {
            wanted = false;
            cancel();
          };
        },
        ended: () => {},
      },
    );
    this.socket.start();
  }

  get state(): State {
    return this.connection.state;
  }

  send(message: unknown): void {
    this.connection.send({ msg_type: "4", message });
  }
}
