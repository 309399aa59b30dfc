/**
 * A typed client of the ordermill API. Paths, parameters, bodies and answers are those of the server's own OpenAPI
 * description (`schema.d.ts` is generated, do not edit it).
 */
import createFetchClient, { type Client } from "openapi-fetch";
import type { components, paths } from "./schema.js";

/** The shapes of requests and answers, by name: `Schemas["Order"]`. */
export type Schemas = components["schemas"];

/** How the server says no: `code` is stable, the rest is for people (RFC 9457). */
export type Problem = Schemas["Problem"];

/** Where the server is, and who asks. */
export interface Options {
  /** Such as `https://shop.example.com`. */
  baseUrl: string;
  /** What log-in returned; without it only public routes answer. */
  token?: string;
}

/** Every route of the API, typed. */
export type Ordermill = Client<paths>;

/** A client. `token` may be set later by making another one; clients are cheap. */
export function createClient(options: Options): Ordermill {
  const headers = options.token === undefined ? {} : { authorization: `Bearer ${options.token}` };
  return createFetchClient<paths>({ baseUrl: options.baseUrl, headers });
}

/** A refusal as an exception. */
export class OrdermillError extends Error {
  constructor(
    readonly status: number,
    readonly problem: Problem | undefined,
  ) {
    super(problem === undefined ? `the server answered ${status}` : `${problem.code}: ${problem.detail}`);
    this.name = "OrdermillError";
  }
}

/** The data of a good answer; anything else is thrown as an {@link OrdermillError}. */
export async function unwrap<T>(answer: Promise<{ data?: T; error?: unknown; response: Response }>): Promise<T> {
  const { data, error, response } = await answer;
  if (data === undefined) {
    throw new OrdermillError(response.status, isProblem(error) ? error : undefined);
  }
  return data;
}

function isProblem(value: unknown): value is Problem {
  return typeof value === "object" && value !== null && "code" in value && "detail" in value;
}
