import type { Page, WebSocket } from "@playwright/test";

/** The first byte of a frame that is none of the messages: greetings, acknowledgements, pings (protocol.md §18.2). */
const CONTROL = 0xc1;

/** The messages that go through a page's WebSockets, frame by frame, from the outside. */
export class Traffic {
  readonly sockets: WebSocket[] = [];
  readonly received: Buffer[] = [];
  readonly sent: Buffer[] = [];

  private constructor() {}

  /** Listens from now on; sockets that are open already stay unseen. */
  static of(page: Page): Traffic {
    const traffic = new Traffic();
    page.on("websocket", (socket) => {
      traffic.sockets.push(socket);
      const note = (frames: Buffer[], payload: string | Buffer) => {
        const frame = Buffer.from(payload);
        if (frame[0] !== CONTROL) frames.push(frame);
      };
      socket.on("framereceived", ({ payload }) => note(traffic.received, payload));
      socket.on("framesent", ({ payload }) => note(traffic.sent, payload));
    });
    return traffic;
  }

  /** Received frames that name this observable. */
  receivedFor(id: string): Buffer[] {
    return this.received.filter((frame) => frame.includes(id));
  }

  sentFor(id: string): Buffer[] {
    return this.sent.filter((frame) => frame.includes(id));
  }
}
