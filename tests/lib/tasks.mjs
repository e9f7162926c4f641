// How long a page was busy in one go.

/** Longest task of a page, ms. Source: issue 4, "the page never blocks for more than 100 ms". */
export const LONGEST_MS = 100

/** Notes the length of each task of more than 50 ms from now on in the page's `tasks`. */
export const observeTasks = tab => tab.run(() => {
  globalThis.tasks = []
  globalThis.observer = new PerformanceObserver(list => tasks.push(...list.getEntries()))
  observer.observe({ type: 'longtask' })
})

/** The longest task since, ms; 0 for none of more than 50. */
export const longestTask = tab => tab.run(async () => {
  await new Promise(resolve => requestAnimationFrame(() => setTimeout(resolve)))
  return Math.max(0, ...tasks.splice(0).concat(observer.takeRecords()).map(({ duration }) => duration))
})
