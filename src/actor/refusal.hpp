// The reasons for which an actor refuses an envelope. Only the senders in error_reply.hpp get a reply; metrics.hpp
// counts them.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace dms::actor {

enum class Refusal : std::uint8_t {
  rate_limited,        ///< the peer exceeds its rate
  malformed,           ///< not an envelope
  wrong_receiver,      ///< addressed to another actor, or a broadcast sent to one, or the reverse
  wrong_host,          ///< from.addr.host is not the peer that sent it
  no_place,            ///< too many messages are in progress
  expired,             ///< the envelope
  lives_too_long,      ///< the envelope expires later than any that is accepted
  bad_signature,       ///< not signed by from.id
  unknown_behaviour,   ///< nothing is registered under that path
  expired_behaviour,   ///< the behaviour is registered but has expired
  wrong_sender,        ///< the behaviour accepts one actor only
  replayed,            ///< sender and nonce have been seen
  over_quota,          ///< the DID that is accountable for the sender uses too many keys at once
  replay_memory_full,  ///< replays of this sender could not be recognised
  not_permitted,       ///< no token allows it, or the sender's DID is not proven
};
inline constexpr std::size_t kRefusals = static_cast<std::size_t>(Refusal::not_permitted) + 1;

constexpr std::string_view to_string(Refusal reason) {
  constexpr std::array<std::string_view, kRefusals> kNames = {
      "rate limited", "malformed",      "wrong receiver", "wrong host",         "no place",
      "expired",      "lives too long", "bad signature",  "unknown behaviour",  "expired behaviour",
      "wrong sender", "replayed",       "over quota",     "replay memory full", "not permitted"};
  return kNames[static_cast<std::size_t>(reason)];
}

}  // namespace dms::actor
