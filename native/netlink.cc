#include "netlink.h"

#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>

namespace {

constexpr int kSendAttempts = 16;

// A kernel's answer comes within the send call, a dump's next part at once: this long is never needed.
constexpr timeval kPatience = {5, 0};

// The errors of a datagram's messages must all fit before the first is read (about 1 kB each).
constexpr int kReceiveBuffer = 1 << 20;

}  // namespace

nlmsghdr* PutMessage(void* buffer, uint16_t subsystem, uint16_t command, uint16_t flags, uint32_t seq,
                     uint8_t family, uint16_t resource) {
  nlmsghdr* message = mnl_nlmsg_put_header(buffer);
  message->nlmsg_type = static_cast<uint16_t>(subsystem << 8 | command);
  message->nlmsg_flags = NLM_F_REQUEST | flags;
  message->nlmsg_seq = seq;
  auto* header = static_cast<nfgenmsg*>(mnl_nlmsg_put_extra_header(message, sizeof(nfgenmsg)));
  header->nfgen_family = family;
  header->version = NFNETLINK_V0;
  header->res_id = htons(resource);
  return message;
}

int SendToKernel(int fd, const void* data, size_t length, double* retries) {
  sockaddr_nl kernel{};
  kernel.nl_family = AF_NETLINK;
  for (int attempt = 1;; attempt++) {
    const auto* address = reinterpret_cast<const sockaddr*>(&kernel);
    if (sendto(fd, data, length, 0, address, sizeof kernel) >= 0) return 0;
    const bool passing = errno == EINTR || errno == EAGAIN || errno == ENOBUFS || errno == ENOMEM;
    if (!passing || attempt == kSendAttempts) return errno;
    if (retries != nullptr) ++*retries;
  }
}

Progress ReadAnswers(const void* data, size_t length, uint32_t last_seq, const OnMessage& on_message,
                     const OnError& on_error) {
  const auto* at = static_cast<const uint8_t*>(data);
  for (size_t left = length, used; left > 0; at += used, left -= used) {
    const auto* message = reinterpret_cast<const nlmsghdr*>(at);
    // Not mnl_nlmsg_ok(): before libmnl 1.0.5 it takes a length above INT_MAX for a small one.
    if (left < NLMSG_HDRLEN || message->nlmsg_len < NLMSG_HDRLEN || message->nlmsg_len > left)
      return {true, EPROTO};
    used = std::min<size_t>(NLMSG_ALIGN(message->nlmsg_len), left);
    if (message->nlmsg_type >= NLMSG_MIN_TYPE) {
      if (on_message) on_message(message);
      continue;
    }
    if (message->nlmsg_type != NLMSG_ERROR && message->nlmsg_type != NLMSG_DONE) continue;
    const int error = ErrorIn(message);
    if (message->nlmsg_type == NLMSG_DONE) return {true, error};
    // Without the capability the kernel answers the first message of a datagram and reads no other.
    if (error == EPERM || (message->nlmsg_seq == last_seq && !on_error)) return {true, error};
    if (error != 0 && on_error) on_error(message->nlmsg_seq, error);
    if (message->nlmsg_seq == last_seq) return {true, 0};
  }
  return {false, 0};
}

NetlinkSocket::~NetlinkSocket() {
  if (fd_ >= 0) close(fd_);
}

int NetlinkSocket::Open(int protocol) {
  fd_ = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol);
  if (fd_ < 0) return errno;
  const int on = 1;
  setsockopt(fd_, SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof on);
  setsockopt(fd_, SOL_SOCKET, SO_RCVBUFFORCE, &kReceiveBuffer, sizeof kReceiveBuffer);
  setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &kPatience, sizeof kPatience);
  return 0;
}

int NetlinkSocket::Exchange(const void* request, size_t length, uint32_t last_seq,
                            const OnMessage& on_message, const OnError& on_error) {
  const int error = SendToKernel(fd_, request, length, nullptr);
  if (error != 0) return error;
  for (;;) {
    sockaddr_nl from{};
    iovec vector = {buffer_.data(), buffer_.size()};
    msghdr header{};
    header.msg_name = &from;
    header.msg_namelen = sizeof from;
    header.msg_iov = &vector;
    header.msg_iovlen = 1;
    const ssize_t received = recvmsg(fd_, &header, 0);
    if (received < 0 && errno == EINTR) continue;
    if (received < 0) return errno == EAGAIN ? ETIMEDOUT : errno;
    if (from.nl_pid != 0) continue;  // any privileged process can write to the socket
    if (header.msg_flags & MSG_TRUNC) return EMSGSIZE;
    const auto progress =
        ReadAnswers(buffer_.data(), static_cast<size_t>(received), last_seq, on_message, on_error);
    if (progress.complete) return progress.error;
  }
}

int NetlinkSocket::Request(const nlmsghdr* message, const OnMessage& on_message) {
  return Exchange(message, message->nlmsg_len, message->nlmsg_seq, on_message, nullptr);
}
