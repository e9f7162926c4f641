// How long pages were busy in one go.

/** Longest task of a page, ms. Source: issue 4, "the page never blocks for more than 100 ms". */
export const LONGEST_MS = 100

/**
 * Of Chromium's trace: tasks of each thread, marks of pages, and what a task was busy with. The long tasks that a page can
 * observe are these, by the clock alone; a trace knows as well for how much of it the thread had a processor.
 */
const CATEGORIES = ['disabled-by-default-devtools.timeline', 'blink.user_timing', 'devtools.timeline', 'v8']

/** A page's name in the trace. */
const MARK = 'chorus-test-tab-'

/**
 * Processor time of a task's thread and the clock's, ms, and the steps in it that took longest.
 *
 * @typedef {{ ms: number, clock: number, steps: string[] }} Task
 */

/** Processor time of an event, µs. Where the trace lacks it, the clock's, which is no less. */
const timeOf = ({ tdur, dur }) => tdur ?? dur

/** Follows the tasks of the pages of one browser, from `watch` to `longest`. */
export class Tasks {
  #browser
  #tabs

  /**
   * @param {import('playwright-core').Browser} browser
   * @param {Record<string, import('./chromium.mjs').Tab>} tabs Each has a process of its own.
   */
  static async watch (browser, tabs) {
    const tasks = new Tasks()
    tasks.#browser = browser
    tasks.#tabs = Object.entries(tabs)
    // A test that failed before it looked has left its watch on.
    await browser.stopTracing().catch(() => {})
    await browser.startTracing(undefined, { categories: CATEGORIES })
    return tasks
  }

  /**
   * Ends the watch; returns the longest task of each page since. What counts is how long its thread had a processor: how long it
   * waited for one says something of the machine, not of the page.
   *
   * @returns {Promise<Record<string, Task>>}
   */
  async longest () {
    for (const [name, tab] of this.#tabs) {
      // After a frame, so that what is under way has ended.
      await tab.run(async mark => {
        await new Promise(resolve => requestAnimationFrame(() => setTimeout(resolve)))
        performance.mark(mark)
      }, MARK + name)
    }
    const { traceEvents: events } = JSON.parse(await this.#browser.stopTracing())
    return Object.fromEntries(this.#tabs.map(([name]) => {
      const page = events.find(event => event.name === MARK + name)
      if (page == null) throw new Error(`the trace does not know the page ${name}`)
      const own = events.filter(({ ph, pid, tid, dur }) => ph === 'X' && pid === page.pid && tid === page.tid && dur > 0)
      const tasks = own.filter(event => event.name === 'RunTask')
      if (tasks.length === 0) throw new Error(`the trace has ${own.length} events of the page ${name}, and none is a task`)
      const longest = tasks.reduce((a, b) => timeOf(b) > timeOf(a) ? b : a)
      const steps = own
        .filter(event => event !== longest && event.ts >= longest.ts && event.ts + event.dur <= longest.ts + longest.dur)
        .toSorted((a, b) => timeOf(b) - timeOf(a))
        .slice(0, 4)
        .map(event => {
          const { name, args: { data = {} } = {} } = event
          const place = [data.functionName, data.url, data.lineNumber].filter(Boolean)
          return [name, ...place, `${Math.round(timeOf(event) / 1000)} ms`].join(' ')
        })
      return [name, { ms: timeOf(longest) / 1000, clock: longest.dur / 1000, steps }]
    }))
  }
}

/** Says how long the longest tasks were, in the test's report, and throws where one took too long. */
export function checkLongest (longest, test) {
  const said = Object.entries(longest).map(([name, { ms, clock }]) => `page ${name} ${Math.round(ms)} ms (${Math.round(clock)} by the clock)`)
  test.diagnostic(`longest tasks: ${said.join(', ')}`)
  for (const [name, task] of Object.entries(longest)) {
    if (task.ms > LONGEST_MS) throw new Error(`the page ${name} was busy for ${JSON.stringify(task)}`)
  }
}
