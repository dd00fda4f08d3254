// Why an actor has not acted on a message. Nobody is told over the wire; the node's owner can read the counts.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace dms::actor {

enum class Refusal : std::uint8_t {
  rate_limited,        ///< the peer sends more than its share
  malformed,           ///< not an envelope
  wrong_receiver,      ///< addressed to somebody else, or a broadcast sent to one, or the reverse
  wrong_host,          ///< from.addr.host is not the peer that sent it
  no_place,            ///< too many messages are being worked on
  expired,             ///< the envelope
  bad_signature,       ///< not signed by from.id
  unknown_behaviour,   ///< nothing is registered under that path
  expired_behaviour,   ///< the behaviour was, and its time is over
  wrong_sender,        ///< the behaviour waits for one certain actor
  replayed,            ///< sender and nonce have been seen
  replay_memory_full,  ///< cannot tell whether it is a replay
  not_permitted,       ///< no token allows it, or the sender is not who it claims to be
};
inline constexpr std::size_t kRefusals = static_cast<std::size_t>(Refusal::not_permitted) + 1;

constexpr std::string_view to_string(Refusal reason) {
  constexpr std::array<std::string_view, kRefusals> kNames = {
      "rate limited", "malformed",          "wrong receiver",    "wrong host",        "no place",
      "expired",      "bad signature",      "unknown behaviour", "expired behaviour", "wrong sender",
      "replayed",     "replay memory full", "not permitted"};
  return kNames[static_cast<std::size_t>(reason)];
}

class RefusalCounters {
 public:
  void add(Refusal reason) { ++counts_[static_cast<std::size_t>(reason)]; }
  [[nodiscard]] std::uint64_t operator[](Refusal reason) const { return counts_[static_cast<std::size_t>(reason)]; }
  [[nodiscard]] std::uint64_t total() const {
    std::uint64_t sum = 0;
    for (const std::uint64_t count : counts_) sum += count;
    return sum;
  }

 private:
  std::array<std::uint64_t, kRefusals> counts_{};
};

}  // namespace dms::actor
