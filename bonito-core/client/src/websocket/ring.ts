/**
 * What was sent, or is to be sent, and has not been acknowledged (protocol.md §18.3). Frames are
 * numbered from 1; each is written once to every socket that lives long enough.
 */
export class Ring {
  /** By number. A map keeps the order, and forgets its first one as fast as any. */
  #frames = new Map<number, Uint8Array>();
  #bytes = 0;
  /** The number of the last frame that came. */
  #last = 0;
  /** The number of the last frame that the peer is known to have. */
  #acknowledged = 0;
  /** The number of the last frame that was written to the socket in use. */
  #written = 0;
  /** The number of the last frame that was ever written. */
  #sent = 0;

  /** Bytes kept. */
  get bytes(): number {
    return this.#bytes;
  }

  push(frame: Uint8Array): void {
    this.#frames.set(++this.#last, frame);
    this.#bytes += frame.length;
  }

  /** The next frame to write to the socket in use, if there is one. */
  next(): Uint8Array | undefined {
    const frame = this.#frames.get(this.#written + 1);
    if (frame) this.#sent = Math.max(this.#sent, ++this.#written);
    return frame;
  }

  /** Forgets the frames up to this number; `false` for one that the peer cannot mean. */
  acknowledge(upTo: number): boolean {
    if (upTo < this.#acknowledged || upTo > this.#sent) return false;
    while (this.#acknowledged < upTo) {
      this.#bytes -= this.#frames.get(++this.#acknowledged)?.length ?? 0;
      this.#frames.delete(this.#acknowledged);
    }
    this.#written = Math.max(this.#written, upTo);
    return true;
  }

  /** A new socket: all that is kept is to be written to it. */
  rewind(): void {
    this.#written = this.#acknowledged;
  }
}
