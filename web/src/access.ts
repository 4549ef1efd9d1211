/**
 * `open`: no request has required a key. `required`: a request without a key got 401.
 * `given`: there is a key. `rejected`: the API does not accept the key, which is then removed.
 */
export type AccessState = "open" | "required" | "given" | "rejected";

const STORAGE_NAME = "orders-api-key";
const HEADER_VALUE = /^[\x21-\x7e]+$/;

/** The API key. It stays in this tab's session storage, and never becomes part of a URL. */
export class Access {
  private currentKey: string | null;
  private currentState: AccessState;
  private readonly listeners = new Set<() => void>();

  /** If the browser blocks storage, `storage` throws, and the key is lost when the page is closed. */
  constructor(private readonly storage: () => Storage) {
    this.currentKey = this.withStorage((store) => store.getItem(STORAGE_NAME)) ?? null;
    this.currentState = this.currentKey === null ? "open" : "given";
  }

  get key(): string | null {
    return this.currentKey;
  }

  get state(): AccessState {
    return this.currentState;
  }

  use(key: string): void {
    if (!HEADER_VALUE.test(key)) return this.drop("rejected");
    this.withStorage((store) => store.setItem(STORAGE_NAME, key));
    this.change(key, "given");
  }

  forget(): void {
    this.drop("open");
  }

  /** A request with the key `sent` got 401. Ignored if the key has been replaced since. */
  onUnauthorized(sent: string | null): void {
    if (sent === this.currentKey) this.drop(sent === null ? this.stateWithoutKey() : "rejected");
  }

  subscribe(listener: () => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  private stateWithoutKey(): AccessState {
    return this.currentState === "rejected" ? "rejected" : "required";
  }

  private drop(state: AccessState): void {
    this.withStorage((store) => store.removeItem(STORAGE_NAME));
    this.change(null, state);
  }

  private change(key: string | null, state: AccessState): void {
    if (key === this.currentKey && state === this.currentState) return;
    this.currentKey = key;
    this.currentState = state;
    this.listeners.forEach((listener) => listener());
  }

  private withStorage<T>(use: (store: Storage) => T): T | undefined {
    try {
      return use(this.storage());
    } catch {
      return undefined;
    }
  }
}
