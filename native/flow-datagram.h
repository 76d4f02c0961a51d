#pragma once

#include <cstddef>
#include <cstdint>

#include "flow.h"

// FLOW_EVENT_COUNTERS in src/kernel/flow-events.ts says what each counts.
enum FlowEventCounter : uint32_t {
  kFlowMessages,
  kFlowOverruns,
  kFlowInterrupted,
  kFlowReceiveErrors,
  kFlowTruncated,
  kFlowMalformed,
  kFlowForeign,
  kFlowCallbackErrors,
  kFlowCounters
};

constexpr uint32_t kFlowBatchMax = 64;
// Shared with JavaScript, one per socket.
struct FlowSlab {
  double counters[kFlowCounters];
  Flow flows[kFlowBatchMax];
};

// Puts the flow of each message of a datagram behind the `count` flows that are in the slab already, as far
// as there is room; returns how many there are then. What makes no sense is counted.
uint32_t ReadFlowEvents(const void* data, size_t length, FlowSlab* slab, uint32_t count);
