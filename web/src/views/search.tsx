import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import type { Route } from "../route";
import { goTo } from "../route";
import type { Choice } from "../matches";
import { searchMessage } from "../messages";
import { useChoices } from "../use-choices";

/** One field for order UIDs, track numbers and customer ids: a combobox that offers what it finds. */
export function Search({ route }: { route: Route }): JSX.Element {
  const input = useRef<HTMLInputElement>(null);
  const [text, setText] = useState(textOf(route));
  const [isOpen, setOpen] = useState(false);
  const [active, setActive] = useState(-1);
  const result = useChoices(isOpen ? text.trim() : "");
  const choices = result?.ok ? result.body : [];
  useEffect(() => setText(textOf(route)), [route.name, textOf(route)]);
  useSlash(input);
  const chosen = choices[active];
  const close = () => {
    setOpen(false);
    setActive(-1);
  };
  const submit = (event: Event) => {
    event.preventDefault();
    close();
    if (chosen) location.hash = chosen.fragment;
    else if (text.trim() !== "") goTo({ name: "search", text: text.trim() });
  };
  const press = (event: KeyboardEvent) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (event.key === "Escape") close();
    if (step === undefined || choices.length === 0) return;
    event.preventDefault();
    setActive((active + step + choices.length) % choices.length);
  };
  const isShown = isOpen && result !== null;
  return (
    <form role="search" class="search" onSubmit={submit}>
      <input
        ref={input}
        role="combobox"
        aria-label="Search orders"
        aria-expanded={isShown && choices.length > 0}
        aria-controls="choices"
        aria-autocomplete="list"
        aria-activedescendant={chosen ? `choice-${active}` : undefined}
        placeholder="Order UID, track number or customer id"
        value={text}
        maxLength={255}
        autocomplete="off"
        autocapitalize="off"
        spellcheck={false}
        onInput={(event) => {
          setText(event.currentTarget.value);
          setActive(-1);
          setOpen(true);
        }}
        onKeyDown={press}
        onBlur={close}
      />
      <kbd aria-hidden="true">/</kbd>
      <div class="choices" hidden={!isShown}>
        <div id="choices" role="listbox" aria-label="Search results" hidden={choices.length === 0}>
          {choices.map((choice, position) => (
            <Option key={choice.fragment} choice={choice} id={`choice-${position}`} isActive={position === active} onChoose={close} />
          ))}
        </div>
        {choices.length === 0 && <p class="hint">{searchMessage(result)}</p>}
      </div>
      <span role="status" aria-label="Search" class="visually-hidden">
        {isShown && (choices.length > 0 ? `${choices.length} found` : searchMessage(result))}
      </span>
    </form>
  );
}

interface OptionProps {
  choice: Choice;
  id: string;
  isActive: boolean;
  onChoose: () => void;
}

function Option({ choice, id, isActive, onChoose }: OptionProps): JSX.Element {
  const choose = (event: Event) => {
    event.preventDefault(); // keeps the focus in the field
    onChoose();
    location.hash = choice.fragment;
  };
  return (
    <div id={id} role="option" aria-selected={isActive} onPointerDown={choose}>
      {choice.label}
      <small>{choice.detail}</small>
    </div>
  );
}

function textOf(route: Route): string {
  switch (route.name) {
    case "order":
      return route.id;
    case "search":
      return route.text;
    case "orders":
      return route.filter.customer_id || route.filter.track_number;
    default:
      return "";
  }
}

/** The key / focuses the field, except where it types a slash. */
function useSlash(input: { current: HTMLInputElement | null }): void {
  useEffect(() => {
    const press = (event: KeyboardEvent) => {
      const isTyping = event.target instanceof Element && event.target.matches("input, textarea, select");
      if (event.key !== "/" || isTyping || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      input.current?.focus();
      input.current?.select();
    };
    addEventListener("keydown", press);
    return () => removeEventListener("keydown", press);
  }, [input]);
}
