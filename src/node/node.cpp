#include "node/node.hpp"

#include "base/log.hpp"

namespace dms::node {

Node::Node(Services services, std::unique_ptr<actor::System> system, std::unique_ptr<actor::Actor> root,
           Options options)
    : services_(std::move(services)),
      options_(std::move(options)),
      system_(std::move(system)),
      root_(std::move(root)),
      capabilities_(services_.runtime.lane, root_->security().capabilities(), options_.capabilities_file),
      transfers_(services_.runtime.lane, services_.network),
      behaviours_(services_, options_, *root_, capabilities_,
                  [this](did::Did owner) { return provider_.heard_from(std::move(owner)); }),
      revocations_(*root_, capabilities_),
      provider_(
          {services_.runtime.lane, services_.network, services_.resources, services_.executors, options_.work_dir,
           options_.location, options_.allow_privileged_docker, services_.store, services_.boot_id, options_.leases,
           options_.retention, &transfers_, options_.max_results, options_.prices, &services_.runtime.net},
          *root_),
      deployments_({services_.runtime.lane, services_.network, services_.store, options_.work_dir, services_.boot_id,
                    &transfers_, services_.executors.contains("null"), services_.matched},
                   *root_),
      actors_(*root_, [this](protocol::ActorInfo& actor) {
        deployments_.describe(actor);
        provider_.describe(actor);
      }) {}

Node::~Node() = default;

Task<Result<std::unique_ptr<Node>>> Node::start(Services services, crypto::PrivateKey identity,
                                                std::shared_ptr<ucan::CapabilityContext> capabilities,
                                                Options options) {
  Lane& lane = services.runtime.lane;
  auto system = std::make_unique<actor::System>(lane, services.network);
  CO_TRY(actor::SecurityContext security,
         actor::SecurityContext::create(std::move(identity), std::move(capabilities), lane.unix_now()));
  CO_TRY(auto root, actor::Actor::start(*system, std::move(security)));
  // The node's allocations and deployments answer once they are all taken up.
  root->hold();
  std::unique_ptr<Node> node(new Node(std::move(services), std::move(system), std::move(root), std::move(options)));
  Result<void> started = node->transfers_.open();
  if (started) started = co_await node->provider_.start();
  if (started) started = node->behaviours_.start();
  if (started) started = node->revocations_.start();
  if (started) started = node->actors_.start();
  if (started) started = co_await node->deployments_.start();
  if (!started) {
    co_await node->stop();
    co_return std::unexpected(started.error());
  }
  node->root_->open();
  co_return std::move(node);
}

std::set<crypto::PeerId> Node::partners() const {
  std::set<std::string> hosts = provider_.orchestrators();
  hosts.merge(deployments_.providers());
  std::set<crypto::PeerId> peers;
  for (const std::string& host : hosts)
    if (const auto peer = crypto::PeerId::parse(host); peer && *peer != services_.network.self()) peers.insert(*peer);
  return peers;
}

Task<void> Node::stop() {
  co_await deployments_.close();
  co_await provider_.close();
  co_await transfers_.close();
  co_await root_->stop();
}

}  // namespace dms::node
