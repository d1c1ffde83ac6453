// @ts-check
/*
 * A panel for developers, and WebSockets that break when its buttons are pressed. It stands in the head, before all
 * modules: whoever makes a WebSocket later makes one of these.
 */
(() => {
  const script = /** @type {HTMLScriptElement} */ (document.currentScript);
  const restartUrl = new URL("restart", script.src);
  const LATENCIES = [0, 250, 2000];
  /** What a page waits for the answer to its close frame. */
  const CLOSE_TIMEOUT_MS = 2000;
  let latencyMs = 0;

  /** One direction of a socket: what is due waits for what was put on the way before it. */
  class Lane {
    /** @type {{ due: number, run: () => void }[]} */
    #waiting = [];
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    #timer;

    get isEmpty() {
      return this.#waiting.length === 0;
    }

    /** @param {() => void} run */
    push(run) {
      // A quarter more or less: networks are not even.
      this.#waiting.push({ due: performance.now() + latencyMs * (0.75 + 0.5 * Math.random()), run });
      if (this.#waiting.length === 1) this.#wait();
    }

    clear() {
      clearTimeout(this.#timer);
      this.#waiting = [];
    }

    #wait() {
      const [next] = this.#waiting;
      if (!next) return;
      this.#timer = setTimeout(() => {
        this.#waiting.shift();
        next.run();
        this.#wait();
      }, next.due - performance.now());
    }
  }

  /** @type {Set<BreakableSocket>} */
  const sockets = new Set();
  /** Events that have been held back before. @type {WeakSet<Event>} */
  const passing = new WeakSet();

  class BreakableSocket extends WebSocket {
    /** What the page is to believe. @type {0 | 1 | 2 | 3 | undefined} */
    #pretended;
    #halfOpen = false;
    #incoming = new Lane();
    #outgoing = new Lane();

    /**
     * @param {string | URL} url
     * @param {string | string[]} [protocols]
     */
    constructor(url, protocols) {
      super(url, protocols);
      sockets.add(this);
      // Before all others, so that it can keep an event from them.
      for (const type of ["open", "message", "error", "close"]) {
        super.addEventListener(type, (event) => this.#filter(event));
      }
    }

    /** @override */
    get readyState() {
      return this.#pretended ?? super.readyState;
    }

    get isUp() {
      return this.readyState <= WebSocket.OPEN && !this.#halfOpen;
    }

    /** @override @param {string | ArrayBufferLike | Blob | ArrayBufferView<ArrayBufferLike>} data */
    send(data) {
      if (this.#pretended !== undefined || this.#halfOpen) return;
      if (latencyMs === 0 && this.#outgoing.isEmpty) {
        super.send(/** @type {string} */ (data));
        return;
      }
      const copy = /** @type {string} */ (structuredClone(data));
      this.#outgoing.push(() => super.readyState === WebSocket.OPEN && super.send(copy));
    }

    /** @override @param {number} [code] @param {string} [reason] */
    close(code, reason) {
      if (this.#pretended !== undefined) return;
      if (this.#halfOpen) {
        // Nobody answers, and nobody at the other end is told.
        this.#pretended = WebSocket.CLOSING;
        setTimeout(() => this.#end(), CLOSE_TIMEOUT_MS);
      } else if (this.#outgoing.isEmpty) {
        super.close(code, reason);
      } else {
        this.#outgoing.push(() => super.close(code, reason));
      }
    }

    /** The connection is lost, and the page notices. */
    drop() {
      if (this.#pretended !== undefined) return;
      this.#clear();
      this.#pretended = WebSocket.CLOSING;
      super.close();
      setTimeout(() => this.#end());
    }

    /** The connection carries nothing any more, and the page does not notice. */
    breakSilently() {
      this.#clear();
      this.#halfOpen = true;
    }

    #clear() {
      this.#incoming.clear();
      this.#outgoing.clear();
    }

    #end() {
      this.#pretended = WebSocket.CLOSED;
      sockets.delete(this);
      this.#dispatch(new CloseEvent("close", { code: 1006 }));
    }

    /** @param {Event} event */
    #filter(event) {
      if (passing.has(event)) return;
      if (event.type === "close") sockets.delete(this);
      if (this.#pretended !== undefined || this.#halfOpen) {
        event.stopImmediatePropagation();
      } else if (latencyMs > 0 || !this.#incoming.isEmpty) {
        event.stopImmediatePropagation();
        const later = again(event);
        this.#incoming.push(() => this.#dispatch(later));
      }
    }

    /** @param {Event} event */
    #dispatch(event) {
      passing.add(event);
      this.dispatchEvent(event);
    }
  }

  /** The same event, to be dispatched once more. @param {Event} event */
  function again(event) {
    if (event instanceof MessageEvent) return new MessageEvent(event.type, { data: event.data, origin: event.origin });
    if (event instanceof CloseEvent) return new CloseEvent(event.type, event);
    return new Event(event.type);
  }

  window.WebSocket = BreakableSocket;

  const css = `
    :host {
      all: initial; position: fixed; z-index: 2147483646; inset: auto auto 1rem 1rem; color-scheme: light dark;
      max-width: calc(100vw - 2rem); font: 13px/1.4 system-ui, sans-serif;
      --ink: #1b1b1f; --ground: #fff; --edge: #8886; --face: #f1f1f4; --hover: #e4e4ea; --accent: #8a5a00;
    }
    @media (prefers-color-scheme: dark) {
      :host { --ink: #f2f2f5; --ground: #26262b; --edge: #8888; --face: #36363d; --hover: #45454e; --accent: #ffc561; }
    }
    details {
      color: var(--ink); background: var(--ground); border: 1px solid var(--edge); border-radius: 8px;
      box-shadow: 0 2px 12px #0003; padding: .45em .7em;
    }
    summary { cursor: pointer; font-weight: 600; display: flex; gap: .6em; align-items: baseline; list-style: none; }
    summary::before { content: "⚡"; }
    summary::-webkit-details-marker { display: none; }
    [part=state] { font-weight: 400; opacity: .75; margin-left: auto; }
    [part=buttons] { display: flex; flex-wrap: wrap; gap: .4em; margin-top: .5em; }
    button {
      font: inherit; color: inherit; background: var(--face); cursor: pointer;
      border: 1px solid var(--edge); border-radius: 6px; padding: .25em .7em;
    }
    button:hover { background: var(--hover); }
    button[aria-pressed=true] { color: var(--accent); border-color: currentColor; }
    :is(button, summary):focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
  `;

  /**
   * @template {keyof HTMLElementTagNameMap} K
   * @param {K} tag
   * @param {string} name
   * @param {string} text
   */
  function part(tag, name, text) {
    const element = document.createElement(tag);
    element.setAttribute("part", name);
    element.textContent = text;
    return element;
  }

  function show() {
    const host = document.createElement("bonito-faults");
    const root = host.attachShadow({ mode: "open" });
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(css);
    root.adoptedStyleSheets = [sheet];

    const panel = part("details", "panel", "");
    const title = part("summary", "title", "Faults");
    const state = part("span", "state", "");
    state.setAttribute("role", "status");
    title.append(state);
    const buttons = part("div", "buttons", "");
    panel.append(title, buttons);
    panel.open = true;

    /** @param {string} name @param {string} text @param {string} hint @param {(button: HTMLButtonElement) => void} press */
    const button = (name, text, hint, press) => {
      const made = part("button", name, text);
      made.type = "button";
      made.title = hint;
      made.addEventListener("click", () => press(made));
      buttons.append(made);
      return made;
    };
    button("drop", "Drop", "This page loses its connection", () => {
      for (const socket of sockets) if (socket.isUp) socket.drop();
    });
    button("half-open", "Half-open", "This page's connection carries nothing any more, and says nothing about it", () => {
      for (const socket of sockets) if (socket.isUp) socket.breakSilently();
    });
    const latency = button("latency", "Latency: off", "What this page says and hears comes later", (button) => {
      latencyMs = LATENCIES[(LATENCIES.indexOf(latencyMs) + 1) % LATENCIES.length] ?? 0;
      button.textContent = latencyMs === 0 ? "Latency: off" : `Latency: ${latencyMs} ms`;
      button.ariaPressed = String(latencyMs > 0);
    });
    latency.ariaPressed = "false";
    button("restart", "Restart", "The server cuts the connections of all its pages, as a restart does", (button) => {
      const failed = (/** @type {unknown} */ why) => {
        button.title = `The server did not restart: ${why}`;
        button.textContent = "Restart failed";
      };
      fetch(restartUrl, { method: "POST" }).then((response) => response.ok || failed(response.status), failed);
    });

    const tell = () => {
      state.textContent = document.documentElement.dataset["bonitoConnection"] ?? "";
    };
    new MutationObserver(tell).observe(document.documentElement, { attributeFilter: ["data-bonito-connection"] });
    tell();
    root.append(panel);
    // Beside the body: an application may replace all that is in it.
    document.documentElement.append(host);
  }

  if (document.readyState === "loading") addEventListener("DOMContentLoaded", show, { once: true });
  else show();
})();
