/** What a transport that resumes tells the library, beyond what every transport does. */
export interface ResumableLink {
  /** Bytes of messages that it keeps, since the server is not known to have them. */
  heldBytes(): number;
  /** The library gives up: more waits than it may keep. */
  overflow(): void;
}

/**
 * The client library, as far as the websocket module needs it. Nothing is used that an older copy
 * does not have, except where it is asked first; so either of the two files can be paired with
 * another version of the other.
 */
export interface Library {
  on_connection_open(
    send: (bytes: Uint8Array) => boolean,
    compression: boolean,
    pings?: boolean,
    resumed?: boolean,
    messageBytes?: number,
  ): unknown;
  on_connection_close(reason?: string, detail?: string): void;
  on_connection_connecting(): void;
  process_message(message: unknown): unknown;
  decode_binary(bytes: Uint8Array, compression: boolean): unknown;
  lock_loading(task: () => unknown): unknown;
  send_pingpong(): void;
  send_error(message: string, error: unknown): void;
  Sessions?: { reannounce_initialized_sessions?(): void };
  Connection?: {
    liveness?(): { answers: boolean; waitingSince: number | null };
    resumable?(link: ResumableLink | null): void;
  };
  Protocol?: {
    encode_plain?(value: unknown): Uint8Array;
    decode_plain?(bytes: Uint8Array): unknown;
  };
}
