#include "libp2p/protocols/identify/identify.hpp"

#include <algorithm>

#include "base/log.hpp"
#include "base/varint.hpp"

namespace dms::libp2p {

Identify::Identify(Swarm& swarm, IdentifyOptions options)
    : swarm_(swarm),
      options_(std::move(options)),
      issuer_(swarm.key()),
      observed_(options_.confirmations),
      nursery_(swarm.runtime().lane, "libp2p identify") {
  swarm_.set_stream_handler(std::string(kIdentifyProtocol),
                            [this](std::unique_ptr<Stream> stream) { return answer(std::move(stream)); });
  swarm_.set_stream_handler(std::string(kIdentifyPushProtocol),
                            [this](std::unique_ptr<Stream> stream) { return take_push(std::move(stream)); });
  connected_ = swarm_.on_peer_connected([this](const crypto::PeerId& peer) { nursery_.spawn(request(peer)); });
  disconnected_ = swarm_.on_peer_disconnected([this](const crypto::PeerId& peer) {
    known_.erase(peer);
    answered_.notify_all();
    if (observed_.forget(peer)) touch();
  });
  local_change_ = swarm_.on_local_change([this] { touch(); });
  nursery_.spawn(announce());
}

Identify::~Identify() = default;

const IdentifyInfo* Identify::info(const crypto::PeerId& peer) const {
  const auto it = known_.find(peer);
  return it == known_.end() || !it->second.info ? nullptr : &*it->second.info;
}

Task<Result<IdentifyInfo>> Identify::wait_for_info(crypto::PeerId peer) {
  for (;;) {
    if (!swarm_.connected(peer)) co_return fail(Errc::closed, "{} has closed the connection", peer.to_string());
    if (const auto it = known_.find(peer); it != known_.end()) {
      if (it->second.info) co_return *it->second.info;
      if (it->second.failure) co_return std::unexpected(*it->second.failure);
    }
    CO_TRY_VOID(co_await answered_.wait());
  }
}

std::vector<Multiaddr> Identify::observed_addresses() const {
  std::vector<Multiaddr> out;
  for (const auto& [peer, known] : known_)
    if (known.info && known.info->observed_address &&
        std::ranges::find(out, *known.info->observed_address) == out.end())
      out.push_back(*known.info->observed_address);
  return out;
}

std::vector<Multiaddr> Identify::announced() const {
  std::vector<Multiaddr> out;
  for (const Multiaddr& address : swarm_.addresses()) out.push_back(address.without_peer());
  for (const Multiaddr& address : observed_.confirmed())
    if (std::ranges::find(out, address) == out.end()) out.push_back(address);
  if (out.size() > IdentifyInfo::kMaxAddresses) out.resize(IdentifyInfo::kMaxAddresses);
  return out;
}

std::vector<std::string> Identify::announced_protocols() const {
  std::vector<std::string> names = swarm_.protocols();
  if (options_.announces) std::erase_if(names, [&](const std::string& name) { return !options_.announces(name); });
  return names;
}

Result<CertifiedRecord> Identify::record() { return issuer_.issue(announced(), swarm_.runtime().lane.unix_now()); }

IdentifyInfo Identify::own() {
  IdentifyInfo mine;
  mine.protocol_version = options_.protocol_version;
  mine.agent_version = options_.agent_version;
  mine.public_key = swarm_.key().public_key().marshal();
  mine.listen_addresses = announced();
  mine.protocols = announced_protocols();
  if (auto certified = record()) mine.signed_record = std::move(certified->envelope);
  return mine;
}

// ---- requests and answers --------------------------------------------------------------------------------------------

Task<void> Identify::answer(std::unique_ptr<Stream> stream) {
  IdentifyInfo mine = own();
  mine.observed_address = swarm_.remote_address(stream->remote_peer());
  const Bytes message = mine.encode_delimited();
  Result<void> sent = co_await with_timeout(options_.timeout, stream->write(message));
  if (sent) (void)co_await stream->close_write();
}

Task<Result<IdentifyInfo>> Identify::read_info(Stream& stream) {
  CO_TRY_VOID(stream.reservation().reserve_memory(kMaxMessage));
  CO_TRY(const Bytes all, co_await read_to_end(stream, kMaxMessage));
  co_return IdentifyInfo::decode_delimited(all, kMaxParts);
}

Task<Result<IdentifyInfo>> Identify::exchange(crypto::PeerId peer) {
  // A peer that closes after the handshake must not be dialed again, over and over.
  std::vector<std::string> protocols(1, std::string(kIdentifyProtocol));
  CO_TRY(std::unique_ptr<Stream> stream, co_await swarm_.new_stream_if_connected(peer, std::move(protocols)));
  (void)co_await stream->close_write();
  co_return co_await read_info(*stream);
}

Task<void> Identify::request(crypto::PeerId peer) {
  Result<IdentifyInfo> received = co_await with_timeout(options_.timeout, exchange(peer));
  Result<void> learned = received ? learn(peer, std::move(*received)) : Result<void>(std::unexpected(received.error()));
  if (learned) co_return;
  ++metrics_.refused;
  log::debug("libp2p", "identify {}: {}", peer.to_string(), learned.error().to_string());
  if (!swarm_.connected(peer)) co_return;
  known_[peer].failure = std::move(learned.error());
  answered_.notify_all();
}

Result<std::optional<CertifiedRecord>> Identify::check(const crypto::PeerId& peer, IdentifyInfo& info) const {
  const auto key = swarm_.remote_key(peer);
  if (!info.public_key.empty() && key && key->marshal() != info.public_key)
    return fail(Errc::permission_denied, "identify: {} sent the public key of another peer", peer.to_string());
  if (info.signed_record.empty()) return std::nullopt;
  auto certified = CertifiedRecord::open(info.signed_record);
  if (certified && certified->record.peer == peer) return std::optional(std::move(*certified));
  log::debug("libp2p", "identify: the signed record that {} sent is ignored: {}", peer.to_string(),
             certified ? "it is another peer's" : certified.error().to_string());
  info.signed_record.clear();
  return std::nullopt;
}

/// Ignores what a peer sent that has disconnected meanwhile.
Result<void> Identify::learn(const crypto::PeerId& peer, IdentifyInfo received) {
  if (!swarm_.connected(peer)) return {};
  TRY(auto certified, check(peer, received));
  Known& known = known_[peer];
  if (!known.info) known.info.emplace();
  known.info->update(received);
  PeerStore& store = swarm_.peer_store();
  const SteadyTime now = swarm_.runtime().lane.now();
  const auto& addresses = certified ? certified->record.addresses : received.listen_addresses;
  if (certified)
    (void)store.add_certified(std::move(*certified), PeerStore::kWhileConnected, now);
  else
    store.add_addresses(peer, addresses, PeerStore::kWhileConnected, now);
  if (const auto key = swarm_.remote_key(peer)) (void)store.set_key(peer, *key);
  if (!received.protocols.empty()) {
    swarm_.set_protocols(peer, received.protocols);
    store.set_protocols(peer, received.protocols);
  }
  if (received.observed_address) consider_observation(peer, *received.observed_address);
  answered_.notify_all();
  for (const Callback& callback : callbacks_) callback(peer, *known.info);
  return {};
}

/// Counts only observations of connections to a listener of this node: the local port of others is ephemeral.
void Identify::consider_observation(const crypto::PeerId& peer, const Multiaddr& seen) {
  const auto connection = swarm_.connection(peer);
  const auto from = connection ? connection->remote.tcp_endpoint() : std::nullopt;
  const auto endpoint = seen.tcp_endpoint();
  if (!from || !endpoint || endpoint->address.is_loopback() || endpoint->address.is_unspecified()) return;
  const auto listens = [&](const Multiaddr& address) { return address.without_peer() == connection->local; };
  if (std::ranges::none_of(swarm_.addresses(), listens)) return;
  if (observed_.report(peer, from->address, seen.without_peer())) touch();
}

// ---- pushing --------------------------------------------------------------------------------------------------------

bool Identify::may_push(Known& known) const {
  const SteadyTime now = swarm_.runtime().lane.now();
  if (known.pushing) return false;
  if (known.pushes == 0 || now - known.window >= kPushWindow) {
    known.window = now;
    known.pushes = 0;
  }
  return ++known.pushes <= kMaxPushes;
}

Task<void> Identify::take_push(std::unique_ptr<Stream> stream) {
  const crypto::PeerId peer = stream->remote_peer();
  if (!swarm_.connected(peer) || !may_push(known_[peer])) {
    ++metrics_.refused;
    co_return;
  }
  known_[peer].pushing = true;
  Result<IdentifyInfo> received = co_await with_timeout(options_.timeout, read_info(*stream));
  const auto it = known_.find(peer);
  if (it == known_.end()) co_return;  // disconnected meanwhile
  it->second.pushing = false;
  Result<void> learned = received ? learn(peer, std::move(*received)) : Result<void>(std::unexpected(received.error()));
  if (received) ++metrics_.received;
  if (learned) co_return;
  ++metrics_.refused;
  log::debug("libp2p", "identify/push of {}: {}", peer.to_string(), learned.error().to_string());
}

void Identify::touch() {
  changed_ = true;
  change_.notify_all();
}

Task<Result<void>> Identify::wait_for_change() {
  while (!changed_) CO_TRY_VOID(co_await change_.wait());
  co_return Result<void>();
}

Task<void> Identify::announce() {
  for (;;) {
    Result<void> woken = co_await with_timeout(options_.recheck, wait_for_change());
    if (!woken && !woken.error().is(Errc::deadline_exceeded)) co_return;
    if (woken) {
      Result<void> slept = co_await sleep_for(options_.push_delay);
      if (!slept) co_return;
    }
    changed_ = false;
    Announcement now{announced(), announced_protocols()};
    if (now == last_) continue;
    last_ = std::move(now);
    for (const crypto::PeerId& peer : swarm_.peers()) {
      while (pushing_ >= kMaxPushing) {
        Result<void> slot = co_await pushed_.wait();
        if (!slot) co_return;
      }
      const auto spoken = swarm_.protocols(peer);
      if (std::ranges::find(spoken, kIdentifyPushProtocol) == spoken.end()) continue;
      ++pushing_;
      nursery_.spawn(push_to(peer));
    }
  }
}

Task<void> Identify::push_to(crypto::PeerId peer) {
  Result<void> sent = co_await with_timeout(options_.timeout, push(peer));
  if (sent)
    ++metrics_.pushed;
  else
    log::debug("libp2p", "identify/push to {}: {}", peer.to_string(), sent.error().to_string());
  --pushing_;
  pushed_.notify_all();
}

Task<Result<void>> Identify::push(crypto::PeerId peer) {
  std::vector<std::string> protocols(1, std::string(kIdentifyPushProtocol));
  CO_TRY(std::unique_ptr<Stream> stream, co_await swarm_.new_stream_if_connected(peer, std::move(protocols)));
  IdentifyInfo mine = own();
  mine.observed_address = swarm_.remote_address(peer);
  const Bytes message = mine.encode_delimited();
  CO_TRY_VOID(co_await stream->write(message));
  co_return co_await stream->close_write();
}

Task<void> Identify::close() {
  for (const NotificationId id : {connected_, disconnected_, local_change_}) swarm_.remove_notification(id);
  swarm_.remove_stream_handler(std::string(kIdentifyProtocol));
  swarm_.remove_stream_handler(std::string(kIdentifyPushProtocol));
  co_await nursery_.close();
}

}  // namespace dms::libp2p
