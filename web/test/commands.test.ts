import { expect, test } from "vitest";
import { replayCommand, showCommand } from "../src/commands";
import { letter } from "./letters";

test("a letter is shown by its place", () => {
  expect(showCommand(letter({ partition: 3, offset: 7 }))).toBe("orders dlq show 3 7 --value");
});

test("a letter is replayed by its place, so that no other one is", () => {
  expect(replayCommand(letter({ partition: 3, offset: 7 }))).toBe("orders dlq replay 3 7");
});

test("text that anyone may have written into a header gets into no command", () => {
  const command = replayCommand(letter({ reason: "$(reboot)", failed_at: "$(reboot)", timestamp: "$(reboot)" }));
  expect(command).not.toContain("reboot");
});
