/* The limit that sluice is measured against: receive, answer, and decide nothing, as fast as C can.
 * Usage: loop QUEUE LENGTH batch|single accept|drop|mixed paced|free
 *   batch: recvmmsg of up to 64 packets, all verdicts in one datagram. single: one recv, one verdict.
 *   mixed: drops every other packet.
 *   paced: for each number on standard input answers so many packets, then prints the nanoseconds from the
 *   first to the last and those of CPU in user mode; meanwhile packets wait. free: answers until killed.
 * A loop that accepts all needs only the last id of a batch, so it reads no other. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_queue.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* As in the addon: 256 bytes of each packet, and room for the kernel's attributes. */
enum { BATCH = 64, COPY = 256, SLOT = 576 };

struct verdict_message {
  struct nlmsghdr header;
  struct nfgenmsg nfgen;
  struct nlattr attribute;
  struct nfqnl_msg_verdict_hdr verdict;
};

static char slots[BATCH][SLOT] __attribute__((aligned(64)));
static struct iovec vectors[BATCH];
static struct mmsghdr messages[BATCH];
static struct verdict_message verdicts[BATCH + 1];
static int fd, queue, batch_max, is_mixed, common;

static uint32_t packet_id(int slot) {
  const struct nlattr *attribute;
  mnl_attr_for_each(attribute, (struct nlmsghdr *)slots[slot], sizeof(struct nfgenmsg)) {
    if (mnl_attr_get_type(attribute) != NFQA_PACKET_HDR) continue;
    return ntohl(((struct nfqnl_msg_packet_hdr *)mnl_attr_get_payload(attribute))->packet_id);
  }
  return 0;
}

static void put(struct verdict_message *out, int type, int verdict, uint32_t id) {
  *out = (struct verdict_message){
      {sizeof *out, (uint16_t)(NFNL_SUBSYS_QUEUE << 8 | type), NLM_F_REQUEST, 0, 0},
      {AF_UNSPEC, NFNETLINK_V0, htons((uint16_t)queue)},
      {sizeof(struct nlattr) + sizeof(struct nfqnl_msg_verdict_hdr), NFQA_VERDICT_HDR},
      {htonl((uint32_t)verdict), htonl(id)}};
}

static int receive(void) {
  if (batch_max > 1) return recvmmsg(fd, messages, (unsigned)batch_max, MSG_WAITFORONE, NULL);
  return recv(fd, slots[0], SLOT, 0) < 0 ? -1 : 1;
}

/* The dropped ones by themselves, then the others up to the last; one datagram. */
static int answer(void) {
  int count = receive();
  if (count < 0) return perror("receive"), exit(1), 0;
  int used = 0;
  if (is_mixed && batch_max == 1) {
    uint32_t id = packet_id(0);
    put(&verdicts[used++], NFQNL_MSG_VERDICT, id & 1 ? NF_DROP : NF_ACCEPT, id);
  } else {
    for (int i = 0; is_mixed && i < count; i += 2) put(&verdicts[used++], NFQNL_MSG_VERDICT, NF_DROP, packet_id(i));
    put(&verdicts[used++], batch_max > 1 ? NFQNL_MSG_VERDICT_BATCH : NFQNL_MSG_VERDICT, common, packet_id(count - 1));
  }
  if (send(fd, verdicts, (size_t)used * sizeof *verdicts, 0) < 0) return perror("send"), exit(1), 0;
  return count;
}

static void open_queue(uint32_t length) {
  struct mnl_socket *socket = mnl_socket_open(NETLINK_NETFILTER);
  if (socket == NULL || mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) < 0) perror("netlink"), exit(1);
  fd = mnl_socket_get_fd(socket);
  /* The kernel charges about 2 kB for a queued packet and doubles this number. */
  int bytes = (int)length * 1280, on = 1;
  setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes);
  setsockopt(fd, SOL_NETLINK, NETLINK_NO_ENOBUFS, &on, sizeof on);

  char buffer[256];
  struct nlmsghdr *header = mnl_nlmsg_put_header(buffer);
  header->nlmsg_type = NFNL_SUBSYS_QUEUE << 8 | NFQNL_MSG_CONFIG;
  header->nlmsg_flags = NLM_F_REQUEST;
  struct nfgenmsg *general = mnl_nlmsg_put_extra_header(header, sizeof *general);
  general->res_id = htons((uint16_t)queue);
  struct nfqnl_msg_config_cmd bind = {.command = NFQNL_CFG_CMD_BIND};
  mnl_attr_put(header, NFQA_CFG_CMD, sizeof bind, &bind);
  struct nfqnl_msg_config_params params = {htonl(COPY), NFQNL_COPY_PACKET};
  mnl_attr_put(header, NFQA_CFG_PARAMS, sizeof params, &params);
  mnl_attr_put_u32(header, NFQA_CFG_FLAGS, htonl(NFQA_CFG_F_GSO | NFQA_CFG_F_FAIL_OPEN));
  mnl_attr_put_u32(header, NFQA_CFG_MASK, htonl(NFQA_CFG_F_GSO | NFQA_CFG_F_FAIL_OPEN));
  mnl_attr_put_u32(header, NFQA_CFG_QUEUE_MAXLEN, htonl(length));
  if (mnl_socket_sendto(socket, header, header->nlmsg_len) < 0) perror("bind"), exit(1);
}

static long nanoseconds(struct timespec t) { return t.tv_sec * 1000000000L + t.tv_nsec; }

static long user_nanoseconds(void) {
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_utime.tv_sec * 1000000000L + usage.ru_utime.tv_usec * 1000L;
}

static void drain(long wanted) {
  struct timespec start, end;
  long user = user_nanoseconds();
  clock_gettime(CLOCK_MONOTONIC, &start);
  for (long drained = 0; drained < wanted;) drained += answer();
  clock_gettime(CLOCK_MONOTONIC, &end);
  printf("%ld %ld\n", nanoseconds(end) - nanoseconds(start), user_nanoseconds() - user);
}

int main(int argc, char **argv) {
  if (argc != 6) return 64;
  queue = atoi(argv[1]);
  batch_max = strcmp(argv[3], "batch") == 0 ? BATCH : 1;
  is_mixed = strcmp(argv[4], "mixed") == 0;
  common = strcmp(argv[4], "drop") == 0 ? NF_DROP : NF_ACCEPT;
  for (int i = 0; i < BATCH; i++) {
    vectors[i] = (struct iovec){slots[i], SLOT};
    messages[i].msg_hdr = (struct msghdr){.msg_iov = &vectors[i], .msg_iovlen = 1};
  }
  open_queue((uint32_t)atol(argv[2]));
  setvbuf(stdout, NULL, _IOLBF, 0);
  printf("ready\n");
  if (strcmp(argv[5], "free") == 0) {
    /* As native/hasten.cc: struct sched_attr with nice -10 and turns of 0.1 ms. */
    struct { uint32_t size, policy; uint64_t flags; int32_t nice; uint32_t priority; uint64_t runtime, deadline, period; }
        scheduling = {.size = sizeof scheduling, .nice = -10, .runtime = 100000};
    if (syscall(SYS_sched_setattr, 0, &scheduling, 0) < 0) return perror("sched_setattr"), 1;
    for (;;) answer();
  }
  long wanted;
  while (scanf("%ld", &wanted) == 1) drain(wanted);
  return 0;
}
