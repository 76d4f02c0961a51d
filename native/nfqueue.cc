#include "nfqueue.h"

#include <linux/netfilter.h>
#include <netinet/in.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <ctime>

#include "netlink.h"

namespace {

// Rounds of reception per wake-up, so that under a flood the thread still handles its messages.
constexpr int kRoundsPerWakeUp = 16;

// Rounds of reception until the answer to a request, behind packets of queues bound already.
constexpr int kRoundsPerAnswer = 4096;

// Bytes of a message: headers and at most five attributes of up to 12.
constexpr size_t kMessageMax = 96;

double NowMs() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<double>(now.tv_sec) * 1e3 + static_cast<double>(now.tv_nsec) / 1e6;
}

void PutCommand(nlmsghdr* message, uint8_t command) {
  const nfqnl_msg_config_cmd cmd = {command, 0, htons(AF_INET)};
  mnl_attr_put(message, NFQA_CFG_CMD, sizeof cmd, &cmd);
}

void PutLength(nlmsghdr* message, uint32_t length) {
  mnl_attr_put_u32(message, NFQA_CFG_QUEUE_MAXLEN, htonl(length));
}

void PutFlags(nlmsghdr* message, uint32_t flags) {
  mnl_attr_put_u32(message, NFQA_CFG_FLAGS, htonl(flags));
  mnl_attr_put_u32(message, NFQA_CFG_MASK, htonl(flags));
}

void PutVerdict(nlmsghdr* message, uint32_t verdict, uint32_t id) {
  const nfqnl_msg_verdict_hdr header = {htonl(verdict), htonl(id)};
  mnl_attr_put(message, NFQA_VERDICT_HDR, sizeof header, &header);
}

// 0 for what is no number: the kernel will refuse it, or it does no harm.
uint32_t NumberOf(const Napi::Value& value) {
  return value.IsNumber() ? value.As<Napi::Number>().Uint32Value() : 0;
}

}  // namespace

Napi::Function PacketQueue::Define(Napi::Env env) {
  return DefineClass(
      env, "PacketQueue",
      {InstanceAccessor<&PacketQueue::GetSlab>("slab"), InstanceMethod<&PacketQueue::Open>("open"),
       InstanceMethod<&PacketQueue::Bind>("bind"), InstanceMethod<&PacketQueue::OpenReplies>("openReplies"),
       InstanceMethod<&PacketQueue::Start>("start"), InstanceMethod<&PacketQueue::Close>("close")});
}

PacketQueue::PacketQueue(const Napi::CallbackInfo& info)
    : Napi::ObjectWrap<PacketQueue>(info), copy_bytes_(std::min(NumberOf(info[0]), 0xffffu)) {
  auto buffer = Napi::ArrayBuffer::New(info.Env(), SlabBytes(copy_bytes_));
  if (buffer.IsEmpty()) return;  // out of memory: the exception is pending
  slab_buffer_ = Napi::Persistent(buffer);
  slab_ = static_cast<Slab*>(buffer.Data());
  auto* slot = static_cast<uint8_t*>(buffer.Data()) + sizeof(Slab);
  for (uint32_t i = 0; i < kBatchMax; i++, slot += SlotBytes(copy_bytes_)) {
    vectors_[i] = {slot, SlotBytes(copy_bytes_)};
    headers_[i].msg_hdr.msg_iov = &vectors_[i];
    headers_[i].msg_hdr.msg_iovlen = 1;
  }
}

PacketQueue::~PacketQueue() { Shutdown(); }

Napi::Value PacketQueue::GetSlab(const Napi::CallbackInfo&) { return slab_buffer_.Value(); }

Napi::Value PacketQueue::Open(const Napi::CallbackInfo& info) {
  const int error = fd_ >= 0 ? EALREADY : OpenSocket(NumberOf(info[0]));
  return Napi::Number::New(info.Env(), error);
}

int PacketQueue::OpenSocket(uint32_t buffer_bytes) {
  fd_ = socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, NETLINK_NETFILTER);
  if (fd_ < 0) return errno;
  // To the kernel alone, whose port id is 0: any process with CAP_NET_ADMIN could write to the socket.
  sockaddr_nl kernel{};
  kernel.nl_family = AF_NETLINK;
  if (connect(fd_, reinterpret_cast<const sockaddr*>(&kernel), sizeof kernel) != 0) return errno;
  const int on = 1;
  // Lost messages are in the kernel's counters; reporting them too would cost a wake-up each.
  setsockopt(fd_, SOL_NETLINK, NETLINK_NO_ENOBUFS, &on, sizeof on);
  setsockopt(fd_, SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof on);
  // Beyond the system's limit only the first user namespace's administrator may go.
  if (setsockopt(fd_, SOL_SOCKET, SO_RCVBUFFORCE, &buffer_bytes, sizeof buffer_bytes) != 0) {
    setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &buffer_bytes, sizeof buffer_bytes);
  }
  // Ignored since Linux 3.8, but who may not configure, or finds no NFQUEUE in the kernel, hears of it.
  Reserve(1);
  nlmsghdr* probe = Put(NFQNL_MSG_CONFIG, 0);
  PutCommand(probe, NFQNL_CFG_CMD_PF_BIND);
  return Configure(probe);
}

