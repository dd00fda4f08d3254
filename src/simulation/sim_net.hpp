// The Net of a simulated node: listening, connecting and name resolution.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "runtime/stream.hpp"
#include "simulation/sim_names.hpp"
#include "simulation/sim_stream.hpp"

namespace dms {

/// What the nodes of a simulation share. Nodes are numbered from 1; their addresses are 10.0.0.1, 10.0.0.2, ...
struct SimNetwork {
  SimClock& clock;
  SimLinks& links;
  SimNames& names;
  std::vector<SimSockets*> nodes;  ///< by number - 1

  static constexpr std::uint32_t kMaxNodes = (1 << 24) - 1;
  static IpAddress address_of(std::uint32_t node);
  /// Of a node that is alive; null if there is none. O(1).
  [[nodiscard]] SimSockets* find(const IpAddress& address) const;
};

class SimListener final : public Listener {
 public:
  SimListener(SimSockets& node, IpEndpoint local);
  /// A Unix socket.
  SimListener(SimSockets& node, std::string path);
  ~SimListener() override { close(); }
  Task<Result<Accepted>> accept() override;
  [[nodiscard]] IpEndpoint local() const override { return local_; }
  [[nodiscard]] std::optional<UserId> user() const { return user_; }
  void close() override;
  void offer(Accepted accepted);

 private:
  SimSockets& node_;
  IpEndpoint local_;
  std::string path_;
  std::optional<UserId> user_;
  bool closed_ = false;
  std::deque<Accepted> backlog_;
  Notify arrived_;
};

class SimNet final : public Net {
 public:
  SimNet(SimNetwork& network, SimSockets& node) : network_(network), node_(node) {}

  Result<std::unique_ptr<Listener>> listen_tcp(const IpEndpoint& at) override;
  Task<Result<Accepted>> connect_tcp(IpEndpoint to) override;
  using Net::listen_unix;
  /// Any user may connect: the mode of a socket's file is not simulated.
  Result<std::unique_ptr<Listener>> listen_unix(const std::string& path, unsigned mode) override;
  Task<Result<std::unique_ptr<ByteStream>>> connect_unix(std::string path) override;
  Task<Result<std::vector<IpAddress>>> resolve_host(std::string name, IpFamily family) override;
  Task<Result<std::vector<std::string>>> resolve_text(std::string name) override;
  Result<std::vector<IpAddress>> interface_addresses() override;

 private:
  /// One query for a name, which it turns into lower case.
  Task<Result<void>> query(std::string& name);

  SimNetwork& network_;
  SimSockets& node_;
};

}  // namespace dms
