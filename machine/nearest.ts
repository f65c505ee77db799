// "Did you mean …": the known name that is closest to a wrong one.

/** Edit distance (insertions, deletions, substitutions, swaps of neighbours). */
function distance(a: string, b: string): number {
  let before: number[] = [], last = Array.from({ length: b.length + 1 }, (_, k) => k);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const cost = a[i - 1] === b[j - 1] ? 0 : 1;
      let best = Math.min(last[j]! + 1, row[j - 1]! + 1, last[j - 1]! + cost);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) best = Math.min(best, before[j - 2]! + 1);
      row.push(best);
    }
    before = last;
    last = row;
  }
  return last[b.length]!;
}

/** `"; did you mean X?"` for the closest of some names, or one that begins with the wrong one; `""` if there is none. */
export function nearest(wrong: string, known: readonly string[]): string {
  let best = "", bestDistance = Infinity;
  for (const name of known) {
    const d = distance(wrong.toLowerCase(), name.toLowerCase());
    if (d < bestDistance) best = name, bestDistance = d;
  }
  const longer = known.find((name) => wrong.length >= 3 && name.toLowerCase().startsWith(wrong.toLowerCase()));
  if (bestDistance > 2 && longer !== undefined) best = longer;
  else if (bestDistance > Math.max(2, wrong.length / 2)) best = "";
  return best === "" ? "" : `; did you mean ${best}?`;
}
