/**
 * `open`: nothing asked for a key yet. `needed`: a request without one was refused.
 * `held`: there is one. `wrong`: the one that was given was refused, and is forgotten.
 */
export type AccessState = "open" | "needed" | "held" | "wrong";

const NAME = "orders-api-key";
const SENDABLE = /^[\x21-\x7e]+$/;

/** The API key: kept for this tab only, and never part of an address. */
export class Access {
  private held: string | null;
  private told: AccessState;
  private readonly listeners = new Set<() => void>();

  /** Where the browser refuses storage, `storage` throws, and the key lasts until the page is left. */
  constructor(private readonly storage: () => Storage) {
    this.held = this.stored((store) => store.getItem(NAME)) ?? null;
    this.told = this.held === null ? "open" : "held";
  }

  get key(): string | null {
    return this.held;
  }

  get state(): AccessState {
    return this.told;
  }

  use(key: string): void {
    if (!SENDABLE.test(key)) return this.drop("wrong");
    this.stored((store) => store.setItem(NAME, key));
    this.change(key, "held");
  }

  forget(): void {
    this.drop("open");
  }

  /** A request was answered 401; `sent` is the key that it carried, which may have been replaced since. */
  refuse(sent: string | null): void {
    if (sent === this.held) this.drop(sent === null ? this.withoutKey() : "wrong");
  }

  subscribe(listener: () => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  private withoutKey(): AccessState {
    return this.told === "wrong" ? "wrong" : "needed";
  }

  private drop(state: AccessState): void {
    this.stored((store) => store.removeItem(NAME));
    this.change(null, state);
  }

  private change(key: string | null, state: AccessState): void {
    if (key === this.held && state === this.told) return;
    this.held = key;
    this.told = state;
    this.listeners.forEach((listener) => listener());
  }

  private stored<T>(use: (store: Storage) => T): T | undefined {
    try {
      return use(this.storage());
    } catch {
      return undefined;
    }
  }
}
