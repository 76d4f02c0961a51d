#include <napi.h>

#include <cstddef>
#include <tuple>

#include "conntrack.h"
#include "flow-events.h"
#include "flow.h"
#include "hasten.h"
#include "ipset.h"
#include "listeners.h"
#include "nfqueue.h"
#include "notify.h"
#include "slab.h"

// What JavaScript calls; src/kernel/addon.ts declares it. Arguments are validated there: here only their
// shapes are, so that no mistake can become a wrong read.

namespace {

bool Read(const Napi::Value& value, uint32_t* out) {
  if (!value.IsNumber()) return false;
  *out = value.As<Napi::Number>().Uint32Value();
  return true;
}

bool Read(const Napi::Value& value, int32_t* out) {
  if (!value.IsNumber()) return false;
  *out = value.As<Napi::Number>().Int32Value();
  return true;
}

bool Read(const Napi::Value& value, std::string* out) {
  if (!value.IsString()) return false;
  *out = value.As<Napi::String>().Utf8Value();
  return true;
}

// Structs, one behind the other; bytes that make no whole one are left out.
template <typename T>
bool Read(const Napi::Value& value, std::vector<T>* out) {
  if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != napi_uint8_array)
    return false;
  const auto bytes = value.As<Napi::Uint8Array>();
  out->resize(bytes.ByteLength() / sizeof(T));
  if (!out->empty()) memcpy(out->data(), bytes.Data(), out->size() * sizeof(T));
  return true;
}

template <typename T>
Napi::ArrayBuffer Copy(Napi::Env env, const std::vector<T>& values) {
  auto buffer = Napi::ArrayBuffer::New(env, values.size() * sizeof(T));
  if (!values.empty()) memcpy(buffer.Data(), values.data(), buffer.ByteLength());
  return buffer;
}

Napi::Value Write(Napi::Env env, int value) { return Napi::Number::New(env, value); }

Napi::Value Write(Napi::Env env, const std::vector<uint32_t>& values) {
  return Napi::Uint32Array::New(env, values.size(), Copy(env, values), 0);
}

// Structs, as their bytes.
template <typename T>
Napi::Value Write(Napi::Env env, const std::vector<T>& values) {
  return Napi::Uint8Array::New(env, values.size() * sizeof(T), Copy(env, values), 0);
}

Napi::Value Write(Napi::Env env, const std::vector<IpsetHeader>& sets) {
  auto list = Napi::Array::New(env, sets.size());
  for (uint32_t i = 0; i < sets.size(); i++) {
    auto set = Napi::Object::New(env);
    set.Set("name", sets[i].name);
    set.Set("entries", sets[i].entries);
    list.Set(i, set);
  }
  return list;
}

template <typename T>
Napi::Value Write(Napi::Env env, const Answer<T>& answer) {
  return answer.error != 0 ? Write(env, answer.error) : Write(env, answer.value);
}

// `function` with its arguments read from JavaScript; a TypeError is thrown if one is not of its type.
template <typename Result, typename... Arguments>
Napi::Function Export(Napi::Env env, Result (*function)(Arguments...)) {
  return Napi::Function::New(env, [function](const Napi::CallbackInfo& info) {
    std::tuple<std::decay_t<Arguments>...> arguments;
    size_t i = 0;
    const auto read = [&](auto&... each) { return (Read(info[i++], &each) && ...); };
    if (std::apply(read, arguments)) return Write(info.Env(), std::apply(function, arguments));
    const std::string message = "argument " + std::to_string(i) + " has the wrong type";
    Napi::TypeError::New(info.Env(), message).ThrowAsJavaScriptException();
    return info.Env().Undefined();
  });
}

Napi::Object Init(Napi::Env env, Napi::Object exports) {
  auto layout = Napi::Object::New(env);
  layout.Set("now", offsetof(Slab, now_ms));
  layout.Set("counters", offsetof(Slab, counters));
  layout.Set("packets", offsetof(Slab, packets));
  layout.Set("verdicts", offsetof(Slab, verdicts));
  exports.Set("slabLayout", layout);
  exports.Set("PacketQueue", PacketQueue::Define(env));
  exports.Set("ipsetCreate", Export(env, IpsetCreate));
  exports.Set("ipsetCommand", Export(env, IpsetCommand));
  exports.Set("ipsetEntries", Export(env, IpsetEntries));
  exports.Set("ipsetList", Export(env, IpsetList));
  exports.Set("ipsetHeaders", Export(env, IpsetHeaders));
  exports.Set("conntrackDelete", Export(env, DeleteConnections));
  exports.Set("assuredFlows", Export(env, AssuredFlows));
  exports.Set("flowsOf", Export(env, FlowsOf));
  exports.Set("tcpListeners", Export(env, TcpListeners));
  exports.Set("FlowEvents", FlowEvents::Define(env));
  exports.Set("notify", Export(env, Notify));
  exports.Set("hasten", Export(env, Hasten));
  return exports;
}

}  // namespace

NODE_API_MODULE(nfqueue, Init)
