import { expect, test } from "vitest";
import { replayCommand, showCommand } from "../src/commands";
import { deadLetter } from "./dead-letters";

test("a dead letter is shown by partition and offset", () => {
  expect(showCommand(deadLetter({ partition: 3, offset: 7 }))).toBe("orders dlq show 3 7 --value");
});

test("a dead letter is replayed by partition and offset", () => {
  expect(replayCommand(deadLetter({ partition: 3, offset: 7 }))).toBe("orders dlq replay 3 7");
});

test("text from headers never becomes part of a command", () => {
  const command = replayCommand(deadLetter({ reason: "$(reboot)", failed_at: "$(reboot)", timestamp: "$(reboot)" }));
  expect(command).not.toContain("reboot");
});
