import { defineConfig } from "vitest/config";

const API = process.env.ORDERS_API ?? "http://localhost:8000";
const PATHS = ["/orders", "/events", "/stats", "/dead-letters", "/readyz", "/docs", "/openapi.json", "/static"];

export default defineConfig({
  base: "./", // relative URLs, so that the page works under a path prefix
  build: {
    outDir: "../service/handler/http/static/page",
    emptyOutDir: true,
    target: "es2022",
    assetsInlineLimit: 0, // the Content-Security-Policy allows no inline scripts
    modulePreload: { polyfill: false },
  },
  server: { proxy: Object.fromEntries(PATHS.map((path) => [path, API])) },
  test: { include: ["test/*.test.ts"] },
});
