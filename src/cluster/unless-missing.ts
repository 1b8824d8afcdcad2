import { ApiError } from "./api.ts";

/** What a request for one object gives; undefined for 404. @throws ApiError for everything else */
export async function unlessMissing<T>(found: Promise<T>): Promise<T | undefined> {
  try {
    return await found;
  } catch (error) {
    if (error instanceof ApiError && error.status === 404) return undefined;
    throw error;
  }
}
