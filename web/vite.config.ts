import { defineConfig } from "vitest/config";

const API = process.env.ORDERS_API ?? "http://localhost:8000";
const PATHS = ["/orders", "/events", "/stats", "/dead-letters", "/readyz", "/docs", "/openapi.json", "/static"];

export default defineConfig({
  base: "./", // the page also works below a path of a gateway
  build: {
    outDir: "../service/handler/http/static/page",
    emptyOutDir: true,
    target: "es2022",
    assetsInlineLimit: 0, // the server's policy allows no inline script
    modulePreload: { polyfill: false },
  },
  server: { proxy: Object.fromEntries(PATHS.map((path) => [path, API])) },
  test: { include: ["test/*.test.ts"] },
});