Napi::Value PacketQueue::Bind(const Napi::CallbackInfo& info) {
  const auto number = static_cast<uint16_t>(NumberOf(info[0]));
  const bool fail_open = info[2].ToBoolean();
  queues_.push_back({number, 0, false});
  Reserve(std::max<size_t>(kBatchMax + 2 * queues_.size(), 4 * queues_.size()));
  // All in one message: a queue that is bound but has no copy mode yet drops its packets.
  nlmsghdr* message = Put(NFQNL_MSG_CONFIG, number);
  PutCommand(message, NFQNL_CFG_CMD_BIND);
  const nfqnl_msg_config_params params = {htonl(copy_bytes_), NFQNL_COPY_PACKET};
  mnl_attr_put(message, NFQA_CFG_PARAMS, sizeof params, &params);
  // GSO: take a large packet as one, without a checksum, rather than have it cut up for our eyes.
  PutFlags(message, NFQA_CFG_F_GSO | (fail_open ? NFQA_CFG_F_FAIL_OPEN : 0));
  PutLength(message, NumberOf(info[1]));
  const int error = Configure(message);
  if (error != 0) queues_.pop_back();
  return Napi::Number::New(info.Env(), error);
}

// Sends a request and waits for its answer. Packets that arrive meanwhile are accepted: nobody could
// judge them yet.
int PacketQueue::Configure(nlmsghdr* request) {
  Batch batch{slab_};
  batch.awaited_seq = ++seq_;
  request->nlmsg_seq = seq_;
  request->nlmsg_flags |= NLM_F_ACK;
  const int error = Send();
  if (error != 0) return error;
  for (int round = 0; round < kRoundsPerAnswer && !batch.answered; round++) {
    const int received = ReceiveDatagrams();
    if (received == 0) return ENOBUFS;  // the kernel answers at once, or had no memory to
    for (int i = 0; i < received; i++) {
      Datagram datagram = DatagramIn(i);
      while (datagram.left > 0) {
        ReadDatagram(&batch, &datagram);
        std::fill_n(slab_->verdicts, batch.count, NF_ACCEPT);
        SendVerdicts(batch.count);
        batch.count = 0;
      }
    }
  }
  return batch.answered ? batch.answer : ENOBUFS;
}

Napi::Value PacketQueue::OpenReplies(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), replies_.Open(NumberOf(info[0])));
}

Napi::Value PacketQueue::Start(const Napi::CallbackInfo& info) {
  if (!info[0].IsFunction() || poller_ != nullptr) return Napi::Number::New(info.Env(), EINVAL);
  on_batch_ = Napi::Persistent(info[0].As<Napi::Function>());
  int error = 0;
  poller_ = Poller::Start(
      Env(), fd_, [this] { Receive(); }, [this] { Shutdown(); }, &error);
  if (poller_ != nullptr) Ref();
  return Napi::Number::New(info.Env(), error);
}

void PacketQueue::Receive() {
  Napi::HandleScope scope(Env());
  failed_ = false;
  for (int round = 0; round < kRoundsPerWakeUp; round++) {
    const int received = ReceiveDatagrams();
    slab_->now_ms = NowMs();
    Batch batch{slab_};
    for (int i = 0; i < received && !closing_; i++) {
      Datagram datagram = DatagramIn(i);
      while (datagram.left > 0 && !closing_) {
        ReadDatagram(&batch, &datagram);
        if (batch.count == kBatchMax) Deliver(&batch);
      }
    }
    if (batch.count > 0) Deliver(&batch);
    if (closing_) return Shutdown();
    if (failed_ || (received >= 0 && received < static_cast<int>(kBatchMax))) return;
  }
}

// Returns how many datagrams are in the slots; 0 if none waits, -1 after an error worth another try.
int PacketQueue::ReceiveDatagrams() {
  const int received = recvmmsg(fd_, headers_, kBatchMax, MSG_DONTWAIT, nullptr);
  if (received >= 0) return received;
  if (errno == EAGAIN) return 0;
  counters()[errno == ENOBUFS ? kEnobufs : errno == EINTR ? kInterrupted : kReceiveErrors]++;
  return -1;
}

Datagram PacketQueue::DatagramIn(int slot) {
  return {static_cast<uint8_t*>(vectors_[slot].iov_base), headers_[slot].msg_len};
}

