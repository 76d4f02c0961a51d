/*
 * LD_PRELOAD: system calls on netlink sockets fail, or the kernel's messages arrive damaged, as the
 * environment variable FAULT says: <what>:<times>. `what` is one of the strings below.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netfilter/ipset/ip_set.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <linux/netfilter/nfnetlink_queue.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int fires(const char* what) {
  static int used;
  const char* fault = getenv("FAULT");
  size_t length = strlen(what);
  if (fault == NULL || strncmp(fault, what, length) != 0 || fault[length] != ':') return 0;
  if (used >= atoi(fault + length + 1)) return 0;
  used++;
  return 1;
}

static int is_netlink(int fd) {
  int domain = 0;
  socklen_t length = sizeof domain;
  return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &length) == 0 && domain == AF_NETLINK;
}

static int fail(int error) {
  errno = error;
  return -1;
}

static int type_of(const void* message, int subsystem) {
  int type = ((const struct nlmsghdr*)message)->nlmsg_type;
  return type >> 8 == subsystem ? type & 0xff : -1;
}

/* Sockets that are told of events; the others are asked, or have packets. */
#define FDS_MAX 1024
static char tells_events[FDS_MAX];

int socket(int domain, int type, int protocol) {
  int (*real)(int, int, int) = dlsym(RTLD_NEXT, "socket");
  if (domain == AF_NETLINK && fires("socket-eprotonosupport")) return fail(EPROTONOSUPPORT);
  int fd = real(domain, type, protocol);
  if (fd >= 0 && fd < FDS_MAX) tells_events[fd] = 0;
  return fd;
}

int setsockopt(int fd, int level, int option, const void* value, socklen_t length) {
  int (*real)(int, int, int, const void*, socklen_t) = dlsym(RTLD_NEXT, "setsockopt");
  if (level == SOL_NETLINK && option == NETLINK_ADD_MEMBERSHIP && fd < FDS_MAX) tells_events[fd] = 1;
  if (level == SOL_NETLINK && option == NETLINK_NO_ENOBUFS && fires("without-no-enobufs")) return 0;
  if (level == SOL_SOCKET && option == SO_RCVBUFFORCE && fires("rcvbufforce-eperm")) return fail(EPERM);
  return real(fd, level, option, value, length);
}

/* Puts the datagrams one behind the other into the first, as if the kernel had sent several messages in it.
 */
static int merge(struct mmsghdr* slots, int count) {
  struct iovec* first = slots[0].msg_hdr.msg_iov;
  for (int i = 1; i < count; i++) {
    memcpy((char*)first->iov_base + slots[0].msg_len, slots[i].msg_hdr.msg_iov->iov_base, slots[i].msg_len);
    slots[0].msg_len += NLMSG_ALIGN(slots[i].msg_len);
  }
  return 1;
}

int recvmmsg(int fd, struct mmsghdr* slots, unsigned int count, int flags, struct timespec* timeout) {
  int (*real)(int, struct mmsghdr*, unsigned int, int, struct timespec*) = dlsym(RTLD_NEXT, "recvmmsg");
  if (!is_netlink(fd)) return real(fd, slots, count, flags, timeout);
  int is_told = fd < FDS_MAX && tells_events[fd];
  if (fires(is_told ? "event-eintr" : "recv-eintr")) return fail(EINTR);
  if (fires(is_told ? "event-enobufs" : "recv-enobufs")) return fail(ENOBUFS);
  if (fires(is_told ? "event-eio" : "recv-eio")) return fail(EIO);
  if (fires(is_told ? "event-eagain" : "recv-eagain")) return fail(EAGAIN);
  int received = real(fd, slots, count, flags, timeout);
  struct nlmsghdr* first = slots[0].msg_hdr.msg_iov->iov_base;
  if (received > 0 && type_of(first, NFNL_SUBSYS_CTNETLINK) >= 0) {
    if (fires("event-short")) slots[0].msg_len = first->nlmsg_len = 60;
    if (fires("event-stub")) slots[0].msg_len = 8;
    if (fires("event-zero-length")) first->nlmsg_len = 0;
    if (fires("event-too-long")) first->nlmsg_len = 0xffffffff;
    if (fires("event-unknown-type")) first->nlmsg_type = 0x7fff;
    if (fires("event-truncated")) slots[0].msg_hdr.msg_flags |= MSG_TRUNC;
    if (fires("event-foreign")) ((struct sockaddr_nl*)slots[0].msg_hdr.msg_name)->nl_pid = 4711;
  }
  if (received <= 0 || type_of(first, NFNL_SUBSYS_QUEUE) != NFQNL_MSG_PACKET) return received;
  if (fires("recv-short")) slots[0].msg_len = 60;
  if (fires("recv-no-id")) slots[0].msg_len = 24;
  if (fires("recv-stub")) slots[0].msg_len = 8;
  if (fires("recv-zero-length")) first->nlmsg_len = 0;
  if (fires("recv-unknown-type")) first->nlmsg_type = 0x7fff;
  if (fires("recv-short-error")) {
    first->nlmsg_type = NLMSG_ERROR;
    first->nlmsg_len = slots[0].msg_len = NLMSG_HDRLEN + 2;
  }
  if (fires("recv-merged")) return merge(slots, received);
  if (received == (int)count && fires("recv-merged-twice")) {
    /* More messages than a batch holds, in the largest slot: 64 and what comes next. */
    merge(slots, received);
    int more = real(fd, slots + 1, count - 1, flags, timeout);
    if (more > 0) merge(slots, more + 1);
    return 1;
  }
  return received;
}

