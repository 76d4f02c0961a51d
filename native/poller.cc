#include "poller.h"

#include <cerrno>

Poller* Poller::Start(napi_env env, int fd, std::function<void()> on_readable, std::function<void()> on_exit,
                      int* error) {
  uv_loop_t* loop;
  *error = ENOTSUP;
  if (napi_get_uv_event_loop(env, &loop) != napi_ok) return nullptr;
  auto* poller = new Poller;
  *error = -uv_poll_init(loop, &poller->handle_, fd);
  if (*error != 0) {
    delete poller;
    return nullptr;
  }
  poller->handle_.data = poller;
  poller->on_readable_ = std::move(on_readable);
  poller->on_exit_ = std::move(on_exit);
  // At the end of the thread libuv must have closed the handle before its loop is freed: hence async.
  const auto at_exit = [](napi_async_cleanup_hook_handle, void* data) {
    const auto ending = static_cast<Poller*>(data)->on_exit_;
    if (ending) ending();
  };
  napi_add_async_cleanup_hook(env, at_exit, poller, &poller->hook_);
  *error = -uv_poll_start(&poller->handle_, UV_READABLE, OnPoll);
  return poller;
}

void Poller::OnPoll(uv_poll_t* handle, int status, int) {
  // libuv takes an error on the socket (ENOBUFS) for a closed one and stops polling it.
  if (status < 0) uv_poll_start(handle, UV_READABLE, OnPoll);
  // A copy, here and above: `Stop`, called by it, must not destroy what is running.
  const auto on_readable = static_cast<Poller*>(handle->data)->on_readable_;
  if (on_readable) on_readable();
}

void Poller::Stop() {
  on_readable_ = nullptr;
  on_exit_ = nullptr;
  uv_close(reinterpret_cast<uv_handle_t*>(&handle_), [](uv_handle_t* handle) {
    auto* poller = static_cast<Poller*>(handle->data);
    napi_remove_async_cleanup_hook(poller->hook_);
    delete poller;
  });
}
