#include "nfqueue.h"

#include <linux/netfilter.h>
#include <netinet/in.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <memory>

#include "netlink.h"

namespace {

// Rounds of reception per wake-up, so that under a flood the thread still handles its messages.
constexpr int kRoundsPerWakeUp = 16;

// Rounds of reception until the answer to a request, behind packets of queues bound already.
constexpr int kRoundsPerAnswer = 4096;

// Bytes of a configuration message: headers and at most five attributes of up to 12 bytes.
constexpr size_t kConfigMax = 96;

double NowMs() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<double>(now.tv_sec) * 1e3 + static_cast<double>(now.tv_nsec) / 1e6;
}

nlmsghdr* PutConfig(void* buffer, uint16_t flags, uint32_t seq, uint16_t queue) {
  return PutMessage(buffer, NFNL_SUBSYS_QUEUE, NFQNL_MSG_CONFIG, flags, seq, AF_UNSPEC, queue);
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

// 0 for what is no number: the kernel will refuse it, or it does no harm.
uint32_t NumberOf(const Napi::Value& value) {
  return value.IsNumber() ? value.As<Napi::Number>().Uint32Value() : 0;
}

}  // namespace

Napi::Function PacketQueue::Define(Napi::Env env) {
  return DefineClass(
      env, "PacketQueue",
      {InstanceAccessor<&PacketQueue::GetSlab>("slab"), InstanceMethod<&PacketQueue::Open>("open"),
       InstanceMethod<&PacketQueue::Bind>("bind"), InstanceMethod<&PacketQueue::Start>("start"),
       InstanceMethod<&PacketQueue::Close>("close")});
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
    headers_[i].msg_hdr.msg_name = &senders_[i];
    headers_[i].msg_hdr.msg_iov = &vectors_[i];
    headers_[i].msg_hdr.msg_iovlen = 1;
  }
}

PacketQueue::~PacketQueue() {
  Shutdown();
}

Napi::Value PacketQueue::GetSlab(const Napi::CallbackInfo&) {
  return slab_buffer_.Value();
}

Napi::Value PacketQueue::Open(const Napi::CallbackInfo& info) {
  const int error = fd_ >= 0 ? EALREADY : OpenSocket(NumberOf(info[0]));
  return Napi::Number::New(info.Env(), error);
}

int PacketQueue::OpenSocket(uint32_t buffer_bytes) {
  fd_ = socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, NETLINK_NETFILTER);
  if (fd_ < 0) return errno;
  const int on = 1;
  // Lost messages are in the kernel's counters; reporting them too would cost a wake-up each.
  setsockopt(fd_, SOL_NETLINK, NETLINK_NO_ENOBUFS, &on, sizeof on);
  setsockopt(fd_, SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof on);
  // Beyond the system's limit only the first user namespace's administrator may go.
  if (setsockopt(fd_, SOL_SOCKET, SO_RCVBUFFORCE, &buffer_bytes, sizeof buffer_bytes) != 0) {
    setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &buffer_bytes, sizeof buffer_bytes);
  }
  // Ignored since Linux 3.8, but who may not configure, or finds no NFQUEUE in the kernel, hears of it.
  alignas(nlmsghdr) uint8_t buffer[kConfigMax];
  nlmsghdr* probe = PutConfig(buffer, NLM_F_ACK, ++seq_, 0);
  PutCommand(probe, NFQNL_CFG_CMD_PF_BIND);
  return Configure(probe);
}

Napi::Value PacketQueue::Bind(const Napi::CallbackInfo& info) {
  const auto number = static_cast<uint16_t>(NumberOf(info[0]));
  const bool fail_open = info[2].ToBoolean();
  alignas(nlmsghdr) uint8_t buffer[kConfigMax];
  // All in one message: a queue that is bound but has no copy mode yet drops its packets.
  nlmsghdr* message = PutConfig(buffer, NLM_F_ACK, ++seq_, number);
  PutCommand(message, NFQNL_CFG_CMD_BIND);
  const nfqnl_msg_config_params params = {htonl(static_cast<uint32_t>(copy_bytes_)), NFQNL_COPY_PACKET};
  mnl_attr_put(message, NFQA_CFG_PARAMS, sizeof params, &params);
  // GSO: take a large packet as one, without a checksum, rather than have it cut up for our eyes.
  PutFlags(message, NFQA_CFG_F_GSO | (fail_open ? NFQA_CFG_F_FAIL_OPEN : 0));
  PutLength(message, NumberOf(info[1]));
  const int error = Configure(message);
  if (error == 0) queues_.push_back({number, 0, false});
  verdicts_.resize(kBatchMax + 2 * queues_.size());
  return Napi::Number::New(info.Env(), error);
}

