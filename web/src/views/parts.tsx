import type { ComponentChildren, JSX } from "preact";

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
  /** Those of the pages passed so far, and of the current page. */
  cursors: string[];
  next: string | null;
  /** Returns the address of the page whose cursor is the last one. */
  linkTo: (cursors: string[]) => string;
  /** Label of the button for the next page. */
  older?: string;
}

export function Pager({ label, cursors, next, linkTo, older = "Older" }: PagerProps): JSX.Element | null {
  const isFirst = cursors.length === 0;
  if (isFirst && next === null) return null;
  const go = (to: string[]) => (location.hash = linkTo(to));
  return (
    <nav class="pager" aria-label={label}>
      <button type="button" disabled={isFirst} onClick={() => go([])}>
        First
      </button>
      <button type="button" disabled={isFirst} onClick={() => go(cursors.slice(0, -1))}>
        Newer
      </button>
      <button type="button" disabled={next === null} onClick={() => next !== null && go([...cursors, next])}>
        {older}
      </button>
      <span class="hint">Page {cursors.length + 1}</span>
    </nav>
  );
}
