import type { Entry, SessionTable } from "./table.ts";

/**
 * Notices when the DOM of a started sub session leaves the page (protocol.md §9.2).
 *
 * It looks after a batch of changes and asks only whether the element is still in the page, so
 * moving a node never closes its session. Of nested sessions only the outermost is closed: the
 * server frees its descendants. One that the server forgets is closed at a later removal.
 */
export class RemovalWatch {
  #sessions: SessionTable;
  #close: (id: string, entry: Entry) => void;
  #observer: MutationObserver;

  constructor(sessions: SessionTable, close: (id: string, entry: Entry) => void) {
    this.#sessions = sessions;
    this.#close = close;
    this.#observer = new MutationObserver((changes) => {
      if (changes.some((change) => change.removedNodes.length > 0)) this.scan();
    });
  }

  start(): void {
    this.#observer.observe(document, { childList: true, subtree: true });
  }

  stop(): void {
    this.#observer.disconnect();
  }

  scan(): void {
    const removed: [string, Entry, Element][] = [];
    const outer: Element[] = [];
    for (const [id, entry] of this.#sessions) {
      if (entry.status !== "delete" && entry.status !== false) continue;
      if (entry.element?.isConnected) continue;
      // A page may rebuild a session's element under the same id.
      const element = document.getElementById(id);
      if (element) entry.element = element;
      else if (entry.element) {
        outer.push(entry.element);
        if (entry.status === "delete") removed.push([id, entry, entry.element]);
      }
    }
    for (const [id, entry, element] of removed) {
      if (!outer.some((other) => other !== element && other.contains(element))) this.#close(id, entry);
    }
  }
}
