import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";

/**
 * A balancer on TCP that knows nothing of what it carries: each connection goes to the next server
 * in turn. A test may say instead where the next ones go.
 */
export class Balancer {
  readonly #server: Server;
  readonly #ports: readonly number[];
  readonly #open = new Set<Socket>();
  #turn = 0;
  #refusing = false;
  #fixed: number[] = [];
  /** How many connections each server got. */
  readonly carried: number[];

  private constructor(ports: readonly number[]) {
    this.#ports = ports;
    this.carried = ports.map(() => 0);
    this.#server = createServer({ noDelay: true }, (near) => this.#accept(near));
  }

  static async start(ports: readonly number[]): Promise<Balancer> {
    const balancer = new Balancer(ports);
    await new Promise<void>((resolve) => balancer.#server.listen(0, "127.0.0.1", resolve));
    return balancer;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** The next connections go to these servers, and from the last of them on all to that one. */
  send(...servers: number[]): void {
    this.#fixed = servers;
  }

  /** Until it is told to carry again, whoever connects is turned away. */
  refuse(refuse = true): void {
    this.#refusing = refuse;
    if (refuse) this.cut();
  }

  cut(): void {
    for (const socket of this.#open) socket.resetAndDestroy();
  }

  async stop(): Promise<void> {
    this.cut();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #accept(near: Socket): void {
    near.on("error", () => {});
    if (this.#refusing) {
      near.resetAndDestroy();
      return;
    }
    const index = this.#next();
    this.carried[index] = (this.carried[index] ?? 0) + 1;
    const far = connect({ port: this.#ports[index] ?? 0, host: "127.0.0.1", noDelay: true });
    for (const [socket, other] of [
      [near, far],
      [far, near],
    ] as const) {
      this.#open.add(socket);
      socket.on("error", () => {});
      socket.once("close", () => {
        this.#open.delete(socket);
        other.destroy();
      });
      socket.pipe(other);
    }
  }

  #next(): number {
    const [first, ...rest] = this.#fixed;
    if (first === undefined) return this.#turn++ % this.#ports.length;
    if (rest.length > 0) this.#fixed = rest;
    return first;
  }
}
