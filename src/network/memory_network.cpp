#include "network/memory_network.hpp"

#include <utility>

namespace dms::network {
namespace {

using Pair = std::pair<crypto::PeerId, crypto::PeerId>;
Pair ordered(const crypto::PeerId& a, const crypto::PeerId& b) { return a < b ? Pair(a, b) : Pair(b, a); }

}  // namespace

void MemorySubstrate::cut(const crypto::PeerId& a, const crypto::PeerId& b, bool is_cut) {
  if (is_cut)
    cuts_.insert(ordered(a, b));
  else
    cuts_.erase(ordered(a, b));
}

void MemorySubstrate::reset_streams_to(const crypto::PeerId& peer, bool resets) {
  if (resets)
    resetting_.insert(peer);
  else
    resetting_.erase(peer);
}

bool MemorySubstrate::is_cut(const crypto::PeerId& a, const crypto::PeerId& b) const {
  return cuts_.contains(ordered(a, b));
}

MemoryNetwork* MemorySubstrate::find(const crypto::PeerId& from, const crypto::PeerId& to) const {
  const auto it = members_.find(to);
  return it == members_.end() || is_cut(from, to) ? nullptr : it->second;
}

MemoryNetwork::MemoryNetwork(std::shared_ptr<MemorySubstrate> substrate, Lane& lane, crypto::PeerId self)
    : substrate_(std::move(substrate)), lane_(lane), self_(self) {
  substrate_->members_[self_] = this;
}

namespace {
Error no_link(const crypto::PeerId& peer) {
  return unreachable(peer, Error(Errc::not_found, "there is no link to it"));
}
}  // namespace

std::vector<std::string> MemoryNetwork::listen_addresses() const { return {"/memory/p2p/" + self_.to_string()}; }

Result<void> MemoryNetwork::check_open() const {
  if (closed_) return fail(Errc::closed, "the network is closed");
  return {};
}

Task<Result<void>> MemoryNetwork::send(crypto::PeerId to, std::string protocol, Bytes message) {
  CO_TRY_VOID(check_open());
  if (message.size() + 8 > kMaxMessage)
    co_return fail(Errc::limit_exceeded, "a message of {} bytes is too large: at most {}", message.size(),
                   kMaxMessage - 8);
  if (substrate_->resetting_.contains(to)) co_return fail(Errc::closed, "write: the stream was reset");
  MemoryNetwork* receiver = substrate_->find(self_, to);
  if (receiver == nullptr && !substrate_->is_silent(self_, to)) co_return std::unexpected(no_link(to));
  if (receiver != nullptr && !receiver->handlers_.contains(protocol))
    co_return fail(Errc::unsupported, "peer {} does not speak {}", to.to_string(), protocol);
  dispatch({self_, to, std::move(protocol), false, std::move(message)});
  co_return Result<void>();
}

Result<void> MemoryNetwork::check_free(const std::string& protocol) const {
  if (handlers_.contains(protocol) || stream_handlers_.contains(protocol))
    return fail(Errc::already_exists, "protocol {} has a handler already", protocol);
  return check_open();
}

Result<void> MemoryNetwork::handle(std::string protocol, MessageHandler handler) {
  TRY_VOID(check_free(protocol));
  handlers_.emplace(std::move(protocol), std::make_shared<MessageHandler>(std::move(handler)));
  return {};
}

Result<void> MemoryNetwork::handle_stream(std::string protocol, StreamHandler handler) {
  TRY_VOID(check_free(protocol));
  stream_handlers_.emplace(std::move(protocol), std::make_shared<StreamHandler>(std::move(handler)));
  return {};
}

Task<Result<std::unique_ptr<ByteStream>>> MemoryNetwork::open_stream(crypto::PeerId to, std::string protocol) {
  CO_TRY_VOID(check_open());
  MemoryNetwork* receiver = substrate_->find(self_, to);
  if (receiver == nullptr) co_return std::unexpected(no_link(to));
  if (!receiver->stream_handlers_.contains(protocol))
    co_return fail(Errc::unsupported, "peer {} does not speak {}", to.to_string(), protocol);
  MemoryLink::Gate gate = [world = std::weak_ptr(substrate_), a = self_, b = to](bool forth, MutableBytes data) {
    const auto substrate = world.lock();
    if (!substrate || substrate->is_cut(a, b)) return false;
    return !substrate->stream_tap_ || substrate->stream_tap_(forth ? a : b, forth ? b : a, data);
  };
  const Duration latency = to == self_ ? Duration{} : substrate_->latency_;
  const auto link = std::make_shared<MemoryLink>(lane_, receiver->lane_, latency, std::move(gate));
  for (MemoryNetwork* member : {this, receiver}) {
    std::erase_if(member->streams_, [](const auto& stream) { return stream.expired(); });
    member->streams_.push_back(link);
  }
  receiver->lane_.call_at(receiver->lane_.now() + latency, [world = substrate_, link, from = self_, to, protocol] {
    const auto member = world->members_.find(to);
    if (member == world->members_.end()) return link->reset();
    const auto handler = member->second->stream_handlers_.find(protocol);
    if (handler == member->second->stream_handlers_.end()) return link->reset();
    const auto kept = handler->second;  // it may remove itself
    (*kept)(from, link->end(false));
  });
  co_return link->end(true);
}

Result<SubscriptionId> MemoryNetwork::subscribe(std::string topic, Validator validator, BroadcastHandler handler) {
  TRY_VOID(check_open());
  const auto id = static_cast<SubscriptionId>(++last_subscription_);
  subscriptions_[id] =
      std::make_shared<Subscription>(Subscription{std::move(topic), std::move(validator), std::move(handler)});
  return id;
}

Task<Result<void>> MemoryNetwork::publish(std::string topic, Bytes message) {
  CO_TRY_VOID(check_open());
  for (const auto& [id, member] : substrate_->members_)
    if (member != this) dispatch({self_, id, topic, true, message});
  co_return Result<void>();
}

void MemoryNetwork::dispatch(MemoryMessage message) {
  MemorySubstrate& world = *substrate_;
  MemoryNetwork* receiver = world.find(self_, message.to);
  const bool lost = world.loss_ > 0 && static_cast<double>(lane_.random().below(1'000'000)) < world.loss_ * 1e6;
  if (receiver == nullptr || lost || receiver->in_flight_ >= MemorySubstrate::kMaxInFlight ||
      (world.tap_ && !world.tap_(message))) {
    ++world.counters_.dropped;
    return;
  }
  ++receiver->in_flight_;
  Lane& lane = receiver->lane_;
  lane.call_at(lane.now() + (message.to == self_ ? Duration{} : world.latency_),
               [world = substrate_, message = std::move(message)]() mutable {
                 // The receiver may have left, or the link may have been cut, while the message was under way.
                 const auto it = world->members_.find(message.to);
                 if (it == world->members_.end()) return;
                 if (it->second->in_flight_ > 0) --it->second->in_flight_;  // none of its own, if it has just rejoined
                 if (world->is_cut(message.from, message.to)) return;
                 it->second->deliver(std::move(message));
               });
}

void MemoryNetwork::deliver(MemoryMessage message) {
  if (message.broadcast) return deliver_broadcast(std::move(message));
  const auto it = handlers_.find(message.channel);
  if (it == handlers_.end()) return;
  ++substrate_->counters_.delivered;
  const auto handler = it->second;  // it may remove itself
  (*handler)(message.from, std::move(message.body));
}

void MemoryNetwork::deliver_broadcast(MemoryMessage message) {
  std::vector<std::pair<SubscriptionId, Broadcast>> deliveries;
  for (const auto& [id, subscription] : subscriptions_)
    if (subscription->topic == message.channel) deliveries.push_back({id, {message.from, message.body, {}}});
  const auto find = [this](SubscriptionId id) {
    const auto it = subscriptions_.find(id);
    return it == subscriptions_.end() ? nullptr : it->second;
  };
  for (auto& [id, broadcast] : deliveries) {
    const auto subscription = find(id);
    if (!subscription) continue;
    const Validation validation = subscription->validator(broadcast);
    if (validation == Validation::accept) continue;
    ++(validation == Validation::reject ? substrate_->counters_.rejected : substrate_->counters_.ignored);
    return;
  }
  if (!deliveries.empty()) ++substrate_->counters_.delivered;
  for (auto& [id, broadcast] : deliveries)
    if (const auto subscription = find(id)) subscription->handler(broadcast);
}

Task<Result<void>> MemoryNetwork::connect(std::string multiaddr) {
  CO_TRY_VOID(check_open());
  const std::size_t at = multiaddr.rfind("/p2p/");
  if (at == std::string::npos)
    co_return fail(Errc::invalid_argument, "the address {} names no peer; end it with /p2p/<peer id>", multiaddr);
  CO_TRY(crypto::PeerId peer, crypto::PeerId::parse(multiaddr.substr(at + 5)));
  if (substrate_->find(self_, peer) == nullptr) co_return fail(Errc::not_found, "no peer answers at {}", multiaddr);
  co_return Result<void>();
}

Task<Result<Duration>> MemoryNetwork::ping(crypto::PeerId peer) {
  CO_TRY_VOID(check_open());
  if (peer == self_) co_return Duration(0);
  ++substrate_->counters_.pings;
  if (substrate_->find(self_, peer) != nullptr) co_return 2 * substrate_->latency_;
  if (substrate_->is_silent(self_, peer)) CO_TRY_VOID(co_await sleep_for(MemorySubstrate::kSilence));
  co_return std::unexpected(no_link(peer));
}

std::vector<crypto::PeerId> MemoryNetwork::peers() const {
  std::vector<crypto::PeerId> reachable;
  for (const auto& [id, member] : substrate_->members_)
    if (connected(id)) reachable.push_back(id);
  return reachable;
}

bool MemoryNetwork::connected(const crypto::PeerId& peer) const {
  const auto found = substrate_->members_.find(peer);
  return found != substrate_->members_.end() && found->second != this &&
         !(substrate_->notices_cuts_ && substrate_->is_cut(self_, peer));
}

void MemoryNetwork::leave() {
  closed_ = true;
  handlers_.clear();
  stream_handlers_.clear();
  subscriptions_.clear();
  for (const auto& stream : std::exchange(streams_, {}))
    if (const auto link = stream.lock()) link->reset();
  if (const auto it = substrate_->members_.find(self_); it != substrate_->members_.end() && it->second == this)
    substrate_->members_.erase(it);
}

Task<void> MemoryNetwork::close() {
  leave();
  co_return;
}

}  // namespace dms::network
