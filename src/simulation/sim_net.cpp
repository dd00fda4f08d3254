#include "simulation/sim_net.hpp"

namespace dms {

IpAddress SimNetwork::address_of(std::uint32_t node) {
  return IpAddress::v4({10, static_cast<std::uint8_t>(node >> 16), static_cast<std::uint8_t>(node >> 8),
                        static_cast<std::uint8_t>(node)});
}

SimSockets* SimNetwork::find(const IpAddress& address) const {
  const BytesView bytes = address.bytes();
  if (address.is_v6() || bytes[0] != 10) return nullptr;
  const std::uint32_t number = std::uint32_t{bytes[1]} << 16 | std::uint32_t{bytes[2]} << 8 | bytes[3];
  if (number == 0 || number > nodes.size()) return nullptr;
  SimSockets* node = nodes[number - 1];
  return node->alive ? node : nullptr;
}

SimListener::SimListener(SimSockets& node, IpEndpoint local) : node_(node), local_(local), user_(node.user) {
  node_.listeners[local.port] = this;
}

SimListener::SimListener(SimSockets& node, std::string path) : node_(node), path_(std::move(path)), user_(node.user) {
  node_.unix_listeners[path_] = this;
}

Task<Result<Accepted>> SimListener::accept() {
  while (backlog_.empty()) {
    if (closed_) co_return fail(Errc::closed, "the listener is closed");
    CO_TRY_VOID(co_await arrived_.wait());
  }
  Accepted next = std::move(backlog_.front());
  backlog_.pop_front();
  co_return std::move(next);
}

void SimListener::close() {
  if (closed_) return;
  closed_ = true;
  if (path_.empty())
    node_.listeners.erase(local_.port);
  else
    node_.unix_listeners.erase(path_);
  backlog_.clear();
  arrived_.notify_all();
}

void SimListener::offer(Accepted accepted) {
  backlog_.push_back(std::move(accepted));
  arrived_.notify_one();
}

Result<std::unique_ptr<Listener>> SimNet::listen_tcp(const IpEndpoint& at) {
  if (!node_.alive) return fail(Errc::io, "listen on {}: the node is down", at.to_string());
  IpEndpoint local{at.address.is_unspecified() ? node_.address : at.address, at.port};
  if (local.port == 0) local.port = node_.ephemeral_port();
  if (node_.listeners.contains(local.port))
    return fail(Errc::already_exists, "listen on {}: address in use", at.to_string());
  return std::make_unique<SimListener>(node_, local);
}

Task<Result<Accepted>> SimNet::connect_tcp(IpEndpoint to) {
  SimLinks& links = network_.links;
  SimSockets* other = to.address.is_loopback() ? &node_ : network_.find(to.address);
  // Where the address has no node, the attempt takes as long as one to a node that does not answer.
  const std::uint32_t target = other == nullptr ? node_.node : other->node;
  if (!node_.alive) co_return fail(Errc::io, "connect to {}: the node is down", to.to_string());
  CO_TRY_VOID(co_await sleep_for(links.connect_delay(node_.node, target)));
  if (!node_.alive) co_return fail(Errc::io, "connect to {}: the node is down", to.to_string());
  if (other == nullptr || !other->alive || links.is_cut(node_.node, target)) {
    const SimLink& link = other == nullptr ? links.default_link() : links.link(node_.node, target);
    CO_TRY_VOID(co_await sleep_for(link.give_up));
    co_return fail(Errc::io, "connect to {}: no answer", to.to_string());
  }
  const auto listener = other->listeners.find(to.port);
  if (listener == other->listeners.end()) {
    CO_TRY_VOID(co_await sleep_for(links.delay(target, node_.node)));
    co_return fail(Errc::io, "connect to {}: connection refused", to.to_string());
  }
  auto [forth, back] = SimPipe::pair(network_.clock, links, node_, *other);
  const IpEndpoint local{to.address.is_loopback() ? to.address : node_.address, node_.ephemeral_port()};
  Accepted at_listener;
  const bool inside = other == &node_;
  at_listener.stream = std::make_unique<SimStream>(*other, forth, back, inside ? node_.user : std::nullopt);
  at_listener.local = to;
  at_listener.remote = local;
  Accepted at_dialer;
  at_dialer.stream = std::make_unique<SimStream>(node_, back, forth, inside ? listener->second->user() : std::nullopt);
  at_dialer.local = local;
  at_dialer.remote = to;
  listener->second->offer(std::move(at_listener));
  CO_TRY_VOID(co_await sleep_for(links.connect_delay(target, node_.node)));
  if (!node_.alive) co_return fail(Errc::io, "connect to {}: the node is down", to.to_string());
  co_return std::move(at_dialer);
}

Result<std::unique_ptr<Listener>> SimNet::listen_unix(const std::string& path, unsigned) {
  if (!node_.alive) return fail(Errc::io, "listen on {}: the node is down", path);
  if (node_.unix_listeners.contains(path)) return fail(Errc::already_exists, "listen on {}: address in use", path);
  return std::make_unique<SimListener>(node_, path);
}

Task<Result<std::unique_ptr<ByteStream>>> SimNet::connect_unix(std::string path) {
  const auto listener = node_.unix_listeners.find(path);
  if (!node_.alive || listener == node_.unix_listeners.end())
    co_return fail(Errc::not_found, "connect to {}: nothing listens there", path);
  auto [forth, back] = SimPipe::pair(network_.clock, network_.links, node_, node_);
  Accepted at_listener;
  at_listener.stream = std::make_unique<SimStream>(node_, forth, back, node_.user);
  std::unique_ptr<ByteStream> at_dialer = std::make_unique<SimStream>(node_, back, forth, listener->second->user());
  listener->second->offer(std::move(at_listener));
  co_return std::move(at_dialer);
}

Task<Result<std::vector<IpAddress>>> SimNet::resolve_host(std::string name, IpFamily family) {
  CO_TRY_VOID(co_await query(name));
  co_return network_.names.find_host(name, family);
}

Task<Result<std::vector<std::string>>> SimNet::resolve_text(std::string name) {
  CO_TRY_VOID(co_await query(name));
  co_return network_.names.find_text(name);
}

Result<std::vector<IpAddress>> SimNet::interface_addresses() {
  return std::vector<IpAddress>{IpAddress::v4({127, 0, 0, 1}), node_.address};
}

Task<Result<void>> SimNet::query(std::string& name) {
  SimNames& names = network_.names;
  for (char& c : name)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  if (!node_.alive) co_return fail(Errc::io, "look up {}: the node is down", name);
  ++names.queries;
  const bool silent = names.silent.contains(name);
  const Duration wait = silent ? network_.links.default_link().give_up : names.latency;
  CO_TRY_VOID(co_await sleep_for(wait));
  if (silent) co_return fail(Errc::io, "look up {}: no name server answers", name);
  co_return Result<void>();
}

}  // namespace dms
