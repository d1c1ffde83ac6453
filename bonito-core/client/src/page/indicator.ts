import type { Care } from "../connection/continuity.ts";
import type { State } from "../connection/status.ts";
import { afreshText, type Notice, noticeOf } from "./notices.ts";

/** Short interruptions pass without a word. */
export const SHOW_AFTER_MS = 1_000;
/** So does a page that is about to be loaded afresh, unless it is kept from that. */
export const RELOAD_WITHIN_MS = 3_000;

/**
 * Everything can be restyled from outside: custom properties reach in, parts reach out. The sheet
 * is a constructed one, which a policy without inline styles allows (protocol.md §13).
 */
const css = `
:host {
  all: initial; position: fixed; z-index: 2147483647; color-scheme: light dark;
  inset: var(--bonito-indicator-inset, auto 1rem 1rem auto);
  max-width: min(30rem, calc(100vw - 2rem)); pointer-events: none;
}
[part~=notice] {
  display: flex; gap: .75em; align-items: center; pointer-events: auto; width: fit-content; margin-inline-start: auto;
  font: var(--bonito-indicator-font, 14px/1.4 system-ui, sans-serif);
  color: var(--bonito-indicator-color, #1b1b1f);
  background: var(--bonito-indicator-background, #fff);
  border: var(--bonito-indicator-border, 1px solid #8886);
  border-radius: var(--bonito-indicator-radius, 8px);
  box-shadow: var(--bonito-indicator-shadow, 0 2px 12px #0003);
  padding: .5em .9em;
}
[part~=notice] + [part~=notice] { margin-block-start: .5rem; }
[part~=dot] { width: .6em; height: .6em; border-radius: 50%; background: var(--bonito-indicator-lost, #c62828); flex: none; }
[data-state=connecting] [part~=dot], [data-state=afresh] [part~=dot] { background: var(--bonito-indicator-connecting, #b26a00); }
[data-state=connected] { opacity: .6; padding: .35em; gap: 0; pointer-events: none; }
[data-state=connected] [part~=dot] { background: var(--bonito-indicator-connected, #2e7d32); }
[part~=button] {
  flex: none; font: inherit; color: inherit; background: none; cursor: pointer;
  border: 1px solid currentColor; border-radius: 6px; padding: .15em .7em;
}
[part~=notice][hidden], [hidden] { display: none; }
[role=status] { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
@media (prefers-color-scheme: dark) {
  [part~=notice] { color: var(--bonito-indicator-color, #f2f2f5); background: var(--bonito-indicator-background, #26262b); }
}
@media (prefers-reduced-motion: no-preference) {
  [data-state=connecting] [part~=dot] { animation: pulse 1.2s ease-in-out infinite alternate; }
}
@keyframes pulse { to { opacity: .3; } }
`;

interface Bar {
  readonly notice: HTMLElement;
  readonly text: HTMLElement;
  readonly button: HTMLButtonElement;
  /** Says to assistive technology what the text shows. */
  readonly voice: HTMLElement;
}

interface View extends Bar {
  readonly host: HTMLElement;
  /** Says why the page was loaded afresh. */
  readonly afresh: Bar;
}

function part<K extends keyof HTMLElementTagNameMap>(tag: K, name: string): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  element.setAttribute("part", name);
  return element;
}

/** `more`: a second name for each of its parts. */
function bar(voice: HTMLElement, onButton: () => void, more = ""): Bar {
  const notice = part("div", `notice${more}`);
  const dot = part("span", `dot${more}`);
  const text = part("span", `text${more}`);
  const button = part("button", `button${more}`);
  dot.setAttribute("aria-hidden", "true");
  notice.hidden = true;
  button.type = "button";
  button.addEventListener("click", onButton);
  notice.append(dot, text, button);
  return { notice, text, button, voice };
}

function say({ notice, text, button, voice }: Bar, state: string, { text: words, button: label }: Notice): void {
  notice.dataset["state"] = state;
  notice.hidden = false;
  text.textContent = voice.textContent = words;
  button.textContent = label ?? "";
  button.hidden = label === undefined;
}

function silence({ notice, text, voice }: Bar): void {
  if (voice.textContent === text.textContent) voice.textContent = "";
  notice.hidden = true;
  text.textContent = "";
}

function build(reload: () => void): View {
  const host = document.createElement("bonito-connection");
  const root = host.attachShadow({ mode: "open" });
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(css);
  root.adoptedStyleSheets = [sheet];
  // In the page before it says anything, and never hidden: a place that comes with its words is not heard.
  const voice = document.createElement("div");
  voice.setAttribute("role", "status");
  voice.setAttribute("aria-live", "polite");
  const connection = bar(voice, reload);
  const afresh = bar(voice, () => silence(afresh), " afresh");
  root.append(voice, connection.notice, afresh.notice);
  // Beside the body: an application may replace all that is in it.
  document.documentElement.append(host);
  return { host, ...connection, afresh };
}

/** The built-in connection indicator; an application may put its own in its place. */
export class DefaultIndicator {
  /** Whether a small dot stays while everything is well. */
  connectedDot = false;
  #view: View | null = null;
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** Shows the latest state. */
  #next: () => void = () => {};
  #shown = "";
  #wasConnected = false;
  #reload: () => void;

  constructor(reload: () => void) {
    this.#reload = reload;
  }

  update(state: State, care: Care): void {
    const { status, reason, detail } = state;
    if (status === "connected") this.#wasConnected = true;
    const key = `${status} ${reason} ${detail} ${care} ${this.connectedDot}`;
    if (key === this.#shown) return;
    this.#shown = key;
    if (status === "no_connection" || care === "page" || (status === "connected" && !this.connectedDot)) {
      this.#cancel();
      if (this.#view) silence(this.#view);
      return;
    }
    this.#view ??= build(this.#reload);
    const view = this.#view;
    this.#next = () => say(view, status, noticeOf(state, this.#wasConnected));
    if (care === "reload") {
      this.#cancel();
      this.#timer = setTimeout(() => this.#next(), RELOAD_WITHIN_MS);
      return;
    }
    // What is shown already changes at once; what is new waits, in case it passes. The second is
    // counted from the first loss, whatever is tried and told in it.
    const passing = status === "connecting" || reason === "closed";
    if (!passing) silence(view.afresh);
    if (passing && view.notice.hidden) {
      this.#timer ??= setTimeout(() => this.#next(), SHOW_AFTER_MS);
      return;
    }
    this.#cancel();
    this.#next();
  }

  /** Says why this page was loaded afresh, until somebody has read it. */
  tellAfresh(reason: string): void {
    this.#view ??= build(this.#reload);
    say(this.#view.afresh, "afresh", { text: afreshText(reason), button: "OK" });
  }

  remove(): void {
    this.#cancel();
    this.#view?.host.remove();
    this.#view = null;
    this.#shown = "";
  }

  #cancel(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}
