// The behaviours by which a node reports on itself or changes a setting: hello, status, peers, onboarding, resources,
// capabilities, the log's level (protocol/node.hpp). Those that are not served yet are refused by name
// (protocol/refused.hpp).
//
// The reply to a change is sent after it is stored; one that cannot be stored is undone in memory. The level of the log
// is that of the process and lasts until its end. The status lists what could not be determined and holds the rest; of
// the configuration it holds what config::Loaded::shown() lets pass, so no secret. It counts the actors of the node: more
// than its allocations, its unfinished deployments and the node itself are those that were not stopped.
// Threads: the node's lane.
#pragma once

#include <functional>

#include "actor/actor.hpp"
#include "node/capability_file.hpp"
#include "node/services.hpp"
#include "protocol/node.hpp"

namespace dms::node {

inline constexpr Duration kPeerPingTimeout = 1s;
inline constexpr Duration kPeerConnectTimeout = 15s;

class NodeBehaviours {
 public:
  /// `renewed` is called with who has anchored capabilities here: a sign of life of an orchestrator.
  NodeBehaviours(Services& services, const Options& options, actor::Actor& root, CapabilityFile& capabilities,
                 std::function<Task<void>(did::Did)> renewed)
      : services_(services),
        options_(options),
        root_(root),
        capabilities_(capabilities),
        renewed_(std::move(renewed)) {}
  Result<void> start();

 private:
  using Request = const actor::Envelope&;
  Task<protocol::HelloReply> hello(protocol::Nothing, Request);
  Task<protocol::PublicStatusReply> public_status(protocol::Nothing, Request);
  Task<protocol::PingReply> ping(protocol::PingRequest request, Request);
  Task<protocol::PeersReply> peers(protocol::Nothing, Request);
  Task<protocol::SelfReply> self(protocol::Nothing, Request);
  Task<protocol::ConnectReply> connect(protocol::ConnectRequest request, Request);
  Task<protocol::OnboardReply> onboard(protocol::OnboardRequest request, Request);
  Task<protocol::OnboardReply> offboard(protocol::Nothing, Request);
  Task<protocol::OnboardStatusReply> onboard_status(protocol::Nothing, Request);
  Task<protocol::ResourcesReply> allocated(protocol::Nothing, Request);
  Task<protocol::ResourcesReply> free(protocol::Nothing, Request);
  Task<protocol::ResourcesReply> onboarded(protocol::Nothing, Request);
  Task<protocol::ResourcesReply> hardware_spec(protocol::Nothing, Request);
  Task<protocol::ResourcesReply> hardware_usage(protocol::Nothing, Request);
  Task<protocol::CapListReply> cap_list(protocol::CapListRequest request, Request);
  Task<protocol::CapAnchorReply> cap_anchor(protocol::CapAnchorRequest request, Request envelope);
  Task<protocol::Ack> logger_config(protocol::LoggerConfigRequest request, Request envelope);
  Task<protocol::NodeStatusReply> status(protocol::Nothing, Request);

  [[nodiscard]] protocol::SelfReply p2p() const;
  [[nodiscard]] protocol::UnenforcedLimits unenforced() const;

  Services& services_;
  const Options& options_;
  actor::Actor& root_;
  CapabilityFile& capabilities_;
  std::function<Task<void>(did::Did)> renewed_;
};

}  // namespace dms::node
