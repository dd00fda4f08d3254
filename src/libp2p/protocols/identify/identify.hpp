// identify: on every new connection both sides send their identity, their protocols and the observed address of the
// other side; identify/push repeats that when it changes.
//
// Model
//  1. A peer is asked once when it connects; every request is answered. The answer is kept while the peer is connected,
//     and updated by what the peer pushes; fields that a push omits keep their values.
//  2. An answer counts only if its public key (when given) is the one that the security handshake has proved. A signed
//     record that is not signed by that peer is ignored. The addresses of a valid record replace the unsigned ones, and
//     the peer store keeps it.
//  3. Announced are the listen addresses and those that `confirmations` independent observers see of connections that
//     they have made to a listener of this node (observed_addresses.hpp). The own record is renewed when they change.
//  4. When the announced addresses or protocols have changed, `push_delay` later every connected peer that speaks
//     identify/push gets a push; changes in between are pushed together. Interfaces change without notice: they are
//     read every `recheck`.
//
// Bounds: kMaxMessage bytes and kMaxParts messages per answer or push, within `timeout`; lists are cut to their limits
// (message.hpp); one push of a peer at a time, and at most kMaxPushes in kPushWindow; at most kMaxPushing outbound
// pushes at once.
//
// Attacks: nothing in an answer is trusted beyond the connection it came over: listen addresses are only candidates (a
// dial proves the peer), an observed address is one observation. Too large, too frequent or malformed messages change
// nothing.
//
// Specification: libp2p identify (/ipfs/id/1.0.0, /ipfs/id/push/1.0.0), RFC 0002 and 0003.
#pragma once

#include <functional>
#include <map>

#include "libp2p/protocols/identify/message.hpp"
#include "libp2p/protocols/identify/observed_addresses.hpp"
#include "libp2p/records/peer_record.hpp"
#include "libp2p/swarm/swarm.hpp"
#include "runtime/nursery.hpp"

namespace dms::libp2p {

inline constexpr std::string_view kIdentifyProtocol = "/ipfs/id/1.0.0";
inline constexpr std::string_view kIdentifyPushProtocol = "/ipfs/id/push/1.0.0";

struct IdentifyOptions {
  std::string protocol_version = "ipfs/0.1.0";
  std::string agent_version = "nunet/" DMS_VERSION;
  Duration timeout = 10s;
  std::size_t confirmations = 3;  ///< as NuNet's existing nodes
  Duration push_delay = 1s;
  Duration recheck = 1min;
  /// Which of the host's protocols are announced; all of them if empty. The others are served without being announced.
  std::function<bool(std::string_view protocol)> announces = {};
};

class Identify {
 public:
  static constexpr std::size_t kMaxMessage = 64 * 1024;
  static constexpr std::size_t kMaxParts = 16;
  static constexpr std::size_t kMaxPushes = 20;
  static constexpr Duration kPushWindow = std::chrono::minutes(1);
  static constexpr std::size_t kMaxPushing = 32;
  using Callback = std::function<void(const crypto::PeerId&, const IdentifyInfo&)>;

  struct Metrics {
    metrics::Counter pushed;    ///< outbound pushes that were written
    metrics::Counter received;  ///< well-formed pushes
    metrics::Counter refused;   ///< answers and pushes that were refused

    void register_with(metrics::Registry& registry) {
      group_.in(registry)
          .counter("nunet_libp2p_identify_pushes_sent_total", "Identify pushes sent.", pushed)
          .counter("nunet_libp2p_identify_pushes_received_total", "Well-formed identify pushes received.", received)
          .counter("nunet_libp2p_identify_refused_total", "Identify answers and pushes refused.", refused);
    }

   private:
    metrics::Group group_;
  };

  explicit Identify(Swarm& swarm, IdentifyOptions options = {});
  ~Identify();

  /// What a connected peer has sent; null until it has answered.
  [[nodiscard]] const IdentifyInfo* info(const crypto::PeerId& peer) const;
  /// The same, waiting for the answer. The reason if the peer has not answered with anything acceptable: it does not
  /// speak identify, reset the stream, sent a malformed message, took longer than IdentifyOptions::timeout or
  /// disconnected.
  Task<Result<IdentifyInfo>> wait_for_info(crypto::PeerId peer);
  /// The addresses under which connected peers see this one, confirmed or not.
  [[nodiscard]] std::vector<Multiaddr> observed_addresses() const;
  /// The announced addresses, without /p2p.
  [[nodiscard]] std::vector<Multiaddr> announced() const;
  [[nodiscard]] std::vector<std::string> announced_protocols() const;
  /// The own record, for others to pass on.
  Result<CertifiedRecord> record();
  [[nodiscard]] Metrics& metrics() { return metrics_; }
  /// Called after each answer and push, from the lane's loop.
  void on_identified(Callback callback) { callbacks_.push_back(std::move(callback)); }
  /// Before the swarm's close().
  Task<void> close();

 private:
  struct Known {
    std::optional<IdentifyInfo> info;
    std::optional<Error> failure;  ///< of the exchange on connecting
    bool pushing = false;          ///< a push is being read
    std::size_t pushes = 0;
    SteadyTime window{};  ///< the start of the window of `pushes`
  };
  /// What was pushed last.
  struct Announcement {
    std::vector<Multiaddr> addresses;
    std::vector<std::string> protocols;
    friend bool operator==(const Announcement&, const Announcement&) = default;
  };

  IdentifyInfo own();
  Task<void> answer(std::unique_ptr<Stream> stream);
  Task<void> request(crypto::PeerId peer);
  Task<Result<IdentifyInfo>> exchange(crypto::PeerId peer);
  static Task<Result<IdentifyInfo>> read_info(Stream& stream);

  Task<void> take_push(std::unique_ptr<Stream> stream);
  bool may_push(Known& known) const;
  Task<void> announce();
  Task<Result<void>> wait_for_change();
  Task<void> push_to(crypto::PeerId peer);
  Task<Result<void>> push(crypto::PeerId peer);

  /// Errc::permission_denied if the key is not that of `peer`; a record that is not its own is removed.
  Result<std::optional<CertifiedRecord>> check(const crypto::PeerId& peer, IdentifyInfo& info) const;
  Result<void> learn(const crypto::PeerId& peer, IdentifyInfo received);
  void consider_observation(const crypto::PeerId& peer, const Multiaddr& seen);
  void touch();

  Swarm& swarm_;
  IdentifyOptions options_;
  RecordIssuer issuer_;
  ObservedAddresses observed_;
  std::map<crypto::PeerId, Known> known_;
  Notify answered_;  ///< info or failure of some peer is known, or a peer has disconnected
  std::vector<Callback> callbacks_;
  Metrics metrics_;
  Announcement last_;
  bool changed_ = false;
  Notify change_;
  std::size_t pushing_ = 0;
  Notify pushed_;
  NotificationId connected_;
  NotificationId disconnected_;
  NotificationId local_change_;
  Nursery nursery_;
};

}  // namespace dms::libp2p
