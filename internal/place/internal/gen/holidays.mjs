// Writes internal/place/holidays.txt from date-holidays, a library of Node that is kept up to date:
//
//   npm install --prefix /tmp/node date-holidays@3.37.0
//   NODE_PATH=/tmp/node/node_modules node internal/place/internal/gen/holidays.mjs > holidays.txt && mv holidays.txt internal/place/
import { createRequire } from 'node:module'
import { readFileSync } from 'node:fs'

const require = createRequire(process.env.NODE_PATH + '/')
const Holidays = require('date-holidays')
const version = require('date-holidays/package.json').version
const [first, last] = [2020, 2040]

// The library's codes of some subdivisions, where they are others than those of ISO 3166-2; several: one of them.
const others = {
  FR: { 971: ['GP'], 972: ['MQ'], 973: ['GF'], 974: ['RE'], 976: ['YT'], '6AE': ['67', '68'], GES: ['57', '67', '68'] }
}

// Days without calls in a year, of a place that may be anywhere in the subdivision.
function days (country, code, year) {
  const states = new Holidays(country).getStates(country) ?? {}
  const names = (others[country]?.[code] ?? [code]).filter(name => name in states)
  const found = new Set(of(new Holidays(country), year).filter(() => names.length === 0))
  for (const name of names) {
    of(new Holidays(country, name), year).forEach(day => found.add(day))
    for (const region of Object.keys(new Holidays().getRegions(country, name) ?? {})) {
      of(new Holidays(country, name, region), year).forEach(day => found.add(day))
    }
  }
  return found
}

function of (calendar, year) {
  return calendar.getHolidays(year).filter(h => h.type === 'public').map(h => h.date.slice(0, 10))
    .filter(date => date.startsWith(year)).map(date => date.slice(5, 7) + date.slice(8))
}

const codes = {}
for (const line of readFileSync(new URL('../../subdivisions.txt', import.meta.url), 'utf8').split('\n')) {
  const [, country, list] = line.match(/^([A-Z]{2}) .*: (.*)$/) ?? []
  if (country) codes[country] = [...(codes[country] ?? []), ...list.split(' ')]
}

console.log(`# Public holidays, of ${first} to ${last}: a country or a subdivision, the year, months and days.
# A subdivision's line has those that not every subdivision of the country has.
# From date-holidays ${version} (ISC, data CC-BY-3.0), by internal/place/internal/gen/holidays.mjs.`)
for (const country of Object.keys(codes).sort()) {
  for (let year = first; year <= last; year++) {
    const all = codes[country].map(code => [code, days(country, code, String(year))])
    const national = [...all[0][1]].filter(day => all.every(([, found]) => found.has(day))).sort()
    console.log(`${country} ${year} ${national.join(' ')}`)
    for (const [code, found] of all) {
      const regional = [...found].filter(day => !national.includes(day)).sort()
      if (regional.length > 0) console.log(`${country}-${code} ${year} ${regional.join(' ')}`)
    }
  }
}
