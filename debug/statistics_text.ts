// What `-accel jit,stats=on` and the monitor's `info jit` print.

import type { CompilerStatistics } from "../jit/statistics.ts";

/** Share of a whole as a percentage with two digits after the point; nothing of nothing is 0. */
function share(part: number, whole: number): string {
  return `${(whole === 0 ? 0 : 100 * part / whole).toFixed(2)} %`;
}

/**
 * The figures, a line for each subject.
 *
 * @param instructions All instructions that were executed.
 */
export function statisticsText(instructions: number, s: CompilerStatistics): string[] {
  const { exits } = s, interpreted = instructions - s.executed;
  return [
    `executed ${instructions} instructions: ${s.executed} compiled (${share(s.executed, instructions)}), ` +
    `${interpreted} interpreted (${share(interpreted, instructions)})`,
    `compiled ${s.regions} regions of ${s.instructions} instructions: ${s.textLength} characters of JavaScript ` +
    `in ${s.milliseconds.toFixed(1)} ms (without V8's optimising)`,
    `entered compiled code ${s.entries} times, went on to another region ${s.links} times, called what was not compiled ` +
    `${s.callsNotCompiled} times`,
    `left it for: end of slice ${exits.slice}, not compiled ${exits.notCompiled}, trap ${exits.trap}, ` +
    `attention (device, timer, overwritten code) ${exits.attention}, access ${exits.missed}, refused assumption ${exits.refused}`,
    `compiled anew after a wrong assumption ${s.refusals}, dropped as overwritten ${s.dropped}, ` +
    `all dropped (cache full, breakpoints changed) ${s.flushes}`,
  ];
}
