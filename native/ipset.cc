#include "ipset.h"

#include <linux/netfilter/ipset/ip_set.h>

#include <algorithm>

#include "netlink.h"

namespace {

constexpr uint32_t kMessagesPerDatagram = 128;
constexpr size_t kMessageMax = 256;  // of any message here; the longest has 116 bytes

nlmsghdr* PutCommand(void* buffer, uint32_t command, uint16_t flags, uint32_t seq, const std::string& name) {
  nlmsghdr* message = PutMessage(buffer, NFNL_SUBSYS_IPSET, command, flags, seq, AF_UNSPEC);
  // Protocol 6 has all that is needed here, and every kernel since 2.6.39 speaks it.
  mnl_attr_put_u8(message, IPSET_ATTR_PROTOCOL, IPSET_PROTOCOL_MIN);
  const std::string bounded = name.substr(0, IPSET_MAXNAMELEN - 1);
  if (!bounded.empty()) mnl_attr_put_strz(message, IPSET_ATTR_SETNAME, bounded.c_str());
  return message;
}

void PutU32(nlmsghdr* message, uint16_t type, uint32_t value) {
  mnl_attr_put_u32(message, type | NLA_F_NET_BYTEORDER, htonl(value));
}

void PutRecord(nlmsghdr* message, const Record& record, bool with_timeout) {
  nlattr* data = mnl_attr_nest_start(message, IPSET_ATTR_DATA);
  nlattr* ip = mnl_attr_nest_start(message, IPSET_ATTR_IP);
  if (record.family == AF_INET) {
    mnl_attr_put(message, IPSET_ATTR_IPADDR_IPV4 | NLA_F_NET_BYTEORDER, 4, record.address);
  } else {
    mnl_attr_put(message, IPSET_ATTR_IPADDR_IPV6 | NLA_F_NET_BYTEORDER, 16, record.address);
  }
  mnl_attr_nest_end(message, ip);
  mnl_attr_put_u8(message, IPSET_ATTR_CIDR, record.length);
  if (with_timeout) PutU32(message, IPSET_ATTR_TIMEOUT, record.timeout);
  mnl_attr_nest_end(message, data);
}

int Request(const nlmsghdr* message, const OnMessage& on_message = nullptr) {
  NetlinkSocket socket;
  const int error = socket.Open();
  return error != 0 ? error : socket.Request(message, on_message);
}

// False for what is no address range.
bool ReadEntry(const Attribute& entry, Record* record) {
  bool has_length = false;
  ForEachAttribute(entry.data, entry.length, [&](const Attribute& attribute) {
    if (attribute.type == IPSET_ATTR_CIDR) {
      record->length = attribute.U8();
      has_length = true;
    } else if (attribute.type == IPSET_ATTR_TIMEOUT) {
      record->timeout = attribute.U32();
    } else if (attribute.type == IPSET_ATTR_IP) {
      ForEachAttribute(attribute.data, attribute.length, [&](const Attribute& address) {
        const bool v4 = address.type == IPSET_ATTR_IPADDR_IPV4 && address.length == 4;
        const bool v6 = address.type == IPSET_ATTR_IPADDR_IPV6 && address.length == 16;
        if (!v4 && !v6) return;
        record->family = v4 ? AF_INET : AF_INET6;
        memcpy(record->address, address.data, address.length);
      });
    }
  });
  return has_length && record->family != 0;
}

}  // namespace

int IpsetCreate(const std::string& name, uint32_t family, uint32_t max_entries) {
  alignas(nlmsghdr) uint8_t buffer[kMessageMax];
  // Without NLM_F_EXCL the kernel keeps a set that is the same in all of this.
  nlmsghdr* message = PutCommand(buffer, IPSET_CMD_CREATE, NLM_F_ACK | NLM_F_CREATE, 1, name);
  mnl_attr_put_strz(message, IPSET_ATTR_TYPENAME, "hash:net");
  mnl_attr_put_u8(message, IPSET_ATTR_REVISION, 0);
  mnl_attr_put_u8(message, IPSET_ATTR_FAMILY, static_cast<uint8_t>(family));
  nlattr* data = mnl_attr_nest_start(message, IPSET_ATTR_DATA);
  PutU32(message, IPSET_ATTR_TIMEOUT, 0);
  PutU32(message, IPSET_ATTR_MAXELEM, max_entries);
  mnl_attr_nest_end(message, data);
  return Request(message);
}

