#include "flow-datagram.h"

#include <algorithm>

#include "netlink.h"

uint32_t ReadFlowEvents(const void* data, size_t length, FlowSlab* slab, uint32_t count) {
  const auto* at = static_cast<const uint8_t*>(data);
  for (size_t left = length, used; left > 0 && count < kFlowBatchMax; at += used, left -= used) {
    const auto* message = reinterpret_cast<const nlmsghdr*>(at);
    // Not mnl_nlmsg_ok(): before libmnl 1.0.5 it takes a length above INT_MAX for a small one.
    if (left < NLMSG_HDRLEN || message->nlmsg_len < NLMSG_HDRLEN || message->nlmsg_len > left) {
      slab->counters[kFlowMalformed]++;
      return count;
    }
    used = std::min<size_t>(NLMSG_ALIGN(message->nlmsg_len), left);
    slab->counters[kFlowMessages]++;
    if (ReadFlow(message, &slab->flows[count])) {
      count++;
    } else {
      slab->counters[kFlowMalformed]++;
    }
  }
  return count;
}
