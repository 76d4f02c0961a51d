#include "conntrack.h"

#include <linux/netfilter/nfnetlink_conntrack.h>

#include <algorithm>
#include <cerrno>

#include "netlink.h"

namespace {

size_t AddressBytes(uint8_t family) { return family == AF_INET ? 4 : 16; }

bool Covers(const Record& range, uint8_t family, const uint8_t* address) {
  if (range.family != family || range.length > AddressBytes(family) * 8) return false;
  const size_t bytes = range.length / 8;
  if (memcmp(range.address, address, bytes) != 0) return false;
  const int mask = 0xff00 >> range.length % 8 & 0xff;
  return mask == 0 || ((range.address[bytes] ^ address[bytes]) & mask) == 0;
}

// The source address of a tuple, null if there is none of this family.
const uint8_t* SourceOf(const Attribute& tuple, uint8_t family) {
  const uint8_t* source = nullptr;
  const uint16_t wanted = family == AF_INET ? CTA_IP_V4_SRC : CTA_IP_V6_SRC;
  ForEachAttribute(tuple.data, tuple.length, [&](const Attribute& part) {
    if (part.type != CTA_TUPLE_IP) return;
    ForEachAttribute(part.data, part.length, [&](const Attribute& address) {
      if (address.type == wanted && address.length == AddressBytes(family)) source = address.data;
    });
  });
  return source;
}

int DeleteOfFamily(uint8_t family, const std::vector<Record>& sources, int* deleted) {
  // One socket is in the middle of the dump while the other deletes.
  NetlinkSocket dump, deletion;
  int error = dump.Open();
  if (error == 0) error = deletion.Open();
  if (error != 0) return error;
  int refusal = 0;
  const auto on_flow = [&](const nlmsghdr* flow) {
    alignas(nlmsghdr) uint8_t buffer[kDeletionMax];
    if (refusal != 0 || !PutDeletion(flow, sources, buffer)) return;
    const int outcome = deletion.Request(reinterpret_cast<nlmsghdr*>(buffer));
    *deleted += outcome == 0;
    // A flow may have ended by itself since it was dumped.
    if (outcome != ENOENT) refusal = outcome;
  };
  alignas(nlmsghdr) uint8_t request[NLMSG_HDRLEN + sizeof(nfgenmsg)];
  error = dump.Request(PutMessage(request, NFNL_SUBSYS_CTNETLINK, IPCTNL_MSG_CT_GET, NLM_F_DUMP, 1, family),
                       on_flow);
  return error != 0 ? error : refusal;
}

}  // namespace

int DeleteConnections(const std::vector<Record>& sources) {
  int deleted = 0;
  for (const uint8_t family : {AF_INET, AF_INET6}) {
    const auto of_family = [&](const Record& source) { return source.family == family; };
    if (std::none_of(sources.begin(), sources.end(), of_family)) continue;
    const int error = DeleteOfFamily(family, sources, &deleted);
    if (error != 0) return -error;
  }
  return deleted;
}

bool PutDeletion(const nlmsghdr* flow, const std::vector<Record>& sources, uint8_t (&buffer)[kDeletionMax]) {
  if (flow->nlmsg_len < NLMSG_HDRLEN + sizeof(nfgenmsg)) return false;
  const uint8_t family = static_cast<const nfgenmsg*>(mnl_nlmsg_get_payload(flow))->nfgen_family;
  Attribute tuple{}, zone{}, id{};
  ForEachAttribute(flow, [&](const Attribute& attribute) {
    if (attribute.type == CTA_TUPLE_ORIG) tuple = attribute;
    if (attribute.type == CTA_ZONE) zone = attribute;
    if (attribute.type == CTA_ID) id = attribute;
  });
  if (tuple.length > kDeletionMax / 2) return false;
  const uint8_t* address = SourceOf(tuple, family);
  const auto covers = [&](const Record& source) { return Covers(source, family, address); };
  if (address == nullptr || std::none_of(sources.begin(), sources.end(), covers)) return false;

  nlmsghdr* message = PutMessage(buffer, NFNL_SUBSYS_CTNETLINK, IPCTNL_MSG_CT_DELETE, NLM_F_ACK, 1, family);
  // The tuple is what makes this one flow: a deletion without it empties the whole table.
  mnl_attr_put(message, CTA_TUPLE_ORIG | NLA_F_NESTED, tuple.length, tuple.data);
  if (zone.length == sizeof(uint16_t)) mnl_attr_put(message, CTA_ZONE, zone.length, zone.data);
  if (id.length == sizeof(uint32_t)) mnl_attr_put(message, CTA_ID, id.length, id.data);
  return true;
}
