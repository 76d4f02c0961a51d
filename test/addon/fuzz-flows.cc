// libFuzzer: a datagram of conntrack's events, and the same as part of a dump.

#include <cstdlib>
#include <cstring>

#include "../../native/flow-datagram.h"
#include "../../native/netlink.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  // Memory of exactly this size: a byte further is a finding of AddressSanitizer.
  auto* datagram = static_cast<uint8_t*>(malloc(size));
  if (size > 0) memcpy(datagram, data, size);

  auto* slab = new FlowSlab{};
  for (const uint32_t before : {0u, kFlowBatchMax - 1, kFlowBatchMax}) {
    const uint32_t count = ReadFlowEvents(datagram, size, slab, before);
    if (count < before || count > kFlowBatchMax) abort();
    for (uint32_t i = before; i < count; i++) {
      const Flow& flow = slab->flows[i];
      if (flow.tuple.family != AF_INET && flow.tuple.family != AF_INET6) abort();
      if (flow.destroyed > 1) abort();
      // In memory of exactly this size, too.
      auto* request = static_cast<uint8_t*>(malloc(kFlowRequestMax));
      if (PutFlowRequest(flow.tuple, 1, request) == nullptr) abort();
      free(request);
    }
  }
  const auto on_message = [](const nlmsghdr* message) {
    Flow flow;
    ReadFlow(message, &flow);
  };
  ReadAnswers(datagram, size, 1, on_message, nullptr);
  delete slab;
  free(datagram);
  return 0;
}
