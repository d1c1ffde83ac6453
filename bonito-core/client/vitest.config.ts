import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    environment: "happy-dom",
    restoreMocks: true,
    // When to give up on a busy machine; how long something takes is no matter of these tests.
    testTimeout: 60_000,
  },
});
