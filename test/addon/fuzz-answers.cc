// libFuzzer: a datagram of answers to ipset, conntrack and sock_diag requests, read by every parser there is.

#include <cstdlib>
#include <cstring>

#include "../../native/conntrack.h"
#include "../../native/ipset.h"
#include "../../native/listeners.h"
#include "../../native/netlink.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  // Memory of exactly this size: a byte further is a finding of AddressSanitizer.
  auto* datagram = static_cast<uint8_t*>(malloc(size));
  if (size > 0) memcpy(datagram, data, size);

  std::vector<Record> everybody(2);
  everybody[0].family = AF_INET;
  everybody[1].family = AF_INET6;
  std::vector<Record> entries;
  std::vector<IpsetHeader> sets;
  const auto on_message = [&](const nlmsghdr* message) {
    ReadIpsetEntries(message, &entries);
    ReadIpsetHeader(message, &sets);
    Listener listener;
    if (ReadListener(message, &listener) && listener.family != AF_INET && listener.family != AF_INET6) abort();
    alignas(nlmsghdr) uint8_t buffer[kDeletionMax];
    if (!PutDeletion(message, everybody, buffer)) return;
    const auto* deletion = reinterpret_cast<const nlmsghdr*>(buffer);
    if (deletion->nlmsg_len > kDeletionMax) abort();
    // Without its tuple it would delete every flow of the host.
    size_t tuple = 0;
    ForEachAttribute(deletion, [&](const Attribute& attribute) {
      if (attribute.type == 1) tuple += attribute.length;
    });
    if (tuple == 0) abort();
  };
  ReadAnswers(datagram, size, 1, on_message, [](uint32_t, int) {});
  ReadAnswers(datagram, size, 1, on_message, nullptr);
  free(datagram);
  return 0;
}
