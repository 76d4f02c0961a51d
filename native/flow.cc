#include "flow.h"

#include <endian.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <netinet/in.h>

#include <algorithm>
#include <cerrno>

#include "netlink.h"

namespace {

// Answers to so many requests wait in the socket's buffer at once, a kilobyte or so each.
constexpr size_t kRequestsPerDatagram = 64;

uint64_t U64(const Attribute& attribute) {
  uint64_t value = 0;
  if (attribute.length >= sizeof value) memcpy(&value, attribute.data, sizeof value);
  return be64toh(value);
}

uint16_t U16(const Attribute& attribute) {
  uint16_t value = 0;
  if (attribute.length >= sizeof value) memcpy(&value, attribute.data, sizeof value);
  return ntohs(value);
}

bool ReadAddresses(const Attribute& addresses, FlowTuple* tuple) {
  const bool is_ipv4 = tuple->family == AF_INET;
  const size_t bytes = is_ipv4 ? 4 : 16;
  bool has_source = false, has_destination = false;
  ForEachAttribute(addresses.data, addresses.length, [&](const Attribute& address) {
    if (address.length != bytes) return;
    if (address.type == (is_ipv4 ? CTA_IP_V4_SRC : CTA_IP_V6_SRC)) {
      memcpy(tuple->source, address.data, bytes);
      has_source = true;
    } else if (address.type == (is_ipv4 ? CTA_IP_V4_DST : CTA_IP_V6_DST)) {
      memcpy(tuple->destination, address.data, bytes);
      has_destination = true;
    }
  });
  return has_source && has_destination;
}

bool ReadPorts(const Attribute& protocol, FlowTuple* tuple) {
  bool is_tcp = false, has_source = false, has_destination = false;
  ForEachAttribute(protocol.data, protocol.length, [&](const Attribute& part) {
    if (part.type == CTA_PROTO_NUM) is_tcp = part.U8() == IPPROTO_TCP;
    if (part.length != sizeof(uint16_t)) return;
    if (part.type == CTA_PROTO_SRC_PORT) has_source = true, tuple->source_port = U16(part);
    if (part.type == CTA_PROTO_DST_PORT) has_destination = true, tuple->destination_port = U16(part);
  });
  return is_tcp && has_source && has_destination;
}

bool ReadTuple(const Attribute& attribute, FlowTuple* tuple) {
  bool has_addresses = false, has_ports = false;
  ForEachAttribute(attribute.data, attribute.length, [&](const Attribute& part) {
    if (part.type == CTA_TUPLE_IP) has_addresses = ReadAddresses(part, tuple);
    if (part.type == CTA_TUPLE_PROTO) has_ports = ReadPorts(part, tuple);
    // A zone of this direction alone: the kernel finds the flow by CTA_ZONE all the same.
    if (part.type == CTA_TUPLE_ZONE) tuple->zone = U16(part);
  });
  return has_addresses && has_ports;
}

void ReadCounters(const Attribute& counters, double* packets, double* bytes) {
  ForEachAttribute(counters.data, counters.length, [&](const Attribute& counter) {
    if (counter.type == CTA_COUNTERS_PACKETS) *packets = static_cast<double>(U64(counter));
    if (counter.type == CTA_COUNTERS_BYTES) *bytes = static_cast<double>(U64(counter));
  });
}

void ReadTimes(const Attribute& times, Flow* flow) {
  ForEachAttribute(times.data, times.length, [&](const Attribute& time) {
    const double ms = static_cast<double>(U64(time) / 1000) / 1e3;
    if (time.type == CTA_TIMESTAMP_START) flow->start_ms = ms;
    if (time.type == CTA_TIMESTAMP_STOP) flow->stop_ms = ms;
  });
}

void ReadState(const Attribute& protocol_info, Flow* flow) {
  ForEachAttribute(protocol_info.data, protocol_info.length, [&](const Attribute& tcp) {
    if (tcp.type != CTA_PROTOINFO_TCP) return;
    ForEachAttribute(tcp.data, tcp.length, [&](const Attribute& part) {
      if (part.type == CTA_PROTOINFO_TCP_STATE) flow->state = part.U8();
    });
  });
}

}  // namespace

bool ReadFlow(const nlmsghdr* message, Flow* flow) {
  *flow = {};
  if (message->nlmsg_type >> 8 != NFNL_SUBSYS_CTNETLINK) return false;
  const int command = message->nlmsg_type & 0xff;
  if (command != IPCTNL_MSG_CT_NEW && command != IPCTNL_MSG_CT_DELETE) return false;
  if (message->nlmsg_len < NLMSG_HDRLEN + sizeof(nfgenmsg)) return false;
  FlowTuple* tuple = &flow->tuple;
  tuple->family = static_cast<const nfgenmsg*>(mnl_nlmsg_get_payload(message))->nfgen_family;
  if (tuple->family != AF_INET && tuple->family != AF_INET6) return false;
  flow->destroyed = command == IPCTNL_MSG_CT_DELETE;
  bool has_tuple = false, is_assured = false;
  ForEachAttribute(message, [&](const Attribute& attribute) {
    switch (attribute.type) {
      case CTA_TUPLE_ORIG:
        has_tuple = ReadTuple(attribute, tuple);
        break;
      case CTA_ZONE:
        tuple->zone = U16(attribute);
        break;
      case CTA_STATUS:
        is_assured = (attribute.U32() & IPS_ASSURED) != 0;
        break;
      case CTA_ID:
        flow->id = attribute.U32();
        break;
      case CTA_PROTOINFO:
        ReadState(attribute, flow);
        break;
      case CTA_TIMESTAMP:
        ReadTimes(attribute, flow);
        break;
      case CTA_COUNTERS_ORIG:
        ReadCounters(attribute, &flow->to_server_packets, &flow->to_server_bytes);
        break;
      case CTA_COUNTERS_REPLY:
        ReadCounters(attribute, &flow->to_client_packets, &flow->to_client_bytes);
        break;
    }
  });
  return has_tuple && is_assured;
}

