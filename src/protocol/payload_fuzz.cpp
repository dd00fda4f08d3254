// The request and the reply of every behaviour, and the error reply: what is accepted is written as it was read.
#include <cstdlib>

#include "actor/error_reply.hpp"
#include "protocol/every_behaviour.hpp"

namespace dms::protocol {
namespace {

template <class T>
void check(const json::Value& read) {
  const Result<T> value = json::from_value<T>(read);
  if (!value) return;
  const std::string written = json::encode(*value);
  const Result<T> again = json::decode<T>(written);
  // An absent ensemble is empty, and nobody reads an empty one; Ensemble::validate() refuses it.
  if constexpr (requires { value->ensemble; })
    if (!again && !value->ensemble.validate()) return;
  if (!again || json::encode(*again) != written) std::abort();
}

template <class Request, class Reply>
void check_payloads(const json::Value& read, const Behaviour<Request, Reply>&) {
  check<Request>(read);
  check<Reply>(read);
}

}  // namespace
}  // namespace dms::protocol

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace dms;
  const auto read = json::parse(std::string_view(reinterpret_cast<const char*>(data), size));
  if (!read) return 0;
  std::apply([&](const auto&... behaviours) { (protocol::check_payloads(*read, behaviours), ...); },
             protocol::kEveryBehaviour);
  protocol::check<actor::ErrorReply>(*read);
  return 0;
}
