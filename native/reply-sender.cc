#include "reply-sender.h"

#include <netinet/in.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <initializer_list>

namespace {

int OpenRaw(int family, uint32_t mark, int* fd) {
  // This protocol means that we write the IP header (raw(7)), and that nothing is ever received.
  *fd = socket(family, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_RAW);
  if (*fd < 0) return errno;
  return setsockopt(*fd, SOL_SOCKET, SO_MARK, &mark, sizeof mark) == 0 ? 0 : errno;
}

}  // namespace

int ReplySender::Open(uint32_t mark) {
  Close();
  int error = OpenRaw(AF_INET, mark, &v4_);
  if (error == 0) error = OpenRaw(AF_INET6, mark, &v6_);
  if (error == EAFNOSUPPORT && v4_ >= 0) return 0;
  if (error != 0) Close();
  return error;
}

void ReplySender::Close() {
  for (int* fd : {&v4_, &v6_}) {
    if (*fd >= 0) close(*fd);
    *fd = -1;
  }
}

void ReplySender::SendAnswers(Slab* slab, uint32_t count) {
  for (const uint32_t family : {AF_INET, AF_INET6}) {
    const int fd = family == AF_INET ? v4_ : v6_;
    uint32_t filled = 0;
    for (uint32_t i = 0; i < count; i++) {
      const uint32_t* words = slab->packets + i * kPacketWords;
      if (slab->verdicts[i] != kSlip || words[kFamily] != family) continue;
      const auto* packet = reinterpret_cast<const uint8_t*>(slab) + words[kOffset];
      const size_t length = fd < 0 ? 0 : WriteReply(packet, words[kLength], replies_[filled]);
      if (length == 0) {
        slab->counters[kRepliesUnmade]++;
        continue;
      }
      socklen_t target_bytes = sizeof(sockaddr_in);
      if (family == AF_INET) {
        auto* target = reinterpret_cast<sockaddr_in*>(&targets_[filled]);
        target->sin_family = AF_INET;
        memcpy(&target->sin_addr, replies_[filled] + 16, sizeof target->sin_addr);
      } else {
        auto* target = reinterpret_cast<sockaddr_in6*>(&targets_[filled]);
        *target = {};
        target->sin6_family = AF_INET6;
        memcpy(&target->sin6_addr, replies_[filled] + 24, sizeof target->sin6_addr);
        // A link-local address means something on its link only.
        if (IN6_IS_ADDR_LINKLOCAL(&target->sin6_addr)) target->sin6_scope_id = words[kInInterface];
        target_bytes = sizeof *target;
      }
      vectors_[filled] = {replies_[filled], length};
      msghdr& header = headers_[filled].msg_hdr;
      header = {};
      header.msg_name = &targets_[filled];
      header.msg_namelen = target_bytes;
      header.msg_iov = &vectors_[filled];
      header.msg_iovlen = 1;
      filled++;
    }
    Flush(fd, filled, slab->counters);
  }
}

// An answer that cannot be sent is lost, as any datagram may be: its query is asked again.
void ReplySender::Flush(int fd, uint32_t count, double* counters) {
  uint32_t done = 0;
  while (done < count) {
    const int sent = sendmmsg(fd, headers_ + done, count - done, MSG_DONTWAIT);
    if (sent > 0) {
      counters[kReplies] += sent;
      done += static_cast<uint32_t>(sent);
    } else if (sent < 0 && errno == EINTR) {
      continue;
    } else {
      // EPERM is what a DROP in OUTPUT looks like to whoever sends.
      counters[errno == EPERM ? kRepliesForbidden : kReplyErrors]++;
      done++;
    }
  }
}
