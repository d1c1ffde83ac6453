import { Fifo } from "../fifo.ts";

/**
 * What was sent, or is to be sent, and has not been acknowledged (protocol.md §18.3). Frames are
 * numbered from 1; each is written once to every socket that lives long enough.
 */
export class Ring {
  #frames = new Fifo<Uint8Array>();
  #bytes = 0;
  /** The number of the last frame that the peer is known to have. */
  #acknowledged = 0;
  /** How many of the frames kept have been written to the socket in use. */
  #written = 0;
  /** The number of the last frame that was ever written. */
  #sent = 0;

  /** Bytes kept. */
  get bytes(): number {
    return this.#bytes;
  }

  get length(): number {
    return this.#frames.length;
  }

  push(frame: Uint8Array): void {
    this.#frames.push(frame);
    this.#bytes += frame.length;
  }

  /** The next frame to write to the socket in use, if there is one. */
  next(): Uint8Array | undefined {
    const frame = this.#frames.at(this.#written);
    if (frame) {
      this.#written++;
      this.#sent = Math.max(this.#sent, this.#acknowledged + this.#written);
    }
    return frame;
  }

  /** Forgets the frames up to this number; `false` for one that the peer cannot mean. */
  acknowledge(upTo: number): boolean {
    if (upTo < this.#acknowledged || upTo > this.#sent) return false;
    for (; this.#acknowledged < upTo; this.#acknowledged++) {
      this.#bytes -= this.#frames.shift()?.length ?? 0;
      this.#written = Math.max(this.#written - 1, 0);
    }
    return true;
  }

  /** A new socket: all that is kept is to be written to it. */
  rewind(): void {
    this.#written = 0;
  }
}
