/** The program of a path thread, as built. Said here, since all that is bundled lies as deep below dist/ as this. */
export const THREAD_FILE = new URL('../path/thread.js', import.meta.url)