int IpsetCommand(uint32_t command, const std::string& name) {
  alignas(nlmsghdr) uint8_t buffer[kMessageMax];
  // Without NLM_F_EXCL, destroying a missing set is no error.
  return Request(PutCommand(buffer, command, NLM_F_ACK | NLM_F_EXCL, 1, name));
}

Answer<std::vector<uint32_t>> IpsetEntries(uint32_t command, const std::string& name,
                                           const std::vector<Record>& records) {
  Answer<std::vector<uint32_t>> refused{};
  const auto on_error = [&](uint32_t seq, int error) {
    refused.value.push_back(seq - 1);
    refused.value.push_back(static_cast<uint32_t>(error));
  };
  NetlinkSocket socket;
  refused.error = socket.Open();
  // NLM_F_EXCL makes the deletion of a missing entry an error; for an addition it would forbid replacing.
  const uint16_t flags = command == IPSET_CMD_ADD ? 0 : NLM_F_EXCL;
  const auto count = static_cast<uint32_t>(records.size());
  std::vector<uint8_t> buffer(kMessagesPerDatagram * kMessageMax);
  for (uint32_t start = 0, end; start < count && refused.error == 0; start = end) {
    end = std::min(count, start + kMessagesPerDatagram);
    size_t used = 0;
    for (uint32_t i = start; i < end; i++) {
      const uint16_t ack = i + 1 == end ? NLM_F_ACK : 0;
      nlmsghdr* message = PutCommand(&buffer[used], command, flags | ack, i + 1, name);
      PutRecord(message, records[i], command == IPSET_CMD_ADD);
      used += NLMSG_ALIGN(message->nlmsg_len);
    }
    refused.error = socket.Exchange(buffer.data(), used, end, nullptr, on_error);
  }
  return refused;
}

Answer<std::vector<Record>> IpsetList(const std::string& name) {
  Answer<std::vector<Record>> entries{};
  alignas(nlmsghdr) uint8_t buffer[kMessageMax];
  const nlmsghdr* message = PutCommand(buffer, IPSET_CMD_LIST, NLM_F_ACK | NLM_F_DUMP, 1, name);
  entries.error = Request(message, [&](const nlmsghdr* part) { ReadIpsetEntries(part, &entries.value); });
  return entries;
}

Answer<std::vector<IpsetHeader>> IpsetHeaders() {
  Answer<std::vector<IpsetHeader>> sets{};
  alignas(nlmsghdr) uint8_t buffer[kMessageMax];
  nlmsghdr* message = PutCommand(buffer, IPSET_CMD_LIST, NLM_F_ACK | NLM_F_DUMP, 1, "");
  PutU32(message, IPSET_ATTR_FLAGS, IPSET_FLAG_LIST_HEADER);
  sets.error = Request(message, [&](const nlmsghdr* part) { ReadIpsetHeader(part, &sets.value); });
  return sets;
}

void ReadIpsetEntries(const nlmsghdr* message, std::vector<Record>* entries) {
  ForEachAttribute(message, [&](const Attribute& list) {
    if (list.type != IPSET_ATTR_ADT) return;
    ForEachAttribute(list.data, list.length, [&](const Attribute& entry) {
      Record record{};
      if (entry.type == IPSET_ATTR_DATA && ReadEntry(entry, &record)) entries->push_back(record);
    });
  });
}

void ReadIpsetHeader(const nlmsghdr* message, std::vector<IpsetHeader>* sets) {
  IpsetHeader header{};
  ForEachAttribute(message, [&](const Attribute& attribute) {
    if (attribute.type == IPSET_ATTR_SETNAME) {
      const auto* text = reinterpret_cast<const char*>(attribute.data);
      header.name.assign(text, strnlen(text, attribute.length));
    } else if (attribute.type == IPSET_ATTR_DATA) {
      ForEachAttribute(attribute.data, attribute.length, [&](const Attribute& detail) {
        if (detail.type == IPSET_ATTR_ELEMENTS) header.entries = detail.U32();
      });
    }
  });
  if (!header.name.empty()) sets->push_back(header);
}
