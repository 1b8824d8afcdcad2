/** A condition by the Kubernetes API conventions. */
export type Condition = {
  readonly type: string;
  readonly status: "True" | "False" | "Unknown";
  /** One CamelCase word, stable. */
  readonly reason: string;
  readonly message: string;
  readonly observedGeneration?: number;
  /** RFC 3339; moves only when `status` does. */
  readonly lastTransitionTime: string;
};
