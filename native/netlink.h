#pragma once

#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nfnetlink.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <functional>
#include <vector>

// An attribute that lies wholly inside its message.
struct Attribute {
  uint16_t type;
  const uint8_t* data;
  uint16_t length;

  // A big-endian number, as netfilter sends all of them; 0 if the attribute is too short to hold it.
  uint32_t U32() const {
    uint32_t value = 0;
    if (length >= sizeof value) memcpy(&value, data, sizeof value);
    return ntohl(value);
  }
  uint8_t U8() const { return length == 0 ? 0 : *data; }
};

// Calls `visit` with each attribute, until one claims more bytes than are left. Not by libmnl, whose calls
// cost the packet path more than what they do.
template <typename Visit>
void ForEachAttribute(const void* data, size_t length, Visit visit) {
  const auto* at = static_cast<const uint8_t*>(data);
  while (length >= sizeof(nlattr)) {
    nlattr attribute;
    memcpy(&attribute, at, sizeof attribute);
    if (attribute.nla_len < sizeof attribute || attribute.nla_len > length) return;
    visit(Attribute{static_cast<uint16_t>(attribute.nla_type & NLA_TYPE_MASK), at + sizeof attribute,
                    static_cast<uint16_t>(attribute.nla_len - sizeof attribute)});
    const size_t used = std::min<size_t>(NLA_ALIGN(attribute.nla_len), length);
    at += used;
    length -= used;
  }
}

// The same for the attributes behind a message's nfnetlink header; none if it is too short for one.
template <typename Visit>
void ForEachAttribute(const nlmsghdr* message, Visit visit) {
  const size_t headers = NLMSG_HDRLEN + sizeof(nfgenmsg);
  if (message->nlmsg_len < headers) return;
  ForEachAttribute(reinterpret_cast<const uint8_t*>(message) + headers, message->nlmsg_len - headers, visit);
}

// The errno in an NLMSG_ERROR or NLMSG_DONE, 0 for an acknowledgement; EPROTO if it is too short for one.
inline int ErrorIn(const nlmsghdr* message) {
  if (message->nlmsg_len < NLMSG_HDRLEN + sizeof(uint32_t)) return EPROTO;
  return static_cast<int>(0 - *static_cast<const uint32_t*>(mnl_nlmsg_get_payload(message)));
}

// Starts a netfilter message at `buffer`, which must have room for all that is put into it.
nlmsghdr* PutMessage(void* buffer, uint16_t subsystem, uint16_t command, uint16_t flags, uint32_t seq,
                     uint8_t family, uint16_t resource = 0);

// Sends to the kernel, again if it is short of memory or a signal came. Counts the repetitions in
// `retries` unless null. Returns an errno.
int SendToKernel(int fd, const void* data, size_t length, double* retries);

using OnMessage = std::function<void(const nlmsghdr*)>;
using OnError = std::function<void(uint32_t seq, int error)>;

// What a datagram of answers says about the request that ends with message `last_seq`.
struct Progress {
  bool complete;
  int error;  // if complete: 0 or an errno
};

// Reads a datagram from the kernel. Data messages go to `on_message`. With `on_error`, errors of single
// messages go there and are no error of the whole; without, that of the last message is.
Progress ReadAnswers(const void* data, size_t length, uint32_t last_seq, const OnMessage& on_message,
                     const OnError& on_error);

// A blocking socket for requests and their answers, for one exchange after another on one thread.
class NetlinkSocket {
 public:
  NetlinkSocket() = default;
  ~NetlinkSocket();
  NetlinkSocket(const NetlinkSocket&) = delete;
  NetlinkSocket& operator=(const NetlinkSocket&) = delete;

  // Returns an errno.
  int Open(int protocol = NETLINK_NETFILTER);

  // Sends one or more messages, of which the last, `last_seq`, asks for an acknowledgement or a dump, and
  // reads until that is answered, as ReadAnswers. Returns an errno.
  int Exchange(const void* request, size_t length, uint32_t last_seq, const OnMessage& on_message,
               const OnError& on_error);

  // One message, of which only the outcome matters.
  int Request(const nlmsghdr* message, const OnMessage& on_message = nullptr);

 private:
  int fd_ = -1;
  // The kernel fills at most 32 kB per datagram of a dump (netlink_dump).
  std::vector<uint8_t> buffer_ = std::vector<uint8_t>(1 << 16);
};
