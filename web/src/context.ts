import { createContext } from "preact";
import { useContext, useEffect, useState } from "preact/hooks";
import type { AccessState } from "./access";
import type { Api } from "./api";

export const ApiContext = createContext<Api | null>(null);

export function useApi(): Api {
  const api = useContext(ApiContext);
  if (!api) throw new Error("ApiContext.Provider is missing");
  return api;
}

/** Re-renders when the key or its state changes. */
export function useAccess(): { key: string | null; state: AccessState } {
  const { access } = useApi();
  const [current, setCurrent] = useState({ key: access.key, state: access.state });
  useEffect(() => {
    const update = () => setCurrent({ key: access.key, state: access.state });
    update(); // the key may have changed before this effect ran
    return access.subscribe(update);
  }, [access]);
  return current;
}
