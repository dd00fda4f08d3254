// gossipsub's RPC as it goes over the wire, read as views into the received bytes.
//
// Model
//  1. Decoding copies nothing but lists: views live as long as the message they were read from.
//  2. What is signed is the message's own bytes without the fields `signature` and `key`, so a signature holds for
//     every encoding that its author chose, unknown fields included. A message is passed on byte for byte.
//
// Attacks: lists are cut at the limits below and topics above kMaxTopic are skipped; the whole RPC is limited by its
// reader.
//
// Specification: libp2p pubsub, "The RPC", "The Message", "Message Signing"; gossipsub 1.0 and 1.1, "Protobuf".
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "crypto/keys.hpp"
#include "crypto/peer_id.hpp"

namespace dms::libp2p {

inline constexpr std::size_t kMaxTopic = 1024;

/// A published message. Fields that are absent are empty.
struct MessageView {
  BytesView raw;
  BytesView from;
  BytesView data;
  BytesView seqno;
  std::string_view topic;
  BytesView signature;
  BytesView key;

  static Result<MessageView> decode(BytesView raw);
  /// Author and sequence number.
  [[nodiscard]] std::string id() const;
  /// The author, if the message obeys strict signing. Errc::permission_denied otherwise.
  [[nodiscard]] Result<crypto::PeerId> verify() const;
};

/// A signed message, ready to be published.
Result<Bytes> sign_message(const crypto::PrivateKey& author, std::uint64_t seqno, std::string_view topic,
                           BytesView data);

struct RpcView {
  static constexpr std::size_t kMaxSubscriptions = 4096;
  static constexpr std::size_t kMaxMessages = 4096;
  static constexpr std::size_t kMaxControl = 1024;
  static constexpr std::size_t kMaxIds = 5000;

  struct Subscription {
    bool subscribe = false;
    std::string_view topic;
  };
  struct IHave {
    std::string_view topic;
    std::vector<BytesView> ids;
  };
  struct Prune {
    std::string_view topic;
    std::uint64_t backoff_seconds = 0;  ///< 0: not given
  };
  std::vector<Subscription> subscriptions;
  std::vector<MessageView> messages;
  std::vector<IHave> ihave;
  std::vector<std::string_view> graft;
  std::vector<Prune> prune;

  static Result<RpcView> decode(BytesView rpc);
};

/// Builds an RPC, without its length in front.
struct RpcBuilder {
  struct Prune {
    std::string topic;
    std::uint64_t backoff_seconds;
  };
  std::vector<std::pair<bool, std::string>> subscriptions;
  std::vector<BytesView> messages;
  std::vector<std::string> iwant;  ///< message ids
  std::vector<std::string> graft;
  std::vector<Prune> prune;
  [[nodiscard]] Bytes encode() const;
};

}  // namespace dms::libp2p
