import type { Reporter, TestModule } from 'vitest/node'

/**
 * Closes a run with the one line `N passed, N failed, N skipped`. A file that cannot even be loaded, or an
 * error outside any test, is a failure. In CI a skipped test is one too: it would hide what is not tested.
 */
export default class CountReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], unhandledErrors: readonly unknown[]): void {
    const counts = { passed: 0, failed: unhandledErrors.length, skipped: 0 }
    for (const module of modules) {
      if (module.state() === 'failed' && module.errors().length > 0) counts.failed++
      // A hook that failed: its tests did not run.
      for (const suite of module.children.allSuites()) if (suite.errors().length > 0) counts.failed++
      for (const test of module.children.allTests()) {
        const { state } = test.result()
        if (state === 'passed' || state === 'failed') counts[state]++
        else counts.skipped++
      }
    }
    if (process.env.CI !== undefined && counts.skipped > 0) {
      console.log(`${counts.skipped} skipped tests count as failures in CI`)
      process.exitCode = 1
    }
    console.log(`${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`)
  }
}
