/** Where the client's own remarks go. Every method is optional. */
export interface Logger {
  debug?(...parts: unknown[]): void;
  warn?(...parts: unknown[]): void;
  error?(...parts: unknown[]): void;
}

/**
 * Quiet unless asked: a library must not fill its host's console. Errors are the exception,
 * because a page without a server has no other place to show them.
 */
export class Log {
  verbose = false;
  #logger: Logger | null = null;

  setLogger(logger: Logger | null): void {
    this.#logger = logger;
  }

  debug(...parts: unknown[]): void {
    if (this.#logger) this.#logger.debug?.(...parts);
    else if (this.verbose) console.debug("Bonito:", ...parts);
  }

  warn(...parts: unknown[]): void {
    if (this.#logger) this.#logger.warn?.(...parts);
    else if (this.verbose) console.warn("Bonito:", ...parts);
  }

  error(...parts: unknown[]): void {
    if (this.#logger) this.#logger.error?.(...parts);
    else console.error("Bonito:", ...parts);
  }
}
