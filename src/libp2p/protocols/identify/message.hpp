// What identify says: read with limits, written so that everybody can read it.
//
// Fields that are unknown, addresses that cannot be read and what exceeds a limit are skipped; missing fields stay
// empty. Specification: libp2p identify, "The Identify Message"; field 8 is the signed peer record
// (host/peer_record.hpp).
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "libp2p/multiaddr/multiaddr.hpp"

namespace dms::libp2p {

struct IdentifyInfo {
  std::string protocol_version;
  std::string agent_version;
  Bytes public_key;  ///< marshalled; empty if not sent
  std::vector<Multiaddr> listen_addresses;
  std::optional<Multiaddr> observed_address;  ///< as the sender sees the receiver
  std::vector<std::string> protocols;
  Bytes signed_record;  ///< a CertifiedRecord's envelope; empty if not sent

  static constexpr std::size_t kMaxAddresses = 64;
  static constexpr std::size_t kMaxProtocols = 512;
  static constexpr std::size_t kMaxText = 256;
  /// A message of more bytes is sent in two, as some read no larger one: first what everybody knows, then the record.
  static constexpr std::size_t kOneMessage = 2048;

  [[nodiscard]] Bytes encode() const;
  /// As it travels: one or two messages, each with its length in front.
  [[nodiscard]] Bytes encode_delimited() const;
  /// Adds what `message` says: the last single value wins, lists grow. For answers in several parts.
  Result<void> merge(BytesView message);
  /// All parts of an answer. Errc::limit_exceeded above `max_parts`.
  static Result<IdentifyInfo> decode_delimited(BytesView messages, std::size_t max_parts);
  /// Takes over what `update` says; what it leaves out stays.
  void update(const IdentifyInfo& update);
};

}  // namespace dms::libp2p
