#include "packet.h"

#include <linux/netfilter/nfnetlink_queue.h>

#include <algorithm>

#include "netlink.h"

namespace {

uint32_t UnixMs(const Attribute& attribute) {
  nfqnl_msg_packet_timestamp time{};
  if (attribute.length < sizeof time) return 0;
  memcpy(&time, attribute.data, sizeof time);
  return static_cast<uint32_t>(be64toh(time.sec) * 1000 + be64toh(time.usec) / 1000);
}

// Fills a descriptor; false without the packet's id, which no verdict can do without.
bool ReadPacket(const Slab* slab, const nlmsghdr* message, uint32_t* words) {
  std::fill_n(words, kPacketWords, 0);
  bool has_id = false;
  ForEachAttribute(message, [&](const Attribute& attribute) {
    switch (attribute.type) {
      case NFQA_PACKET_HDR: {
        nfqnl_msg_packet_hdr header;
        if (attribute.length < sizeof header) break;
        memcpy(&header, attribute.data, sizeof header);
        words[kId] = ntohl(header.packet_id);
        words[kHook] = header.hook;
        has_id = true;
        break;
      }
      case NFQA_PAYLOAD:
        words[kOffset] = static_cast<uint32_t>(attribute.data - reinterpret_cast<const uint8_t*>(slab));
        words[kLength] = attribute.length;
        break;
      case NFQA_CAP_LEN:
        words[kFullLength] = attribute.U32();
        break;
      case NFQA_IFINDEX_INDEV:
        words[kInInterface] = attribute.U32();
        break;
      case NFQA_IFINDEX_OUTDEV:
        words[kOutInterface] = attribute.U32();
        break;
      case NFQA_MARK:
        words[kMark] = attribute.U32();
        break;
      case NFQA_TIMESTAMP:
        words[kTimestamp] = UnixMs(attribute);
        break;
    }
  });
  if (!has_id) return false;
  const auto* header = static_cast<const nfgenmsg*>(mnl_nlmsg_get_payload(message));
  words[kQueue] = ntohs(header->res_id);
  words[kFamily] = header->nfgen_family;
  // The kernel sends NFQA_CAP_LEN only with a packet that it cut.
  words[kFullLength] = std::max(words[kFullLength], words[kLength]);
  return true;
}

void ReadError(Batch* batch, const nlmsghdr* message) {
  const int error = ErrorIn(message);
  if (batch->awaited_seq != 0 && message->nlmsg_seq == batch->awaited_seq) {
    batch->answered = true;
    batch->answer = error;
  } else if (error != 0) {
    batch->slab->counters[kVerdictErrors]++;
  }
}

}  // namespace

void ReadDatagram(Batch* batch, Datagram* datagram) {
  double* counters = batch->slab->counters;
  while (datagram->left > 0 && batch->count < kBatchMax) {
    auto* message = reinterpret_cast<nlmsghdr*>(datagram->at);
    if (datagram->left < sizeof *message || message->nlmsg_len < sizeof *message) {
      counters[kMalformed]++;
      datagram->left = 0;
      return;
    }
    if (message->nlmsg_len > datagram->left) {
      counters[kTruncated]++;
      message->nlmsg_len = static_cast<uint32_t>(datagram->left);
    }
    if (message->nlmsg_type == (NFNL_SUBSYS_QUEUE << 8 | NFQNL_MSG_PACKET)) {
      if (ReadPacket(batch->slab, message, batch->slab->packets + batch->count * kPacketWords)) {
        batch->count++;
      } else {
        counters[kMalformed]++;
      }
    } else if (message->nlmsg_type == NLMSG_ERROR) {
      ReadError(batch, message);
    } else {
      counters[kMalformed]++;
    }
    const size_t used = std::min<size_t>(NLMSG_ALIGN(message->nlmsg_len), datagram->left);
    datagram->at += used;
    datagram->left -= used;
  }
}
