#include "listeners.h"

#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include "netlink.h"

namespace {

nlmsghdr* PutRequest(void* buffer, uint8_t family) {
  nlmsghdr* message = mnl_nlmsg_put_header(buffer);
  message->nlmsg_type = SOCK_DIAG_BY_FAMILY;
  message->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
  message->nlmsg_seq = 1;
  auto* request =
      static_cast<inet_diag_req_v2*>(mnl_nlmsg_put_extra_header(message, sizeof(inet_diag_req_v2)));
  request->sdiag_family = family;
  request->sdiag_protocol = IPPROTO_TCP;
  // With any other state the kernel goes through its table of connections, too.
  request->idiag_states = 1 << TCP_LISTEN;
  return message;
}

}  // namespace

Answer<std::vector<Listener>> TcpListeners() {
  Answer<std::vector<Listener>> listeners{};
  NetlinkSocket socket;
  listeners.error = socket.Open(NETLINK_SOCK_DIAG);
  for (const uint8_t family : {AF_INET, AF_INET6}) {
    if (listeners.error != 0) break;
    alignas(nlmsghdr) uint8_t buffer[NLMSG_HDRLEN + sizeof(inet_diag_req_v2)];
    // No look at NLM_F_DUMP_INTR: inet_diag does not count changes of its table, and never sets it.
    listeners.error = socket.Request(PutRequest(buffer, family), [&](const nlmsghdr* message) {
      Listener listener;
      if (listeners.value.size() < kListenersMax && ReadListener(message, &listener))
        listeners.value.push_back(listener);
    });
  }
  return listeners;
}

bool ReadListener(const nlmsghdr* message, Listener* listener) {
  *listener = {};
  if (message->nlmsg_type != SOCK_DIAG_BY_FAMILY) return false;
  if (message->nlmsg_len < NLMSG_HDRLEN + sizeof(inet_diag_msg)) return false;
  inet_diag_msg found;
  memcpy(&found, mnl_nlmsg_get_payload(message), sizeof found);
  const bool is_ipv4 = found.idiag_family == AF_INET;
  if (!is_ipv4 && found.idiag_family != AF_INET6) return false;
  if (found.idiag_state != TCP_LISTEN) return false;
  memcpy(listener->address, found.id.idiag_src, is_ipv4 ? 4 : 16);
  listener->inode = found.idiag_inode;
  listener->port = ntohs(found.id.idiag_sport);
  listener->family = found.idiag_family;
  return true;
}
