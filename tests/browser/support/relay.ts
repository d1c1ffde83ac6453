import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { type Delay, type Direction, type How, Line } from "./line.ts";

/**
 * A TCP relay on loopback: the line between browser and server, which can be cut.
 *
 * `cut` ends what is connected; `refuse` resets what comes next as well; `stall` leaves all
 * connected and carries nothing, now or later, as after a router has forgotten a connection.
 * `heal` lets new connections through; those that were stalled stay so. Single connections are
 * `lines`, with more that can be done to them.
 */
export class Relay {
  readonly #server: Server;
  #targetPort: number;
  readonly #lines = new Set<Line>();
  readonly #waiting = new Set<Socket>();
  #mode: "open" | "refusing" | "stalled" = "open";
  #delay: Delay = { ms: 0 };
  #onWebSocket: ((line: Line) => void)[] = [];
  /** Connections that came, refused ones included. */
  connections = 0;
  /** Connections that the server has made a WebSocket. */
  webSockets = 0;
  /** How often something came from the server. */
  answers = 0;

  private constructor(targetPort: number) {
    this.#targetPort = targetPort;
    this.#server = createServer({ noDelay: true }, (near) => this.#accept(near));
  }

  static async start(targetPort: number): Promise<Relay> {
    const relay = new Relay(targetPort);
    await new Promise<void>((resolve) => relay.#server.listen(0, "127.0.0.1", resolve));
    return relay;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** What is connected, those of which only one end is left included. */
  get lines(): readonly Line[] {
    return [...this.#lines];
  }

  /** New connections go to this port from now on: another server has taken the place of the one before. */
  retarget(port: number): void {
    this.#targetPort = port;
  }

  cut(how: How = "rst"): void {
    for (const line of this.#lines) line.cut(how);
    for (const socket of this.#waiting) socket.resetAndDestroy();
    this.#lines.clear();
    this.#waiting.clear();
  }

  refuse(): void {
    this.#mode = "refusing";
    this.cut();
  }

  stall(): void {
    this.#mode = "stalled";
    for (const line of this.#lines) line.halfOpen();
  }

  /** Keeps what goes in one direction until `resume`, on what is connected. */
  stallWay(direction: Direction): void {
    for (const line of this.#lines) line.stall(direction);
  }

  resume(): void {
    for (const line of this.#lines) line.resume();
  }

  /** Everything takes so long from now on, in both directions. */
  delay(delay: Delay): void {
    this.#delay = delay;
    for (const line of this.#lines) line.delay(delay);
  }

  heal(): void {
    this.#mode = "open";
  }

  /** The latest WebSocket that carries something, or the next, in the moment in which the server's answer comes by. */
  webSocket(): Promise<Line> {
    const line = this.lines.findLast((line) => line.isWebSocket && !line.isBroken);
    return line ? Promise.resolve(line) : new Promise((resolve) => this.#onWebSocket.push(resolve));
  }

  async stop(): Promise<void> {
    this.refuse();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #accept(near: Socket): void {
    this.connections++;
    near.on("error", () => {});
    if (this.#mode === "refusing") {
      near.resetAndDestroy();
      return;
    }
    if (this.#mode === "stalled") {
      this.#waiting.add(near);
      near.once("close", () => this.#waiting.delete(near));
      return;
    }
    const far = connect({ port: this.#targetPort, host: "127.0.0.1", noDelay: true });
    far.on("data", () => this.answers++);
    const upgraded = (line: Line) => {
      this.webSockets++;
      for (const tell of this.#onWebSocket.splice(0)) tell(line);
    };
    const line = new Line(near, far, upgraded, (line) => this.#lines.delete(line));
    line.delay(this.#delay);
    this.#lines.add(line);
  }
}
