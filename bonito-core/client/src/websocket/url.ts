/**
 * The address of a session's socket (protocol.md §2.1). Always absolute, because older browsers
 * do not take a relative one. `./` means the root of the page's origin, whatever the page's path.
 */
export function socketUrl(proxyUrl: string | undefined, sessionId: string, query: string | undefined, page: string): string {
  const base = !proxyUrl || proxyUrl === "./" ? "/" : proxyUrl;
  const url = new URL(base.endsWith("/") ? base : `${base}/`, page);
  url.protocol = url.protocol.replace(/^http/, "ws");
  // The id and the query are taken as they are, without encoding.
  return url.href + sessionId + (query ?? "");
}

/** Where the same session is asked for over plain HTTP. */
export function probeUrl(url: string): string {
  return url.replace(/^ws/, "http");
}