Answer<std::vector<Flow>> AssuredFlows(const std::vector<uint8_t>& ports) {
  Answer<std::vector<Flow>> answer{};
  if (ports.size() != kPortSetBytes) return {EINVAL, {}};
  NetlinkSocket socket;
  answer.error = socket.Open();
  if (answer.error != 0) return answer;
  // AF_UNSPEC: both families in one pass over the table.
  alignas(nlmsghdr) uint8_t buffer[128];
  nlmsghdr* request = PutMessage(buffer, NFNL_SUBSYS_CTNETLINK, IPCTNL_MSG_CT_GET, NLM_F_DUMP, 1, AF_UNSPEC);
  // Kernels before 5.17 know no such filter and send all flows, which cost more.
  mnl_attr_put_u32(request, CTA_STATUS, htonl(IPS_ASSURED));
  mnl_attr_put_u32(request, CTA_STATUS_MASK, htonl(IPS_ASSURED));
  answer.error = socket.Request(request, [&](const nlmsghdr* message) {
    Flow flow;
    if (!ReadFlow(message, &flow)) return;
    const uint16_t port = flow.tuple.destination_port;
    const bool is_wanted = (ports[port / 8] >> port % 8 & 1) != 0;
    if (is_wanted) answer.value.push_back(flow);
  });
  return answer;
}

nlmsghdr* PutFlowRequest(const FlowTuple& tuple, uint32_t seq, uint8_t* buffer) {
  const bool is_ipv4 = tuple.family == AF_INET;
  if (!is_ipv4 && tuple.family != AF_INET6) return nullptr;
  const size_t bytes = is_ipv4 ? 4 : 16;
  nlmsghdr* request = PutMessage(buffer, NFNL_SUBSYS_CTNETLINK, IPCTNL_MSG_CT_GET, 0, seq, tuple.family);
  nlattr* original = mnl_attr_nest_start(request, CTA_TUPLE_ORIG);
  nlattr* addresses = mnl_attr_nest_start(request, CTA_TUPLE_IP);
  mnl_attr_put(request, is_ipv4 ? CTA_IP_V4_SRC : CTA_IP_V6_SRC, bytes, tuple.source);
  mnl_attr_put(request, is_ipv4 ? CTA_IP_V4_DST : CTA_IP_V6_DST, bytes, tuple.destination);
  mnl_attr_nest_end(request, addresses);
  nlattr* protocol = mnl_attr_nest_start(request, CTA_TUPLE_PROTO);
  mnl_attr_put_u8(request, CTA_PROTO_NUM, IPPROTO_TCP);
  mnl_attr_put_u16(request, CTA_PROTO_SRC_PORT, htons(tuple.source_port));
  mnl_attr_put_u16(request, CTA_PROTO_DST_PORT, htons(tuple.destination_port));
  mnl_attr_nest_end(request, protocol);
  mnl_attr_nest_end(request, original);
  // Kernels without zones refuse the attribute.
  if (tuple.zone != 0) mnl_attr_put_u16(request, CTA_ZONE, htons(tuple.zone));
  return request;
}

Answer<std::vector<Flow>> FlowsOf(const std::vector<FlowTuple>& tuples) {
  Answer<std::vector<Flow>> answer{};
  NetlinkSocket socket;
  answer.error = socket.Open();
  alignas(nlmsghdr) uint8_t datagram[kRequestsPerDatagram * kFlowRequestMax];
  const auto on_flow = [&](const nlmsghdr* message) {
    Flow flow;
    if (ReadFlow(message, &flow)) answer.value.push_back(flow);
  };
  for (size_t i = 0; i < tuples.size() && answer.error == 0;) {
    const size_t end = std::min(i + kRequestsPerDatagram, tuples.size());
    size_t length = 0;
    for (; i < end; i++) {
      nlmsghdr* request = PutFlowRequest(tuples[i], static_cast<uint32_t>(i), datagram + length);
      if (request == nullptr) return {EINVAL, {}};
      if (i + 1 == end) request->nlmsg_flags |= NLM_F_ACK;
      length += NLMSG_ALIGN(request->nlmsg_len);
    }
    int refusal = 0;
    const auto on_error = [&](uint32_t, int error) {
      // A flow that is gone is what we wanted to know.
      if (error != ENOENT) refusal = error;
    };
    answer.error = socket.Exchange(datagram, length, static_cast<uint32_t>(end - 1), on_flow, on_error);
    if (answer.error == 0) answer.error = refusal;
  }
  return answer;
}
