/** What plain HTTP says about a session that could not be reached by socket. */
export type Verdict =
  | { readonly kind: "gone"; readonly status: number }
  | { readonly kind: "later"; readonly afterMs: number }
  | { readonly kind: "unknown" };

const PROBE_TIMEOUT_MS = 8_000;
/** A server may ask for patience, but not for a page that looks dead for hours. */
const MAX_RETRY_AFTER_MS = 5 * 60_000;

export function retryAfterMs(header: string | null, now: number): number {
  if (header === null) return 0;
  const seconds = Number(header);
  const wait = Number.isFinite(seconds) ? seconds * 1000 : Date.parse(header) - now;
  return Number.isFinite(wait) ? Math.min(Math.max(wait, 0), MAX_RETRY_AFTER_MS) : 0;
}

/**
 * A script cannot see with which status an upgrade failed, so it asks again without upgrading.
 * Every answer but the clear ones means nothing, and so does silence.
 */
export async function probe(url: string): Promise<Verdict> {
  try {
    const response = await fetch(url, {
      method: "GET",
      cache: "no-store",
      credentials: "same-origin",
      redirect: "manual",
      signal: AbortSignal.timeout(PROBE_TIMEOUT_MS),
    });
    response.body?.cancel().catch(() => {});
    const { status, type } = response;
    // Not let in: the session is somebody else's, or its owner has logged out. A host may say so by
    // asking for a login, or by leading to one; no socket ever follows there.
    if (status === 401 || status === 403 || type === "opaqueredirect") return { kind: "gone", status: 403 };
    if (status === 404 || status === 410) return { kind: "gone", status };
    if (status === 503) {
      return { kind: "later", afterMs: retryAfterMs(response.headers.get("retry-after"), Date.now()) };
    }
  } catch {
    // No answer, or one that this page may not read.
  }
  return { kind: "unknown" };
}
