#include "node/node_behaviours.hpp"

#include "base/log.hpp"
#include "observability/logging.hpp"
#include "protocol/refused.hpp"
#include "protocol/serve.hpp"

namespace dms::node {

using namespace protocol;
namespace {

constexpr std::size_t kMaxNames = 200;  ///< bytes, in an error

ResourcesReply reply_of(const Result<capability::Resources>& resources) {
  if (!resources) return {.error = resources.error().to_string()};
  return {.ok = true, .resources = *resources};
}

}  // namespace

Result<void> NodeBehaviours::start() {
  using N = NodeBehaviours;
  TRY_VOID(serve(root_, kBroadcastHello, *this, &N::hello));
  TRY_VOID(root_.subscribe(std::string(kHelloTopic)));
  TRY_VOID(serve(root_, kPublicHello, *this, &N::hello));
  TRY_VOID(serve(root_, kPublicStatus, *this, &N::public_status));
  TRY_VOID(serve(root_, kPeersPing, *this, &N::ping));
  TRY_VOID(serve(root_, kPeersList, *this, &N::peers));
  TRY_VOID(serve(root_, kPeersSelf, *this, &N::self));
  TRY_VOID(serve(root_, kPeersConnect, *this, &N::connect));
  TRY_VOID(serve(root_, kOnboard, *this, &N::onboard));
  TRY_VOID(serve(root_, kOffboard, *this, &N::offboard));
  TRY_VOID(serve(root_, kOnboardStatus, *this, &N::onboard_status));
  TRY_VOID(serve(root_, kResourcesAllocated, *this, &N::allocated));
  TRY_VOID(serve(root_, kResourcesFree, *this, &N::free));
  TRY_VOID(serve(root_, kResourcesOnboarded, *this, &N::onboarded));
  TRY_VOID(serve(root_, kHardwareSpec, *this, &N::hardware_spec));
  TRY_VOID(serve(root_, kHardwareUsage, *this, &N::hardware_usage));
  TRY_VOID(serve(root_, kCapList, *this, &N::cap_list));
  TRY_VOID(serve(root_, kNodeStatus, *this, &N::status));
  TRY_VOID(serve(root_, kBroadcastNodeStatus, *this, &N::status));
  TRY_VOID(root_.subscribe(std::string(kStatusTopic)));
  TRY_VOID(serve(root_, kLoggerConfig, *this, &N::logger_config));
  TRY_VOID(refuse_behaviours(root_, Holder::node));
  return serve(root_, kCapAnchor, *this, &N::cap_anchor);
}

Task<HelloReply> NodeBehaviours::hello(Nothing, Request) { co_return HelloReply{root_.handle().did}; }

Task<PublicStatusReply> NodeBehaviours::public_status(Nothing, Request) {
  PublicStatusReply reply;
  if (Result<capability::Resources> machine = services_.machine()) {
    reply.status = "OK";
    reply.resources = std::move(*machine);
  }
  co_return reply;
}

Task<PingReply> NodeBehaviours::ping(PingRequest request, Request) {
  PingReply reply;
  Result<crypto::PeerId> peer = crypto::PeerId::parse(request.host);
  if (!peer) {
    reply.error = fmt::format("Host: expected a peer id, {}", peer.error().to_string());
    co_return reply;
  }
  Result<Duration> rtt = co_await with_timeout(kPeerPingTimeout, services_.network.ping(*peer));
  if (rtt)
    reply.rtt_ms = std::chrono::duration_cast<std::chrono::milliseconds>(*rtt).count();
  else
    reply.error = fmt::format("ping {}: {}", request.host, rtt.error().to_string());
  co_return reply;
}

Task<PeersReply> NodeBehaviours::peers(Nothing, Request) {
  PeersReply reply;
  for (const crypto::PeerId& peer : services_.network.peers()) reply.peers.push_back(peer.to_string());
  co_return reply;
}

SelfReply NodeBehaviours::p2p() const {
  SelfReply reply;
  reply.id = services_.network.self().to_string();
  reply.listen_addr = fmt::format("{}", fmt::join(services_.network.listen_addresses(), ", "));
  return reply;
}

UnenforcedLimits NodeBehaviours::unenforced() const {
  UnenforcedLimits all;
  for (const auto& [type, engine] : services_.executors)
    if (std::string text = engine->unenforced(); !text.empty()) all.emplace(type, std::move(text));
  return all;
}

Task<SelfReply> NodeBehaviours::self(Nothing, Request) { co_return p2p(); }

Task<ConnectReply> NodeBehaviours::connect(ConnectRequest request, Request) {
  ConnectReply reply;
  Result<void> connected = co_await with_timeout(kPeerConnectTimeout, services_.network.connect(request.address));
  if (connected)
    reply.status = "CONNECTED";
  else
    reply.error = fmt::format("connect to {}: {}", request.address, connected.error().to_string());
  co_return reply;
}

Task<OnboardReply> NodeBehaviours::onboard(OnboardRequest request, Request) {
  OnboardReply reply;
  capability::Resources share = std::move(request.config.onboarded_resources);
  if (request.no_gpu) share.gpus.clear();
  Result<capability::Resources> machine = services_.machine();
  Result<void> done;
  if (!machine) {
    done = std::unexpected(machine.error());
  } else {
    if (share.cpu.architecture.empty()) share.cpu.architecture = machine->cpu.architecture;
    if (share.cpu.clock_speed.empty()) share.cpu.clock_speed = machine->cpu.clock_speed;
    done = co_await services_.resources.onboard(share, *machine);
  }
  if (!done) {
    reply.error = done.error().to_string();
    co_return reply;
  }
  reply.ok = true;
  reply.unenforced = unenforced();
  reply.config.is_onboarded = true;
  reply.config.onboarded_resources = std::move(share);
  co_return reply;
}

Task<OnboardReply> NodeBehaviours::offboard(Nothing, Request) {
  OnboardReply reply;
  Result<void> done = co_await services_.resources.offboard();
  reply.ok = done.has_value();
  if (!done) reply.error = done.error().to_string();
  co_return reply;
}

Task<OnboardStatusReply> NodeBehaviours::onboard_status(Nothing, Request) {
  OnboardStatusReply reply;
  reply.onboarded = services_.resources.onboarded().has_value();
  reply.unenforced = unenforced();
  co_return reply;
}

Task<ResourcesReply> NodeBehaviours::allocated(Nothing, Request) {
  co_return reply_of(services_.resources.allocated());
}
Task<ResourcesReply> NodeBehaviours::free(Nothing, Request) { co_return reply_of(services_.resources.free()); }
Task<ResourcesReply> NodeBehaviours::onboarded(Nothing, Request) {
  const auto share = services_.resources.onboarded();
  if (!share)
    co_return ResourcesReply{
        .error = "this machine is not onboarded; onboard it with `nunet actor cmd /dms/node/onboarding/onboard`"};
  co_return ResourcesReply{.ok = true, .resources = *share};
}
Task<ResourcesReply> NodeBehaviours::hardware_spec(Nothing, Request) { co_return reply_of(services_.machine()); }
Task<ResourcesReply> NodeBehaviours::hardware_usage(Nothing, Request) { co_return reply_of(services_.usage()); }

Task<CapListReply> NodeBehaviours::cap_list(CapListRequest request, Request) {
  CapListReply reply;
  if (!request.context.empty() && request.context != capabilities_.name()) {
    reply.error = fmt::format("Context: this node has the context '{}' only", capabilities_.name());
    co_return reply;
  }
  ucan::Anchors anchors = root_.security().capabilities()->anchors();
  reply.ok = true;
  reply.roots = std::move(anchors.roots);
  reply.require = std::move(anchors.require);
  reply.provide = std::move(anchors.provide);
  reply.revoke = std::move(anchors.revoke);
  co_return reply;
}

Task<CapAnchorReply> NodeBehaviours::cap_anchor(CapAnchorRequest request, Request envelope) {
  ucan::Anchors more;
  more.roots = std::move(request.root);
  more.require = std::move(request.require);
  more.provide = std::move(request.provide);
  more.revoke = std::move(request.revoke);
  Task<Result<void>> anchoring = capabilities_.anchor(std::move(more));
  const Result<void> done = co_await std::move(anchoring);
  CapAnchorReply reply;
  reply.ok = done.has_value();
  if (!done) reply.error = done.error().to_string();
  if (done) co_await renewed_(envelope.from.did);
  co_return reply;
}

Task<Ack> NodeBehaviours::logger_config(LoggerConfigRequest request, Request envelope) {
  Ack reply;
  Result<log::Level> level = observability::parse_level(request.level);
  const std::string others = fmt::format("{}", fmt::join(request.others, ", "));
  if (!others.empty())
    level = fail(Errc::unsupported, "{}: only Level can be changed while a node runs, which sends its log to no server",
                 others.substr(0, kMaxNames));
  reply.ok = level.has_value();
  if (level) {
    log::info("node", "the log level is {} from now on, as {} asks", observability::to_string(*level),
              envelope.from.did.uri());
    log::set_level(*level);
  } else {
    reply.error = level.error().to_string();
  }
  co_return reply;
}

Task<NodeStatusReply> NodeBehaviours::status(Nothing, Request) {
  NodeStatus status;
  const auto take = [&status](std::string_view what, auto found, auto& into) {
    if (found)
      into = *std::move(found);
    else
      status.errors.push_back(fmt::format("{}: {}", what, found.error().to_string()));
  };
  take("hostname", services_.hostname(), status.hostname);
  status.did = root_.handle().did.uri();
  std::vector<hardware::Interface> interfaces;
  take("network interfaces", services_.interfaces(), interfaces);
  for (hardware::Interface& each : interfaces)
    status.network.interfaces.push_back({std::move(each.name), std::move(each.addresses), std::move(each.mac_address)});
  status.network.p2p = p2p();
  take("total resources", services_.machine(), status.resources.total);
  if (const auto share = services_.resources.onboarded()) {
    status.onboarded = true;
    status.resources.onboarded = *share;
    take("allocated resources", services_.resources.allocated(), status.resources.allocated);
    take("free resources", services_.resources.free(), status.resources.free);
  }
  status.config = options_.config;
  status.unenforced = unenforced();
  status.actors = root_.system().registry.actors().size();
  NodeStatusReply reply;
  reply.peers.emplace(status.network.p2p.id, std::move(status));
  co_return reply;
}

}  // namespace dms::node
