// The behaviours that ask a node about itself or change a setting: peers, onboarding, resources, capabilities, hello.
// Payloads are those of NuNet's nodes.
#pragma once

#include "node/serve.hpp"
#include "node/services.hpp"

namespace dms::node {

inline constexpr Duration kPeerPingTimeout = 1s;
inline constexpr Duration kPeerConnectTimeout = 15s;

struct HelloReply {
  did::Did did;
  static constexpr auto json_fields() { return std::tuple(json::field("DID", &HelloReply::did)); }
};
struct PublicStatusReply {
  std::string status = "ERROR";
  capability::Resources resources;
  static constexpr auto json_fields() {
    return std::tuple(json::field("Status", &PublicStatusReply::status),
                      json::field("Resources", &PublicStatusReply::resources));
  }
};
struct PingRequest {
  std::string host;
  static constexpr auto json_fields() { return std::tuple(json::field("Host", &PingRequest::host)); }
};
struct PingReply {
  std::string error;
  std::int64_t rtt_ms = 0;
  static constexpr auto json_fields() {
    return std::tuple(json::field("Error", &PingReply::error), json::field("RTT", &PingReply::rtt_ms));
  }
};
struct PeersReply {
  std::vector<std::string> peers;
  static constexpr auto json_fields() { return std::tuple(json::field("Peers", &PeersReply::peers)); }
};
struct SelfReply {
  std::string id;
  std::string listen_addr;  // joined by ", "
  static constexpr auto json_fields() {
    return std::tuple(json::field("id", &SelfReply::id), json::field("listen_addr", &SelfReply::listen_addr));
  }
};
struct ConnectRequest {
  std::string address;
  static constexpr auto json_fields() { return std::tuple(json::field("Address", &ConnectRequest::address)); }
};
struct ConnectReply {
  std::string status;
  std::string error;
  static constexpr auto json_fields() {
    return std::tuple(json::field("Status", &ConnectReply::status), json::field("Error", &ConnectReply::error));
  }
};

struct OnboardingConfig {
  bool is_onboarded = false;
  capability::Resources onboarded_resources;
  static constexpr auto json_fields() {
    return std::tuple(json::field("is_onboarded", &OnboardingConfig::is_onboarded),
                      json::field("onboarded_resources", &OnboardingConfig::onboarded_resources));
  }
};
struct OnboardRequest {
  bool no_gpu = false;
  std::string gpus;
  OnboardingConfig config;
  static constexpr auto json_fields() {
    using R = OnboardRequest;
    return std::tuple(json::field("NoGPU", &R::no_gpu), json::field("GPUs", &R::gpus),
                      json::field("Config", &R::config));
  }
};
struct OnboardReply {
  bool ok = false;
  std::string error;
  OnboardingConfig config;
  static constexpr auto json_fields() {
    using R = OnboardReply;
    return std::tuple(json::field("success", &R::ok), json::field("error", &R::error, json::omit_empty),
                      json::field("config", &R::config));
  }
};
struct OnboardStatusReply {
  bool onboarded = false;
  static constexpr auto json_fields() { return std::tuple(json::field("onboarded", &OnboardStatusReply::onboarded)); }
};
struct ResourcesReply {
  bool ok = false;
  capability::Resources resources;
  std::string error;
  static constexpr auto json_fields() {
    using R = ResourcesReply;
    return std::tuple(json::field("OK", &R::ok), json::field("Resources", &R::resources),
                      json::field("error", &R::error, json::omit_empty));
  }
};

struct CapListReply {
  bool ok = false;
  std::string error;
  std::vector<did::Did> roots;
  ucan::TokenList require;
  ucan::TokenList provide;
  ucan::TokenList revoke;
  static constexpr auto json_fields() {
    using R = CapListReply;
    return std::tuple(json::field("OK", &R::ok), json::field("Error", &R::error), json::field("Roots", &R::roots),
                      json::field("Require", &R::require), json::field("Provide", &R::provide),
                      json::field("Revoke", &R::revoke));
  }
};
struct CapAnchorRequest {
  std::vector<did::Did> root;
  ucan::TokenList require;
  ucan::TokenList provide;
  ucan::TokenList revoke;
  static constexpr auto json_fields() {
    using R = CapAnchorRequest;
    return std::tuple(json::field("Root", &R::root), json::field("Require", &R::require),
                      json::field("Provide", &R::provide), json::field("Revoke", &R::revoke));
  }
};
struct CapAnchorReply {
  bool ok = false;
  std::string error;
  static constexpr auto json_fields() {
    return std::tuple(json::field("OK", &CapAnchorReply::ok), json::field("Error", &CapAnchorReply::error));
  }
};

class NodeBehaviours {
 public:
  NodeBehaviours(Services& services, const Options& options, actor::Actor& root)
      : services_(services), options_(options), root_(root) {}
  Result<void> start();

 private:
  using Letter = const actor::Envelope&;
  Task<HelloReply> hello(Nothing, Letter);
  Task<PublicStatusReply> public_status(Nothing, Letter);
  Task<PingReply> ping(PingRequest request, Letter);
  Task<PeersReply> peers(Nothing, Letter);
  Task<SelfReply> self(Nothing, Letter);
  Task<ConnectReply> connect(ConnectRequest request, Letter);
  Task<OnboardReply> onboard(OnboardRequest request, Letter);
  Task<OnboardReply> offboard(Nothing, Letter);
  Task<OnboardStatusReply> onboard_status(Nothing, Letter);
  Task<ResourcesReply> allocated(Nothing, Letter);
  Task<ResourcesReply> free(Nothing, Letter);
  Task<ResourcesReply> onboarded(Nothing, Letter);
  Task<ResourcesReply> hardware_spec(Nothing, Letter);
  Task<ResourcesReply> hardware_usage(Nothing, Letter);
  Task<CapListReply> cap_list(Nothing, Letter);
  Task<CapAnchorReply> cap_anchor(CapAnchorRequest request, Letter);

  Services& services_;
  const Options& options_;
  actor::Actor& root_;
};

}  // namespace dms::node
