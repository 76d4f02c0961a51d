#include "flow.h"

#include <endian.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <netinet/in.h>

#include <cerrno>

#include "netlink.h"

namespace {

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

bool ReadSource(const Attribute& addresses, Flow* flow) {
  const uint16_t wanted = flow->family == AF_INET ? CTA_IP_V4_SRC : CTA_IP_V6_SRC;
  const size_t bytes = flow->family == AF_INET ? 4 : 16;
  bool found = false;
  ForEachAttribute(addresses.data, addresses.length, [&](const Attribute& address) {
    if (address.type != wanted || address.length != bytes) return;
    memcpy(flow->source, address.data, bytes);
    found = true;
  });
  return found;
}

bool ReadPorts(const Attribute& protocol, Flow* flow) {
  bool is_tcp = false, has_source = false, has_destination = false;
  ForEachAttribute(protocol.data, protocol.length, [&](const Attribute& part) {
    if (part.type == CTA_PROTO_NUM) is_tcp = part.U8() == IPPROTO_TCP;
    if (part.length != sizeof(uint16_t)) return;
    if (part.type == CTA_PROTO_SRC_PORT) has_source = true, flow->source_port = U16(part);
    if (part.type == CTA_PROTO_DST_PORT) has_destination = true, flow->destination_port = U16(part);
  });
  return is_tcp && has_source && has_destination;
}

bool ReadTuple(const Attribute& tuple, Flow* flow) {
  bool has_source = false, has_ports = false;
  ForEachAttribute(tuple.data, tuple.length, [&](const Attribute& part) {
    if (part.type == CTA_TUPLE_IP) has_source = ReadSource(part, flow);
    if (part.type == CTA_TUPLE_PROTO) has_ports = ReadPorts(part, flow);
  });
  return has_source && has_ports;
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
  flow->family = static_cast<const nfgenmsg*>(mnl_nlmsg_get_payload(message))->nfgen_family;
  if (flow->family != AF_INET && flow->family != AF_INET6) return false;
  flow->destroyed = command == IPCTNL_MSG_CT_DELETE;
  bool has_tuple = false, is_assured = false;
  ForEachAttribute(message, [&](const Attribute& attribute) {
    switch (attribute.type) {
      case CTA_TUPLE_ORIG:
        has_tuple = ReadTuple(attribute, flow);
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
    const bool is_wanted = (ports[flow.destination_port / 8] >> flow.destination_port % 8 & 1) != 0;
    if (is_wanted) answer.value.push_back(flow);
  });
  return answer;
}
