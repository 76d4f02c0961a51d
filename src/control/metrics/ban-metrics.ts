import { sumOver } from '../threads/path-totals.ts'
import type { MetricFamily } from './metric-family.ts'
import { activeBans, byHoldSet, given, one } from './metric-samples.ts'

/** Bans and holds. */
export const BAN_METRICS: readonly MetricFamily[] = [
  {
    name: 'sluice_bans_total',
    help: 'Bans given, by the service that earned them (all: by a person, for all ports).',
    type: 'counter',
    labels: ['service', 'family'],
    read: ({ enforced, policy }) => given(enforced, policy),
  },
  {
    name: 'sluice_shadow_bans_total',
    help: 'Bans that services in shadow mode would have given.',
    type: 'counter',
    labels: ['service', 'family'],
    read: ({ watched, policy }) => given(watched, policy),
  },
  {
    name: 'sluice_active_bans',
    help: 'Bans in force, by the ports that they cover (all: every port).',
    type: 'gauge',
    labels: ['service', 'family'],
    read: activeBans,
  },
  {
    name: 'sluice_ban_evictions_total',
    help: 'Bans lifted before their end since a ban set was full.',
    type: 'counter',
    read: ({ enforced }) => one(enforced.evictions),
  },
  {
    name: 'sluice_ban_failures_total',
    help: 'Bans that the kernel has not taken at once.',
    type: 'counter',
    read: ({ enforced }) => one(enforced.refusals),
  },
  {
    name: 'sluice_holds_total',
    help: 'Sources and networks held off in the kernel; a hold that is renewed counts once.',
    type: 'counter',
    labels: ['service', 'family'],
    read: (state) => byHoldSet(state, (...row) => state.holds.begun(...row, 'enforce')),
  },
  {
    name: 'sluice_shadow_holds_total',
    help: 'Holds that services in shadow mode would have begun.',
    type: 'counter',
    labels: ['service', 'family'],
    read: (state) => byHoldSet(state, (...row) => state.holds.begun(...row, 'shadow')),
  },
  {
    name: 'sluice_active_holds',
    help: 'Holds in force.',
    type: 'gauge',
    labels: ['service', 'family'],
    read: (state) => byHoldSet(state, (...row) => state.holds.active(...row, 'enforce')),
  },
  {
    name: 'sluice_holds_lost_total',
    help: 'Holds that found no room or failed: these sources stay limited and come again.',
    type: 'counter',
    read: ({ threads, holds }) => one(sumOver(threads, (counters) => counters.holdsLost)[0]! + holds.lost),
  },
]
