import { BAN_METRICS } from './ban-metrics.ts'
import { DAEMON_METRICS } from './daemon-metrics.ts'
import { DNS_METRICS } from './dns-metrics.ts'
import { EVIDENCE_METRICS } from './evidence-metrics.ts'
import type { MetricFamily } from './metric-family.ts'
import { PATH_METRICS } from './path-metrics.ts'
import { QUEUE_METRICS } from './queue-metrics.ts'
import { SESSION_METRICS } from './session-metrics.ts'

/** Every metric but the histogram of batch times. */
export const METRIC_FAMILIES: readonly MetricFamily[] = [
  ...PATH_METRICS,
  ...EVIDENCE_METRICS,
  ...BAN_METRICS,
  ...DNS_METRICS,
  ...QUEUE_METRICS,
  ...DAEMON_METRICS,
  ...SESSION_METRICS,
]
