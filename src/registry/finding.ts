/** Something about the hosted registry that a person has to know or to do. */
export type Finding = {
  /** One CamelCase word, stable. */
  readonly reason: string;
  /** Names the object and the field, what was found, what to do; never a secret. */
  readonly message: string;
  /** True: nothing can be hosted until it is resolved; what runs already stays as it is. */
  readonly blocks: boolean;
  /** What `StorageReady` speaks of; everything else is told by `Ready` alone. */
  readonly about?: "storage";
};
