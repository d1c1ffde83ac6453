import type { BrowserContext } from "@playwright/test";

/** What pages complain about: errors in the console, exceptions, violations of their policy. */
export class Problems {
  readonly #found: string[] = [];
  readonly #expected: RegExp[] = [];
  readonly #contexts: BrowserContext[] = [];

  /** May be told of several: a test with several people has one for each. */
  watch(context: BrowserContext): void {
    this.#contexts.push(context);
    context.on("console", (message) => {
      // Chromium asks for an icon that nobody spoke of.
      if (message.type() !== "error" || message.location().url.endsWith("/favicon.ico")) return;
      this.#found.push(`console: ${message.text()}`);
    });
    context.on("weberror", (error) => this.#found.push(`exception: ${error.error()}`));
  }

  /**
   * Closes the pages that are still open, before whatever they are connected to goes: a page that outlives its server
   * complains about that, or not, as its next attempt to connect comes soon or late.
   */
  async closePages(): Promise<void> {
    for (const page of this.#contexts.flatMap((context) => context.pages())) await page.close();
  }

  /** Lets a test's own doing pass: what matches is no problem. */
  expect(...patterns: RegExp[]): void {
    this.#expected.push(...patterns);
  }

  /**
   * Chromium itself reports each connection that fails, and the answer of a server that is asked
   * whether it still knows the session; a page cannot keep it from that.
   */
  expectLostConnections(): void {
    this.expect(/^console: WebSocket connection to '.*' failed/, /^console: Failed to load resource: (net::ERR_|.* 426 )/);
  }

  /** The same for a session that the server does not know any more. */
  expectUnknownSession(): void {
    this.expect(/^console: WebSocket connection to '.*' failed/, /^console: Failed to load resource: .* 404/);
  }

  get unexpected(): string[] {
    return this.#found.filter((problem) => !this.#expected.some((pattern) => pattern.test(problem)));
  }

  get all(): readonly string[] {
    return this.#found;
  }
}
