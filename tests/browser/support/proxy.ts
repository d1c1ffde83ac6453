import { type Agent, createServer, request, type IncomingMessage, type Server } from "node:http";
import type { AddressInfo, Socket } from "node:net";

/** A reverse proxy that serves a server under a prefix and takes the prefix away, upgrades included. */
export class Proxy {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(server: Server) {
    this.#server = server;
    server.on("connection", (socket) => {
      this.#sockets.add(socket);
      socket.once("close", () => this.#sockets.delete(socket));
    });
  }

  static async start(targetPort: number, prefix: string): Promise<Proxy> {
    const forward = (incoming: IncomingMessage) => {
      if (!incoming.url?.startsWith(`${prefix}/`)) return null;
      const path = incoming.url.slice(prefix.length);
      const { method, headers } = incoming;
      return request({ host: "127.0.0.1", port: targetPort, path, method, headers, agent: false as unknown as Agent });
    };
    const server = createServer((incoming, outgoing) => {
      const onward = forward(incoming);
      if (!onward) {
        outgoing.writeHead(404).end();
        return;
      }
      onward.on("response", (response) => {
        outgoing.writeHead(response.statusCode ?? 502, response.headers);
        response.pipe(outgoing);
      });
      onward.on("error", () => outgoing.destroy());
      incoming.pipe(onward);
    });
    server.on("upgrade", (incoming, socket: Socket, head: Buffer) => {
      const onward = forward(incoming);
      if (!onward) {
        socket.end("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        return;
      }
      const headLines = (response: IncomingMessage) => {
        const lines = [`HTTP/1.1 ${response.statusCode} ${response.statusMessage}`];
        for (let at = 0; at < response.rawHeaders.length; at += 2) {
          lines.push(`${response.rawHeaders[at]}: ${response.rawHeaders[at + 1]}`);
        }
        return `${lines.join("\r\n")}\r\n\r\n`;
      };
      onward.on("upgrade", (response, far: Socket, farHead: Buffer) => {
        socket.write(headLines(response));
        socket.write(farHead);
        far.write(head);
        socket.pipe(far).pipe(socket);
        socket.on("error", () => far.destroy());
        far.on("error", () => socket.destroy());
      });
      onward.on("response", (response) => {
        socket.write(headLines(response));
        response.pipe(socket);
      });
      onward.on("error", () => socket.destroy());
      onward.end();
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return new Proxy(server);
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
