// Updates package-lock.json and removes the funding URLs, because lock files must not contain host names.
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";

const file = "package-lock.json";
execFileSync("npm", ["install", "--package-lock-only", ...process.argv.slice(2)], { stdio: "inherit" });
const lock = JSON.parse(readFileSync(file, "utf8"));
for (const entry of Object.values(lock.packages)) delete entry.funding;
writeFileSync(file, `${JSON.stringify(lock, null, 2)}\n`);
