const SVG = "http://www.w3.org/2000/svg";

export type NodeAttributes = Record<string, unknown>;

/**
 * The nonce of this page's scripts, if it has one. Scripts come from the server that already
 * runs code here, so a policy that let the page in must let these in as well (§13).
 */
export function scriptNonce(): string {
  return document.querySelector<HTMLScriptElement>("script[nonce]")?.nonce ?? "";
}

/** Builds the element of an ext 105 (§3.5). `class` works on SVG as well. */
export function buildNode(tag: string, children: unknown[], attributes: NodeAttributes): Element {
  const svg = Boolean(attributes["juliasvgnode"]);
  const node = svg ? document.createElementNS(SVG, tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "juliasvgnode") continue;
    // Through the object model: a style attribute needs 'unsafe-inline' in a style policy.
    if (name === "style" && "style" in node) (node as HTMLElement).style.cssText = String(value);
    else node.setAttribute(name, String(value));
  }
  if (node instanceof HTMLScriptElement && !node.nonce) {
    const nonce = scriptNonce();
    if (nonce) node.nonce = nonce;
  }
  for (const child of children) node.append(child instanceof Node ? child : String(child));
  return node;
}
