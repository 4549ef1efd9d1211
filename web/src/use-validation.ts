import { useEffect, useState } from "preact/hooks";
import { useAccess, useApi } from "./context";
import { replay, syntaxViolation, validationOf, type Validation } from "./replay";
import type { Coordinates } from "./route";

const DEBOUNCE_MS = 300;
const CHECKING: Validation = { kind: "checking" };

/** Validates the edited document, or the original if it is null: the syntax at once, the rest when typing pauses. */
export function useValidation({ partition, offset }: Coordinates, value: string | null): Validation {
  const api = useApi();
  const { key } = useAccess();
  const [validation, setValidation] = useState<Validation>(CHECKING);
  useEffect(() => {
    const syntax = value === null ? null : syntaxViolation(value);
    if (syntax) return setValidation({ kind: "invalid", violations: [syntax] });
    setValidation(CHECKING);
    const controller = new AbortController();
    const check = async () => {
      const request = { deadLetter: { partition, offset }, value, dryRun: true };
      const result = await replay(api, request, null, controller.signal);
      if (!controller.signal.aborted) setValidation(validationOf(result));
    };
    const timer = setTimeout(() => void check(), DEBOUNCE_MS);
    return () => {
      clearTimeout(timer);
      controller.abort();
    };
  }, [api, key, partition, offset, value]);
  return validation;
}
