// Runs one scenario against two servers in turn, so that what else the machine does falls on both, and prints the medians:
//   node compare.mjs ROUNDS 'rookery-bench WHERE' 'rookery-bench WHERE' SCENARIO [OPTION...]
// Each round's figures go to stderr as they are.
import { spawnSync } from 'node:child_process'

const [rounds, one, other, ...scenario] = process.argv.slice(2)
if (!(Number(rounds) > 0) || scenario.length === 0) {
  throw new Error("node compare.mjs ROUNDS 'rookery-bench WHERE' 'rookery-bench WHERE' SCENARIO [OPTION...]")
}

// What tells the figures of one run apart.
const labels = ['scenario', 'method', 'agents', 'connections', 'subscribers', 'records', 'order', 'number', 'paced']

/** Every number in a figure by its path, except what the label says. */
function* numbers(figure, path = []) {
  for (const [name, value] of Object.entries(figure)) {
    if (path.length === 0 && labels.includes(name)) continue
    if (typeof value === 'number') yield [[...path, name].join('.'), value]
    else if (value !== null && typeof value === 'object') yield* numbers(value, [...path, name])
  }
}

function run(command) {
  const [program, ...where] = command.split(' ').filter(Boolean)
  const done = spawnSync(program, [...where, ...scenario], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] })
  if (done.status !== 0) throw new Error(`${command} ${scenario.join(' ')} failed`)
  process.stderr.write(done.stdout)
  return done.stdout.split('\n').filter(Boolean).map((line) => JSON.parse(line))
}

function median(values) {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = Math.floor(sorted.length / 2)
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}

/** label -> path -> the values of either server */
const found = new Map()
for (let round = 0; round < Number(rounds); round += 1) {
  for (const [side, command] of [one, other].entries()) {
    for (const figure of run(command)) {
      const label = labels.filter((name) => figure[name] != null).map((name) => `${name} ${figure[name]}`).join(', ')
      const paths = found.get(label) ?? found.set(label, new Map()).get(label)
      for (const [path, value] of numbers(figure)) {
        const sides = paths.get(path) ?? paths.set(path, [[], []]).get(path)
        sides[side].push(value)
      }
    }
  }
}

const short = (number) => (Number.isFinite(number) ? String(Number(number.toPrecision(3))) : '-')
for (const [label, paths] of found) {
  console.log(`\n${label}\n\n| figure | one | other | one / other |\n|---|---|---|---|`)
  for (const [path, sides] of paths) {
    const [a, b] = sides.map((values) => (values.length === 0 ? NaN : median(values)))
    console.log(`| ${path} | ${short(a)} | ${short(b)} | ${short(a / b)} |`)
  }
}
