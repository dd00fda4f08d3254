#include "actor/error_reply.hpp"

#include <algorithm>

namespace dms::actor {
namespace {

/// An error reply is short; the payload of a large reply is not parsed for one.
constexpr std::size_t kMaxErrorReply = std::size_t{64} << 10;
constexpr std::string_view kUnknownBehaviour = "unknown behaviour";
constexpr std::string_view kNotPermitted = "not permitted";
constexpr std::string_view kExpired = "expired";
constexpr std::string_view kExpiry = "expiry too late";
constexpr std::string_view kOverloaded = "overloaded";
constexpr std::array kKinds = {kUnknownBehaviour, kNotPermitted, kExpired, kExpiry, kOverloaded, kDeclined};

std::optional<std::string_view> kind_of(Refusal reason) {
  switch (reason) {
    case Refusal::unknown_behaviour:
    case Refusal::expired_behaviour: return kUnknownBehaviour;
    case Refusal::not_permitted: return kNotPermitted;
    case Refusal::expired: return kExpired;
    case Refusal::lives_too_long: return kExpiry;
    case Refusal::no_place:
    case Refusal::rate_limited:
    case Refusal::over_quota:
    case Refusal::replay_memory_full: return kOverloaded;
    case Refusal::malformed:
    case Refusal::wrong_receiver:
    case Refusal::wrong_host:
    case Refusal::bad_signature:
    case Refusal::wrong_sender:
    case Refusal::replayed: break;
  }
  return std::nullopt;
}

std::string sentence(std::string_view kind, const Envelope& request, std::string_view detail) {
  const std::string& inbox = request.to.address.inbox;
  if (kind == kUnknownBehaviour)
    return fmt::format("{}: the actor in inbox {} has no behaviour {}", kind, inbox, request.behaviour);
  if (kind == kExpiry)
    return fmt::format("{}: an envelope may live {} hours at most", kind, kMaxLifetime / Duration(1h));
  if (kind == kOverloaded)
    return fmt::format("{}: the actor in inbox {} accepts no more messages of this sender now; try again later", kind,
                       inbox);
  return fmt::format("{}: {}: {}", kind, request.behaviour, detail);
}

}  // namespace

std::optional<ErrorReply> error_reply(Refusal reason, const Envelope& request, std::string_view detail,
                                      const ucan::Capabilities& sufficient) {
  const auto kind = kind_of(reason);
  if (!kind) return std::nullopt;
  ErrorReply reply{sentence(*kind, request, detail), std::string(*kind), {}};
  for (const ucan::Capability& capability : sufficient) reply.capabilities.push_back(capability.path());
  return reply;
}

std::optional<ErrorReply> ErrorReply::read(const Envelope& reply) {
  if (reply.message.empty() || reply.message.size() > kMaxErrorReply) return std::nullopt;
  auto value = json::decode<ErrorReply>(reply.message);
  if (!value || std::ranges::find(kKinds, value->refusal) == kKinds.end()) return std::nullopt;
  return *std::move(value);
}

}  // namespace dms::actor
