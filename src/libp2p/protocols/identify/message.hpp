// The identify message: read with limits, written so that every implementation can read it.
//
// Unknown fields, unreadable addresses and what exceeds a limit are skipped; missing fields stay empty. Specification:
// libp2p identify, "The Identify Message"; field 8 is the signed peer record (records/peer_record.hpp).
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
  /// A larger message is sent in two parts, because some implementations read no larger one: first the common fields,
  /// then the record.
  static constexpr std::size_t kOneMessage = 2048;

  [[nodiscard]] Bytes encode() const;
  /// One or two length-prefixed messages.
  [[nodiscard]] Bytes encode_delimited() const;
  /// Adds the fields of `message`: the last single value wins, lists grow. For answers in several parts.
  Result<void> merge(BytesView message);
  /// All parts of an answer. Errc::limit_exceeded above `max_parts`. The error names the missing length prefix where
  /// `messages` is a message without one, as some implementations send it.
  static Result<IdentifyInfo> decode_delimited(BytesView messages, std::size_t max_parts);
  /// Takes over the fields of `newer`; fields that it omits keep their values.
  void update(const IdentifyInfo& newer);

 private:
  static Result<IdentifyInfo> decode_parts(BytesView messages, std::size_t max_parts);
};

}  // namespace dms::libp2p
