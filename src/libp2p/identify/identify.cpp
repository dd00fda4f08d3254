#include "libp2p/identify/identify.hpp"

#include <algorithm>

#include "base/log.hpp"
#include "base/varint.hpp"
#include "libp2p/protobuf.hpp"

namespace dms::libp2p {
namespace {

constexpr std::uint32_t kPublicKey = 1, kListenAddress = 2, kProtocol = 3, kObservedAddress = 4, kProtocolVersion = 5,
                        kAgentVersion = 6;

std::string short_text(BytesView bytes) { return std::string(as_text(bytes).substr(0, IdentifyInfo::kMaxText)); }

}  // namespace

Bytes IdentifyInfo::encode() const {
  ProtoWriter out;
  if (!public_key.empty()) out.bytes(kPublicKey, public_key);
  for (const Multiaddr& address : listen_addresses) out.bytes(kListenAddress, address.bytes());
  for (const std::string& name : protocols) out.text(kProtocol, name);
  if (observed_address) out.bytes(kObservedAddress, observed_address->bytes());
  out.text(kProtocolVersion, protocol_version);
  out.text(kAgentVersion, agent_version);
  return out.take();
}

Result<void> IdentifyInfo::merge(BytesView message) {
  ProtoReader reader(message);
  for (;;) {
    TRY(auto field, reader.next());
    if (!field) return {};
    if (field->type != ProtoField::Type::bytes) continue;
    switch (field->number) {
      case kPublicKey: public_key = to_bytes(field->bytes); break;
      case kProtocolVersion: protocol_version = short_text(field->bytes); break;
      case kAgentVersion: agent_version = short_text(field->bytes); break;
      case kProtocol:
        if (protocols.size() < kMaxProtocols && field->bytes.size() <= kMaxText)
          protocols.emplace_back(as_text(field->bytes));
        break;
      case kListenAddress:
        if (listen_addresses.size() < kMaxAddresses)
          if (auto address = Multiaddr::from_bytes(field->bytes)) listen_addresses.push_back(std::move(*address));
        break;
      case kObservedAddress:
        if (auto address = Multiaddr::from_bytes(field->bytes)) observed_address = std::move(*address);
        break;
      default: break;
    }
  }
}

Identify::Identify(Swarm& swarm, IdentifyOptions options)
    : swarm_(swarm), options_(std::move(options)), nursery_(swarm.runtime().lane, "libp2p identify") {
  swarm_.set_stream_handler(std::string(kIdentifyProtocol),
                            [this](std::unique_ptr<Stream> stream) { return answer(std::move(stream)); });
  connected_ = swarm_.on_peer_connected([this](const crypto::PeerId& peer) { nursery_.spawn(ask(peer)); });
  disconnected_ = swarm_.on_peer_disconnected([this](const crypto::PeerId& peer) { known_.erase(peer); });
}

Identify::~Identify() = default;

const IdentifyInfo* Identify::info(const crypto::PeerId& peer) const {
  const auto it = known_.find(peer);
  return it == known_.end() ? nullptr : &it->second;
}

std::vector<Multiaddr> Identify::observed_addresses() const {
  std::vector<Multiaddr> out;
  for (const auto& [peer, info] : known_)
    if (info.observed_address && std::ranges::find(out, *info.observed_address) == out.end())
      out.push_back(*info.observed_address);
  return out;
}

Task<void> Identify::answer(std::unique_ptr<Stream> stream) {
  IdentifyInfo mine;
  mine.protocol_version = options_.protocol_version;
  mine.agent_version = options_.agent_version;
  mine.public_key = swarm_.key().public_key().marshal();
  for (const Multiaddr& address : swarm_.addresses()) mine.listen_addresses.push_back(address.without_peer());
  mine.protocols = swarm_.protocols();
  mine.observed_address = swarm_.remote_address(stream->remote_peer());
  const Bytes message = delimited(mine.encode());
  Result<void> sent = co_await with_timeout(options_.timeout, stream->write(message));
  if (sent) (void)co_await stream->close_write();
}

Task<Result<IdentifyInfo>> Identify::exchange(crypto::PeerId peer) {
  CO_TRY(std::unique_ptr<Stream> stream, co_await swarm_.new_stream(peer, std::string(kIdentifyProtocol)));
  (void)co_await stream->close_write();
  // Usually one message; large ones come in parts, each a message of its own, until the stream ends.
  CO_TRY(Bytes all, co_await read_to_end(*stream, kMaxMessage));
  IdentifyInfo info;
  BytesView rest = all;
  for (std::size_t part = 0; !rest.empty(); ++part) {
    if (part == kMaxParts) co_return fail(Errc::limit_exceeded, "identify: more than {} messages", kMaxParts);
    CO_TRY(Varint size, parse_varint(rest));
    rest = rest.subspan(size.size);
    if (size.value > rest.size()) co_return fail(Errc::invalid_argument, "identify: a message is cut short");
    CO_TRY_VOID(info.merge(rest.first(size.value)));
    rest = rest.subspan(size.value);
  }
  const auto key = swarm_.remote_key(peer);
  if (!info.public_key.empty() && key && key->marshal() != info.public_key)
    co_return fail(Errc::permission_denied, "identify: {} sent the public key of somebody else", peer.to_string());
  co_return std::move(info);
}

Task<void> Identify::ask(crypto::PeerId peer) {
  Result<IdentifyInfo> info = co_await with_timeout(options_.timeout, exchange(peer));
  if (!info) {
    log::debug("libp2p", "identify {}: {}", peer.to_string(), info.error().to_string());
    co_return;
  }
  if (!swarm_.connected(peer)) co_return;
  swarm_.set_protocols(peer, info->protocols);
  swarm_.add_addresses(peer, info->listen_addresses);
  const IdentifyInfo& kept = known_[peer] = std::move(*info);
  for (const Callback& callback : callbacks_) callback(peer, kept);
}

Task<void> Identify::close() {
  swarm_.remove_notification(connected_);
  swarm_.remove_notification(disconnected_);
  swarm_.remove_stream_handler(std::string(kIdentifyProtocol));
  co_await nursery_.close();
}

}  // namespace dms::libp2p
