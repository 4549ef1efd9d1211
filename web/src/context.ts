import { createContext } from "preact";
import { useContext, useEffect, useState } from "preact/hooks";
import type { AccessState } from "./access";
import type { Api } from "./api";

export const ApiContext = createContext<Api | null>(null);

export function useApi(): Api {
  const api = useContext(ApiContext);
  if (!api) throw new Error("there is no API around this component");
  return api;
}

/** Renders again when the key or what is known about it changes. */
export function useAccess(): { key: string | null; state: AccessState } {
  const { access } = useApi();
  const [now, setNow] = useState({ key: access.key, state: access.state });
  useEffect(() => {
    const update = () => setNow({ key: access.key, state: access.state });
    update(); // it may have changed before this effect ran
    return access.subscribe(update);
  }, [access]);
  return now;
}
