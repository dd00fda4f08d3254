// identify: on every new connection both sides say who they are, what they speak and how they see each other.
//
// Model
//  1. When a peer connects it is asked once; whoever asks us is answered. The answer is kept while the peer is connected.
//  2. An answer counts only if its public key (when given) is the one that the security handshake has proved.
//  3. Addresses that cannot be read are skipped, known ones are handed to the swarm for later dials; unknown fields are
//     skipped. Missing fields stay empty.
//
// Attacks: the answer is at most kMaxMessage bytes in at most kMaxParts messages, and arrives in time or not at all; lists are cut to
// their limits. Nothing in it is believed beyond the connection it came over: listen addresses are only candidates (a dial
// proves the peer), the observed address is one peer's opinion.
//
// Specification: libp2p identify (/ipfs/id/1.0.0).
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/nursery.hpp"
#include "libp2p/host/swarm.hpp"

namespace dms::libp2p {

inline constexpr std::string_view kIdentifyProtocol = "/ipfs/id/1.0.0";

struct IdentifyInfo {
  std::string protocol_version;
  std::string agent_version;
  Bytes public_key;  ///< marshalled; empty if not sent
  std::vector<Multiaddr> listen_addresses;
  std::optional<Multiaddr> observed_address;  ///< as the sender sees the receiver
  std::vector<std::string> protocols;

  static constexpr std::size_t kMaxAddresses = 64;
  static constexpr std::size_t kMaxProtocols = 512;
  static constexpr std::size_t kMaxText = 256;

  [[nodiscard]] Bytes encode() const;
  /// Adds what `message` says: the last single value wins, lists grow. For answers in several parts.
  Result<void> merge(BytesView message);
};

struct IdentifyOptions {
  std::string protocol_version = "ipfs/0.1.0";
  std::string agent_version = "nunet/" DMS_VERSION;
  Duration timeout = 10s;
};

class Identify {
 public:
  static constexpr std::size_t kMaxMessage = 64 * 1024;
  static constexpr std::size_t kMaxParts = 16;
  using Callback = std::function<void(const crypto::PeerId&, const IdentifyInfo&)>;

  explicit Identify(Swarm& swarm, IdentifyOptions options = {});
  ~Identify();

  /// What a connected peer has said of itself, if it has answered yet.
  [[nodiscard]] const IdentifyInfo* info(const crypto::PeerId& peer) const;
  /// The addresses under which connected peers see this one.
  [[nodiscard]] std::vector<Multiaddr> observed_addresses() const;
  /// Called after each answer, from the lane's loop.
  void on_identified(Callback callback) { callbacks_.push_back(std::move(callback)); }
  /// Before the swarm's close().
  Task<void> close();

 private:
  Task<void> answer(std::unique_ptr<Stream> stream);
  Task<void> ask(crypto::PeerId peer);
  Task<Result<IdentifyInfo>> exchange(crypto::PeerId peer);

  Swarm& swarm_;
  IdentifyOptions options_;
  Nursery nursery_;
  std::map<crypto::PeerId, IdentifyInfo> known_;
  std::vector<Callback> callbacks_;
  NotificationId connected_;
  NotificationId disconnected_;
};

}  // namespace dms::libp2p
