/**
 * A metav1.MicroTime: RFC 3339 with exactly six fractional digits, which the API server insists on for `renewTime`,
 * `acquireTime` and `eventTime`.
 *
 * @param epochMs milliseconds since the epoch
 * @see https://github.com/kubernetes/apimachinery/blob/master/pkg/apis/meta/v1/micro_time.go
 */
export function formatMicroTime(epochMs: number): string {
  return new Date(epochMs).toISOString().replace("Z", "000Z");
}
