import { type AddressInfo, connect } from "node:net";
import { createServer, type Server } from "node:tls";
import { generate } from "selfsigned";

/** Ends the TLS in front of a server that speaks plain HTTP, as a proxy in front of an app does. */
export class TlsEnd {
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
  }

  static async start(targetPort: number): Promise<TlsEnd> {
    const { private: key, cert } = await generate([{ name: "commonName", value: "127.0.0.1" }]);
    const server = createServer({ key, cert, noDelay: true }, (near) => {
      const far = connect({ host: "127.0.0.1", port: targetPort, noDelay: true });
      near.pipe(far).pipe(near);
      near.on("error", () => far.destroy());
      far.on("error", () => near.destroy());
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return new TlsEnd(server);
  }

  get url(): string {
    return `https://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  stop(): void {
    this.#server.close();
  }
}
