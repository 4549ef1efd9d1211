import type { Lossless } from "./json";
import type { components, paths } from "./schema";

type Body<Path extends keyof paths> = paths[Path] extends {
  get: { responses: { 200: { content: { "application/json": infer Content } } } };
}
  ? Content
  : never;

export type Order = Lossless<components["schemas"]["Order"]>;
export type Item = Order["items"][number];
export type Problem = components["schemas"]["ProblemDetails"];
export type OrderPage = Lossless<Body<"/orders">>;
export type Summary = OrderPage["orders"][number];
export type Reason = components["schemas"]["Reason"];
export type Stats = Body<"/stats">;
export type DeadLetterPage = Body<"/dead-letters">;
export type DeadLetter = DeadLetterPage["dead_letters"][number];
export type OrderHistory = Body<"/orders/{order_uid}/history">;
export type WholeDeadLetter = Body<"/dead-letters/{partition}/{offset}">;
export type DeadLetterCounts = Body<"/dead-letters/counts">;
export type ReplayResponse = components["schemas"]["ReplayedDeadLetters"];

/** What `/readyz?verbose` says, with 200 or 503. */
export interface Readiness {
  isReady: boolean;
  checks: Record<string, boolean>;
}
