// identify: on every new connection both sides say who they are, what they speak and how they see each other; and again
// to all when it changes (identify/push).
//
// Model
//  1. When a peer connects it is asked once; whoever asks us is answered. The answer is kept while the peer is
//     connected, and brought up to date by what the peer pushes; what a push leaves out stays as it was.
//  2. An answer counts only if its public key (when given) is the one that the security handshake has proved, and its
//     signed record (when given) is signed by that peer; a record that is not is ignored. A good record's addresses
//     count instead of the unsigned ones, and the peer store keeps it.
//  3. Announced are the listen addresses and those under which peers at `confirmations` different places see a
//     connection that they have made to one of our listeners (observed_addresses.hpp). Our record is made anew when
//     they change.
//  4. When the announced addresses or our protocols have changed, `push_delay` later every connected peer that speaks
//     identify/push is told; changes in between are told together. Interfaces come and go without notice: they are
//     looked at every `recheck`.
//
// Bounds: kMaxMessage bytes and kMaxParts messages an answer or a push, in time or not at all; lists are cut to their
// limits (message.hpp); pushes of a peer one at a time, and at most kMaxPushes in kPushWindow; kMaxPushing of ours at
// once.
//
// Attacks: nothing in an answer is believed beyond the connection it came over: listen addresses are only candidates (a
// dial proves the peer), an observed address is one opinion. What is too large, too often or malformed changes nothing.
//
// Specification: libp2p identify (/ipfs/id/1.0.0, /ipfs/id/push/1.0.0), RFC 0002 and 0003.
#pragma once

#include <functional>
#include <map>

#include "runtime/nursery.hpp"
#include "libp2p/records/peer_record.hpp"
#include "libp2p/swarm/swarm.hpp"
#include "libp2p/protocols/identify/message.hpp"
#include "libp2p/protocols/identify/observed_addresses.hpp"

namespace dms::libp2p {

inline constexpr std::string_view kIdentifyProtocol = "/ipfs/id/1.0.0";
inline constexpr std::string_view kIdentifyPushProtocol = "/ipfs/id/push/1.0.0";

struct IdentifyOptions {
  std::string protocol_version = "ipfs/0.1.0";
  std::string agent_version = "nunet/" DMS_VERSION;
  Duration timeout = 10s;
  std::size_t confirmations = 3;  ///< as many as NuNet's existing nodes ask for
  Duration push_delay = 1s;
  Duration recheck = 1min;
};

class Identify {
 public:
  static constexpr std::size_t kMaxMessage = 64 * 1024;
  static constexpr std::size_t kMaxParts = 16;
  static constexpr std::size_t kMaxPushes = 20;
  static constexpr Duration kPushWindow = std::chrono::minutes(1);
  static constexpr std::size_t kMaxPushing = 32;
  using Callback = std::function<void(const crypto::PeerId&, const IdentifyInfo&)>;

  struct Counters {
    std::uint64_t pushed = 0;    ///< by us, and taken
    std::uint64_t received = 0;  ///< pushes of others that counted
    std::uint64_t refused = 0;   ///< answers and pushes that did not
  };

  explicit Identify(Swarm& swarm, IdentifyOptions options = {});
  ~Identify();

  /// What a connected peer has said of itself, if it has answered yet.
  [[nodiscard]] const IdentifyInfo* info(const crypto::PeerId& peer) const;
  /// The addresses under which connected peers see this one, confirmed or not.
  [[nodiscard]] std::vector<Multiaddr> observed_addresses() const;
  /// What is announced of us, without /p2p.
  [[nodiscard]] std::vector<Multiaddr> announced() const;
  /// Our record for others to pass on.
  Result<CertifiedRecord> record();
  [[nodiscard]] const Counters& counters() const { return counters_; }
  /// Called after each answer and push, from the lane's loop.
  void on_identified(Callback callback) { callbacks_.push_back(std::move(callback)); }
  /// Before the swarm's close().
  Task<void> close();

 private:
  struct Known {
    std::optional<IdentifyInfo> info;
    bool pushing = false;  ///< a push of theirs is being read
    std::size_t pushes = 0;
    SteadyTime window{};  ///< since when they are counted
  };
  /// What was last told to everybody.
  struct Announcement {
    std::vector<Multiaddr> addresses;
    std::vector<std::string> protocols;
    friend bool operator==(const Announcement&, const Announcement&) = default;
  };

  IdentifyInfo own();
  Task<void> answer(std::unique_ptr<Stream> stream);
  Task<void> ask(crypto::PeerId peer);
  Task<Result<IdentifyInfo>> exchange(crypto::PeerId peer);
  static Task<Result<IdentifyInfo>> read_info(Stream& stream);

  Task<void> take_push(std::unique_ptr<Stream> stream);
  bool may_push(Known& known) const;
  Task<void> announce();
  Task<Result<void>> wait_for_change();
  Task<void> tell(crypto::PeerId peer);
  Task<Result<void>> push(crypto::PeerId peer);

  /// Errc::permission_denied if it is not about `peer`; a record that is not is taken out.
  Result<std::optional<CertifiedRecord>> check(const crypto::PeerId& peer, IdentifyInfo& info) const;
  void learn(const crypto::PeerId& peer, IdentifyInfo said);
  void consider_observation(const crypto::PeerId& peer, const Multiaddr& seen);
  void touch();

  Swarm& swarm_;
  IdentifyOptions options_;
  RecordIssuer issuer_;
  ObservedAddresses observed_;
  std::map<crypto::PeerId, Known> known_;
  std::vector<Callback> callbacks_;
  Counters counters_;
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
