// For tests: nodes on a network in memory whose peers can reset the streams of messages to them.
#pragma once

#include "actor/test_world.hpp"

namespace dms::orchestrator {

using Resetting = std::shared_ptr<std::set<crypto::PeerId>>;

/// A message to a peer that resets its streams fails as it does over a real connection; pings, broadcasts and what that peer
/// sends do not.
class ResetNetwork final : public network::Network {
 public:
  ResetNetwork(std::unique_ptr<network::Network> inner, Resetting resetting)
      : inner_(std::move(inner)), resetting_(std::move(resetting)) {}

  [[nodiscard]] const crypto::PeerId& self() const override { return inner_->self(); }
  [[nodiscard]] std::vector<std::string> listen_addresses() const override { return inner_->listen_addresses(); }
  Task<Result<void>> send(crypto::PeerId to, std::string protocol, Bytes message) override {
    if (resetting_->contains(to)) co_return fail(Errc::closed, "write: the stream was reset");
    co_return co_await inner_->send(to, std::move(protocol), std::move(message));
  }
  Result<void> handle(std::string protocol, network::MessageHandler handler) override {
    return inner_->handle(std::move(protocol), std::move(handler));
  }
  Task<Result<std::unique_ptr<ByteStream>>> open_stream(crypto::PeerId to, std::string protocol) override {
    return inner_->open_stream(to, std::move(protocol));
  }
  Result<void> handle_stream(std::string protocol, network::StreamHandler handler) override {
    return inner_->handle_stream(std::move(protocol), std::move(handler));
  }
  void remove_handler(const std::string& protocol) override { inner_->remove_handler(protocol); }
  Result<network::SubscriptionId> subscribe(std::string topic, network::Validator validator,
                                            network::BroadcastHandler handler) override {
    return inner_->subscribe(std::move(topic), std::move(validator), std::move(handler));
  }
  void unsubscribe(network::SubscriptionId id) override { inner_->unsubscribe(id); }
  Task<Result<void>> publish(std::string topic, Bytes message) override {
    return inner_->publish(std::move(topic), std::move(message));
  }
  Task<Result<void>> connect(std::string multiaddr) override { return inner_->connect(std::move(multiaddr)); }
  Task<Result<Duration>> ping(crypto::PeerId peer) override { return inner_->ping(peer); }
  [[nodiscard]] std::vector<crypto::PeerId> peers() const override { return inner_->peers(); }
  Task<void> close() override { return inner_->close(); }

 private:
  std::unique_ptr<network::Network> inner_;
  Resetting resetting_;
};

class ResetTestWorld : public actor::TestWorld {
 public:
  explicit ResetTestWorld(std::uint64_t seed)
      : ResetTestWorld(seed, std::make_shared<network::MemorySubstrate>(),
                       std::make_shared<std::set<crypto::PeerId>>()) {}

  const std::shared_ptr<network::MemorySubstrate> substrate;
  const Resetting resetting;

 private:
  ResetTestWorld(std::uint64_t seed, const std::shared_ptr<network::MemorySubstrate>& shared, const Resetting& reset)
      : TestWorld(seed,
                  [shared, reset](actor::TestNode& node) -> std::unique_ptr<network::Network> {
                    auto inner = std::make_unique<network::MemoryNetwork>(shared, node.lane(),
                                                                          crypto::PeerId::from(node.key.public_key()));
                    return std::make_unique<ResetNetwork>(std::move(inner), reset);
                  }),
        substrate(shared),
        resetting(reset) {}
};

}  // namespace dms::orchestrator