ssize_t recvmsg(int fd, struct msghdr* message, int flags) {
  ssize_t (*real)(int, struct msghdr*, int) = dlsym(RTLD_NEXT, "recvmsg");
  if (!is_netlink(fd)) return real(fd, message, flags);
  if (fires("answer-eintr")) return fail(EINTR);
  if (fires("answer-enobufs")) return fail(ENOBUFS);
  ssize_t received = real(fd, message, flags);
  if (received > 0 && fires("answer-cut")) return received - 6;
  if (received > 0 && fires("answer-foreign")) ((struct sockaddr_nl*)message->msg_name)->nl_pid = 4711;
  if (received > 0 && fires("answer-truncated")) message->msg_flags |= MSG_TRUNC;
  return received;
}

ssize_t sendto(int fd, const void* data, size_t length, int flags, const struct sockaddr* to,
               socklen_t size) {
  ssize_t (*real)(int, const void*, size_t, int, const struct sockaddr*, socklen_t) =
      dlsym(RTLD_NEXT, "sendto");
  if (!is_netlink(fd)) return real(fd, data, length, flags, to, size);
  struct nlmsghdr* message = (struct nlmsghdr*)data;
  int command = type_of(message, NFNL_SUBSYS_QUEUE);
  if (type_of(message, NFNL_SUBSYS_IPSET) == IPSET_CMD_ADD &&
      memmem(data, length, "sluice-ban-", 11) != NULL && fires("ban-eio")) {
    return fail(EIO);
  }
  /* A subsystem that no kernel has. */
  if (command == NFQNL_MSG_CONFIG && fires("no-nfqueue")) message->nlmsg_type = 126 << 8;
  if (type_of(message, NFNL_SUBSYS_CTNETLINK) == IPCTNL_MSG_CT_GET && fires("no-conntrack")) {
    message->nlmsg_type = 126 << 8;
  }
  /* Not one for all flows. */
  if (type_of(message, NFNL_SUBSYS_CTNETLINK) == IPCTNL_MSG_CT_GET &&
      (message->nlmsg_flags & NLM_F_DUMP) != NLM_F_DUMP && fires("no-conntrack-flow")) {
    message->nlmsg_type = 126 << 8;
  }
  /* A protocol whose sockets no kernel tells of. */
  if (message->nlmsg_type == SOCK_DIAG_BY_FAMILY && fires("no-tcp-diag")) {
    ((struct inet_diag_req_v2*)NLMSG_DATA(message))->sdiag_protocol = 254;
  }
  if (command == NFQNL_MSG_CONFIG && fires("slow-config")) {
    ssize_t sent = real(fd, data, length, flags, to, size);
    usleep(100000);
    return sent;
  }
  if (command != NFQNL_MSG_VERDICT && command != NFQNL_MSG_VERDICT_BATCH) {
    return real(fd, data, length, flags, to, size);
  }
  if (fires("send-eintr")) return fail(EINTR);
  if (fires("send-eagain")) return fail(EAGAIN);
  if (fires("send-enobufs")) return fail(ENOBUFS);
  if (fires("send-eio")) return fail(EIO);
  /* The id of a packet that the kernel gave out long ago. */
  if (fires("verdict-old-id")) memset((char*)data + 28, 0, 4);
  return real(fd, data, length, flags, to, size);
}
