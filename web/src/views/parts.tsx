import type { ComponentChildren, JSX } from "preact";
import type { Paging } from "../hooks";

/** Scrolls instead of the page. Focusable, so that it can be scrolled by keyboard. */
export function Scroll({ label, children }: { label: string; children: ComponentChildren }): JSX.Element {
  return (
    <div class="scroll" role="group" aria-label={label} tabIndex={0}>
      {children}
    </div>
  );
}

export function Facts({ children }: { children: ComponentChildren }): JSX.Element {
  return <dl class="facts">{children}</dl>;
}

export function Fact({ name, children }: { name: string; children: ComponentChildren }): JSX.Element {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

interface PagerProps {
  label: string;
  paging: Paging;
  next: string | null;
  /** Label of the button for the next page. */
  older?: string;
}

export function Pager({ label, paging, next, older = "Older" }: PagerProps): JSX.Element {
  const isFirst = paging.cursor === null;
  return (
    <nav class="pager" aria-label={label}>
      <button type="button" disabled={isFirst} onClick={paging.first}>
        First
      </button>
      <button type="button" disabled={isFirst} onClick={paging.newer}>
        Newer
      </button>
      <button type="button" disabled={next === null} onClick={() => next !== null && paging.older(next)}>
        {older}
      </button>
    </nav>
  );
}
