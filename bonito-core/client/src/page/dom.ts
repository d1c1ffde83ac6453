import { scriptNonce } from "./build_node.ts";

/** How long a swap waits for its target to appear (protocol.md §9.1). */
const NODE_TIMEOUT_MS = 30_000;
const NODE_POLL_CAP_MS = 1_000;

/** Resolves with the node that bears `data-jscall-id`, as soon as it is in the page. */
export function nodeAvailable(selector: string): Promise<Element> {
  const query = `[data-jscall-id="${String(selector).replace(/["\\]/g, "\\$&")}"]`;
  const start = performance.now();
  return new Promise((resolve, reject) => {
    const look = (pause: number) => {
      const node = document.querySelector(query);
      if (node) resolve(node);
      else if (performance.now() - start >= NODE_TIMEOUT_MS) {
        reject(new Error(`Timeout waiting for DOM node with data-jscall-id='${selector}' after ${NODE_TIMEOUT_MS}ms`));
      } else setTimeout(look, pause, Math.min(pause * 2, NODE_POLL_CAP_MS));
    };
    look(1);
  });
}

/** Puts `html` in place of the node, or of its children, text included. A string becomes text. */
export function replaceContent(node: Element, html: Node | string, replace: boolean): void {
  if (replace) node.replaceWith(html);
  else node.replaceChildren(html);
}

interface MoveBefore {
  moveBefore?(node: Node, ref: Node | null): void;
}

/**
 * Moves a node without ending its session, and where the browser can, without reloading frames
 * or losing focus in it. `moveBefore` refuses nodes that are not in the same page yet.
 */
export function moveNode(node: Node, parent: Node, ref: Node | null = null): void {
  const native = (parent as MoveBefore).moveBefore;
  if (native && node.isConnected && parent.isConnected) {
    try {
      native.call(parent, node, ref);
      return;
    } catch {
      // Not movable in place: insert it instead.
    }
  }
  parent.insertBefore(node, ref);
}

/**
 * Sets a property of a node; `false` when there is none, which removes the listener that calls
 * this (§12). Names without a property behind them (`data-…`, `aria-…`) are set as attributes.
 */
export function updateNodeAttribute(node: Element | null | undefined, name: string, value: unknown): boolean {
  if (!node) return false;
  const key = name === "class" ? "className" : name;
  const properties = node as unknown as Record<string, unknown>;
  // The class name of an SVG element is an object that cannot be assigned.
  if (key === "className" && typeof node.className !== "string") node.setAttribute("class", String(value));
  else if (name.includes("-") && !(name in node)) node.setAttribute(name, String(value));
  else if (properties[key] !== value) properties[key] = value;
  return true;
}

/** Sets `innerHTML`; `false` when there is no node (§12). */
export function updateDomNode(node: Element | null | undefined, html: string): boolean {
  if (!node) return false;
  node.innerHTML = html;
  return true;
}

const scripts = new Map<string, Promise<unknown>>();

/** Loads a classic script once and resolves with the global it defines (§7). */
export function loadScript(url: string, globalName?: string): Promise<unknown> {
  const value = () => (globalName ? (window as unknown as Record<string, unknown>)[globalName] : undefined);
  if (globalName && value() !== undefined) return Promise.resolve(value());
  let loading = scripts.get(url);
  if (!loading) {
    loading = new Promise((resolve, reject) => {
      const script = document.createElement("script");
      const nonce = scriptNonce();
      if (nonce) script.nonce = nonce;
      script.onload = resolve;
      script.onerror = () => {
        scripts.delete(url);
        reject(new Error(`Script ${url} could not be loaded`));
      };
      script.src = url;
      document.head.append(script);
    });
    scripts.set(url, loading);
  }
  return loading.then(value);
}

/** The bytes behind a URL. */
export async function fetchBinary(url: RequestInfo | URL): Promise<ArrayBuffer> {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`HTTP error, status = ${response.status}`);
  return response.arrayBuffer();
}