// Sends a request and waits for its answer. Packets that arrive meanwhile are accepted: nobody could
// judge them yet.
int PacketQueue::Configure(nlmsghdr* request) {
  const int error = SendToKernel(fd_, request, request->nlmsg_len, nullptr);
  if (error != 0) return error;
  Batch batch{slab_};
  batch.awaited_seq = request->nlmsg_seq;
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

Napi::Value PacketQueue::Start(const Napi::CallbackInfo& info) {
  if (!info[0].IsFunction() || poller_ != nullptr) return Napi::Number::New(info.Env(), EINVAL);
  on_batch_ = Napi::Persistent(info[0].As<Napi::Function>());
  return Napi::Number::New(info.Env(), StartPolling());
}

int PacketQueue::StartPolling() {
  uv_loop_t* loop;
  if (napi_get_uv_event_loop(Env(), &loop) != napi_ok) return ENOTSUP;
  auto poller = std::make_unique<Poller>();
  const int error = uv_poll_init(loop, &poller->handle, fd_);
  if (error != 0) return -error;
  poller_ = poller.release();
  poller_->handle.data = poller_;
  poller_->queue = this;
  // At the end of the thread libuv must have closed the handle before its loop is freed: hence async.
  const auto on_exit = [](napi_async_cleanup_hook_handle, void* data) {
    auto* ending = static_cast<Poller*>(data);
    if (ending->queue != nullptr) ending->queue->Shutdown();
  };
  napi_add_async_cleanup_hook(Env(), on_exit, poller_, &poller_->hook);
  Ref();
  return -uv_poll_start(&poller_->handle, UV_READABLE, OnPoll);
}

void PacketQueue::OnPoll(uv_poll_t* handle, int status, int) {
  // libuv takes an error on the socket (ENOBUFS) for a closed one and stops polling it.
  if (status < 0) uv_poll_start(handle, UV_READABLE, OnPoll);
  static_cast<Poller*>(handle->data)->queue->Receive();
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
  for (auto& header : headers_) header.msg_hdr.msg_namelen = sizeof(sockaddr_nl);
  const int received = recvmmsg(fd_, headers_, kBatchMax, MSG_DONTWAIT, nullptr);
  if (received >= 0) return received;
  if (errno == EAGAIN) return 0;
  counters()[errno == ENOBUFS ? kEnobufs : errno == EINTR ? kInterrupted : kReceiveErrors]++;
  return -1;
}

// Empty if it did not come from the kernel, whose port id is 0: any process with CAP_NET_ADMIN can write to
// the socket.
Datagram PacketQueue::DatagramIn(int slot) {
  if (senders_[slot].nl_pid != 0) {
    counters()[kForeign]++;
    return {nullptr, 0};
  }
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
  slab_->previous_us = (NowMs() - slab_->now_ms) * 1e3;
  batch->count = 0;
  failed_ = status != napi_ok;
  if (exception == nullptr) return;
  counters()[kCallbackErrors]++;
  napi_fatal_exception(env, exception);
}

// All verdicts of a batch in one datagram, which the kernel works off in this order.
void PacketQueue::SendVerdicts(uint32_t count) {
  VerdictMessage* out = verdicts_.data();
  for (auto& queue : queues_) out = PutVerdicts(&queue, count, out);
  const size_t bytes = static_cast<size_t>(out - verdicts_.data()) * sizeof(VerdictMessage);
  if (bytes == 0) return;
  const int error = SendToKernel(fd_, verdicts_.data(), bytes, &counters()[kVerdictRetries]);
  for (auto& queue : queues_) queue.owed = error != 0;
  if (error != 0) counters()[kVerdictsLost]++;
}

// The rarer verdict packet by packet, then the other for all that is left up to the last: packets of
// either verdict go on in the order in which they came.
PacketQueue::VerdictMessage* PacketQueue::PutVerdicts(BoundQueue* queue, uint32_t count,
                                                      VerdictMessage* out) {
  const auto put = [&](uint16_t type, uint32_t id, uint32_t verdict) {
    *out++ = {
        {sizeof(VerdictMessage), static_cast<uint16_t>(NFNL_SUBSYS_QUEUE << 8 | type), NLM_F_REQUEST, 0, 0},
        {AF_UNSPEC, NFNETLINK_V0, htons(queue->number)},
        {sizeof(nlattr) + sizeof(nfqnl_msg_verdict_hdr), NFQA_VERDICT_HDR},
        {htonl(verdict), htonl(id)}};
  };
  const auto verdict_of = [&](uint32_t i) -> uint32_t {
    return slab_->verdicts[i] == NF_DROP ? NF_DROP : NF_ACCEPT;
  };
  const auto is_ours = [&](uint32_t i) { return slab_->packets[i * kPacketWords + kQueue] == queue->number; };

  uint32_t total = 0, accepted = 0, last_id = 0;
  for (uint32_t i = 0; i < count; i++) {
    if (!is_ours(i)) continue;
    total++;
    accepted += verdict_of(i) == NF_ACCEPT;
    last_id = slab_->packets[i * kPacketWords + kId];
  }
  if (total == 0) return out;
  if (queue->owed) put(NFQNL_MSG_VERDICT_BATCH, queue->last_id, NF_ACCEPT);
  queue->last_id = last_id;
  const uint32_t common = accepted * 2 >= total ? NF_ACCEPT : NF_DROP;
  for (uint32_t i = 0; i < count; i++) {
    if (!is_ours(i) || verdict_of(i) == common) continue;
    put(NFQNL_MSG_VERDICT, slab_->packets[i * kPacketWords + kId], verdict_of(i));
  }
  put(NFQNL_MSG_VERDICT_BATCH, last_id, common);
  return out;
}

// In one datagram: the kernel lets new packets pass (fail-open, then a length of 0: in one message it would
// set the length first, and drop), then the waiting ones, then the queue goes. Unbinding alone drops what
// waits and what comes meanwhile.
void PacketQueue::AcceptAllAndUnbind() {
  std::vector<uint8_t> buffer(queues_.size() * 4 * kConfigMax);
  size_t used = 0;
  for (const auto& queue : queues_) {
    const auto put = [&](uint16_t command, const auto& put_attributes) {
      nlmsghdr* message =
          PutMessage(&buffer[used], NFNL_SUBSYS_QUEUE, command, 0, 0, AF_UNSPEC, queue.number);
      put_attributes(message);
      used += message->nlmsg_len;
    };
    put(NFQNL_MSG_CONFIG, [](nlmsghdr* message) { PutFlags(message, NFQA_CFG_F_FAIL_OPEN); });
    put(NFQNL_MSG_CONFIG, [](nlmsghdr* message) { PutLength(message, 0); });
    put(NFQNL_MSG_VERDICT_BATCH, [&](nlmsghdr* message) {
      // Ids wrap and the kernel compares by signed difference: far ahead, with room for those behind.
      const nfqnl_msg_verdict_hdr verdict = {htonl(NF_ACCEPT), htonl(queue.last_id + 0x3fffffff)};
      mnl_attr_put(message, NFQA_VERDICT_HDR, sizeof verdict, &verdict);
    });
    put(NFQNL_MSG_CONFIG, [](nlmsghdr* message) { PutCommand(message, NFQNL_CFG_CMD_UNBIND); });
  }
  if (used > 0) SendToKernel(fd_, buffer.data(), used, &counters()[kVerdictRetries]);
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
    poller_->queue = nullptr;
    const auto on_closed = [](uv_handle_t* handle) {
      auto* poller = static_cast<Poller*>(handle->data);
      napi_remove_async_cleanup_hook(poller->hook);
      delete poller;
    };
    uv_close(reinterpret_cast<uv_handle_t*>(&poller_->handle), on_closed);
    poller_ = nullptr;
    Unref();
  }
  close(fd_);
  fd_ = -1;
}
