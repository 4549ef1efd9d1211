import { expect, test } from "vitest";
import { replayCommand, showCommand } from "../src/commands";
import { letter } from "./letters";

test("a letter is shown by its place", () => {
  expect(showCommand(letter({ partition: 3, offset: 7 }))).toBe("orders dlq show 3 7 --value");
});

test("letters of a reason are replayed since this one, and only tried at first", () => {
  expect(replayCommand(letter())).toBe(
    "orders dlq replay --reason invalid --since 2026-11-25T10:00:00.123Z --max 1 --dry-run",
  );
});

test("text that anyone may have written into a header gets into no command", () => {
  const command = replayCommand(letter({ reason: "$(reboot)", failed_at: "$(reboot)", timestamp: "" }));
  expect(command).toBe("orders dlq replay --max 1 --dry-run");
});