// One call into JavaScript, then the verdicts, whatever it did, and only then its exception.
void PacketQueue::Deliver(Batch* batch) {
  const napi_env env = Env();
  counters()[kBatches]++;
  counters()[kPackets] += batch->count;
  std::fill_n(slab_->verdicts, batch->count, NF_ACCEPT);
  napi_value count = nullptr, exception = nullptr;
  napi_create_uint32(env, batch->count, &count);
  delivering_ = true;
  const napi_status status = napi_make_callback(env, nullptr, Value(), on_batch_.Value(), 1, &count, nullptr);
  delivering_ = false;
  // Without an exception, a failure means that the thread is ending.
  if (status == napi_pending_exception) napi_get_and_clear_last_exception(env, &exception);
  SendVerdicts(batch->count);
  if (std::find(slab_->verdicts, slab_->verdicts + batch->count, kSlip) != slab_->verdicts + batch->count)
    replies_.SendAnswers(slab_, batch->count);
  slab_->previous_us = (NowMs() - slab_->now_ms) * 1e3;
  batch->count = 0;
  failed_ = status != napi_ok;
  if (exception == nullptr) return;
  counters()[kCallbackErrors]++;
  napi_fatal_exception(env, exception);
}

// All verdicts of a batch in one datagram, which the kernel works off in this order.
void PacketQueue::SendVerdicts(uint32_t count) {
  for (auto& queue : queues_) PutVerdicts(&queue, count);
  if (Send() == 0) return;
  for (auto& queue : queues_) queue.owed = true;
  counters()[kVerdictsLost]++;
}

// The rarer verdict packet by packet, then the other for all that is left up to the last: packets of
// either verdict go on in the order in which they came.
void PacketQueue::PutVerdicts(BoundQueue* queue, uint32_t count) {
  const auto word = [&](uint32_t i, PacketWord word) { return slab_->packets[i * kPacketWords + word]; };
  const auto is_ours = [&](uint32_t i) { return word(i, kQueue) == queue->number; };
  const auto is_accepted = [&](uint32_t i) {
    return slab_->verdicts[i] != NF_DROP && slab_->verdicts[i] != kSlip;
  };

  uint32_t total = 0, accepted = 0, last_id = 0;
  for (uint32_t i = 0; i < count; i++) {
    if (!is_ours(i)) continue;
    total++;
    accepted += is_accepted(i);
    last_id = word(i, kId);
  }
  if (total == 0) return;
  if (queue->owed) PutVerdict(Put(NFQNL_MSG_VERDICT_BATCH, queue->number), NF_ACCEPT, queue->last_id);
  queue->owed = false;
  queue->last_id = last_id;
  const bool most_accepted = accepted * 2 >= total;
  for (uint32_t i = 0; i < count; i++) {
    if (!is_ours(i) || is_accepted(i) == most_accepted) continue;
    PutVerdict(Put(NFQNL_MSG_VERDICT, queue->number), most_accepted ? NF_DROP : NF_ACCEPT, word(i, kId));
  }
  PutVerdict(Put(NFQNL_MSG_VERDICT_BATCH, queue->number), most_accepted ? NF_ACCEPT : NF_DROP, last_id);
}

// In one datagram: the kernel lets new packets pass (fail-open, then a length of 0: in one message it would
// set the length first, and drop), then the waiting ones, then the queue goes. Unbinding alone drops what
// waits and what comes meanwhile.
void PacketQueue::AcceptAllAndUnbind() {
  for (const auto& queue : queues_) {
    PutFlags(Put(NFQNL_MSG_CONFIG, queue.number), NFQA_CFG_F_FAIL_OPEN);
    PutLength(Put(NFQNL_MSG_CONFIG, queue.number), 0);
    // Ids wrap and the kernel compares by signed difference: far ahead, with room for those behind.
    PutVerdict(Put(NFQNL_MSG_VERDICT_BATCH, queue.number), NF_ACCEPT, queue.last_id + 0x3fffffff);
    PutCommand(Put(NFQNL_MSG_CONFIG, queue.number), NFQNL_CFG_CMD_UNBIND);
  }
  Send();
}

// Room for so many messages in a datagram.
void PacketQueue::Reserve(size_t messages) { outbox_.resize(messages * kMessageMax); }

// The next message of the datagram that `Send` sends; its attributes are put before the message after it.
nlmsghdr* PacketQueue::Put(uint16_t command, uint16_t queue) {
  void* at = last_ == nullptr ? outbox_.data() : mnl_nlmsg_get_payload_tail(last_);
  last_ = PutMessage(at, NFNL_SUBSYS_QUEUE, command, 0, 0, AF_UNSPEC, queue);
  return last_;
}

int PacketQueue::Send() {
  if (last_ == nullptr) return 0;
  const auto* end = static_cast<const uint8_t*>(mnl_nlmsg_get_payload_tail(last_));
  last_ = nullptr;
  return SendToKernel(fd_, outbox_.data(), static_cast<size_t>(end - outbox_.data()),
                      &counters()[kVerdictRetries]);
}

void PacketQueue::Close(const Napi::CallbackInfo&) {
  if (delivering_) {
    closing_ = true;
  } else {
    Shutdown();
  }
}

void PacketQueue::Shutdown() {
  if (fd_ < 0) return;
  AcceptAllAndUnbind();
  if (poller_ != nullptr) {
    poller_->Stop();
    poller_ = nullptr;
    Unref();
  }
  replies_.Close();
  close(fd_);
  fd_ = -1;
}
