#include "network/libp2p_network.hpp"

#include <utility>

#include "base/log.hpp"
#include "network/memory_stream.hpp"

namespace dms::network {
namespace {

class Counted {
 public:
  explicit Counted(std::size_t& count) : count_(count) { ++count_; }
  Counted(const Counted&) = delete;
  Counted& operator=(const Counted&) = delete;
  ~Counted() { --count_; }

 private:
  std::size_t& count_;
};

libp2p::MessageAcceptance acceptance(Validation validation) {
  switch (validation) {
    case Validation::accept: return libp2p::MessageAcceptance::accept;
    case Validation::reject: return libp2p::MessageAcceptance::reject;
    case Validation::ignore: break;
  }
  return libp2p::MessageAcceptance::ignore;
}

/// As NuNet's nodes do, peers look for the root inbox in what identify announces. Other inboxes (of ensembles, allocations,
/// callers) are negotiated by peers that know them, and announcing each would show them to every peer.
constexpr std::string_view kInboxes = "actor/";
constexpr std::string_view kRootInbox = "actor/root/messages/0.0.1";

libp2p::Host::Options host_options(libp2p::Host::Options options) {
  options.identify.announces = [](std::string_view protocol) {
    return !protocol.starts_with(kInboxes) || protocol == kRootInbox;
  };
  return options;
}

/// In a turn of its own: a handler is not called from inside a call into the network.
Task<void> hand_over(std::shared_ptr<StreamHandler> handler, crypto::PeerId from, std::unique_ptr<ByteStream> stream) {
  (*handler)(from, std::move(stream));
  co_return;
}

Error told(const crypto::PeerId& peer, const Error& error) {
  return error.is(libp2p::DialErrc::unreachable) ? unreachable(peer, error) : error;
}

std::unexpected<Error> is_closed() { return fail(Errc::closed, "the network is closed"); }

}  // namespace

void Libp2pNetwork::register_metrics(metrics::Registry& registry) {
  host_.register_metrics(registry);
  pubsub_.register_metrics(registry);
  metrics_group_.in(registry)
      .counter("nunet_network_sent_total", "Messages sent.", metrics_.sent)
      .counter("nunet_network_repeated_total", "Messages sent again because their connection had ended.",
               metrics_.repeated)
      .counter("nunet_network_received_total", "Messages received and delivered.", metrics_.received)
      .counter("nunet_network_refused_total", "Inbound streams refused because too many are being read.",
               metrics_.refused)
      .counter("nunet_network_malformed_total", "Inbound streams without a whole frame in time.", metrics_.malformed)
      .gauge("nunet_network_sending", "Messages being sent.", [this] { return static_cast<std::int64_t>(sending_); })
      .gauge("nunet_network_receiving", "Messages being received.",
             [this] { return static_cast<std::int64_t>(receiving_); })
      .gauge("nunet_network_streams", "Streams of handle_stream() that are open.",
             [open = inbound_streams_] { return static_cast<std::int64_t>(open->all); });
}

/// One of the places for inbound messages.
class Libp2pNetwork::Place {
 public:
  Place(Libp2pNetwork& network, const crypto::PeerId& peer) : network_(network), peer_(peer) {
    ++network_.receiving_;
    ++network_.receiving_from_[peer_];
  }
  Place(const Place&) = delete;
  Place& operator=(const Place&) = delete;
  ~Place() {
    --network_.receiving_;
    const auto it = network_.receiving_from_.find(peer_);
    if (--it->second == 0) network_.receiving_from_.erase(it);
  }
  static bool free(const Libp2pNetwork& network, const crypto::PeerId& peer) {
    const auto it = network.receiving_from_.find(peer);
    const std::size_t held = it == network.receiving_from_.end() ? 0 : it->second;
    return network.receiving_ < network.options_.max_inbound && held < network.options_.max_inbound_per_peer;
  }

 private:
  Libp2pNetwork& network_;
  crypto::PeerId peer_;
};

/// The bytes of a message that may be repeated.
class Libp2pNetwork::Unread {
 public:
  Unread(Libp2pNetwork& network, const crypto::PeerId& peer, std::size_t bytes)
      : network_(network), peer_(peer), bytes_(cost(bytes)) {
    network_.unread_ += bytes_;
    network_.unread_by_[peer_] += bytes_;
  }
  Unread(const Unread&) = delete;
  Unread& operator=(const Unread&) = delete;
  ~Unread() {
    network_.unread_ -= bytes_;
    const auto it = network_.unread_by_.find(peer_);
    if ((it->second -= bytes_) == 0) network_.unread_by_.erase(it);
  }
  static bool fits(const Libp2pNetwork& network, const crypto::PeerId& peer, std::size_t bytes) {
    const auto it = network.unread_by_.find(peer);
    const std::size_t held = it == network.unread_by_.end() ? 0 : it->second;
    return network.unread_ + cost(bytes) <= network.options_.max_unread &&
           held + cost(bytes) <= network.options_.max_unread_per_peer;
  }

 private:
  /// A short message holds a stream as a long one does.
  static std::size_t cost(std::size_t bytes) { return std::max(bytes, kLeastUnread); }

  Libp2pNetwork& network_;
  crypto::PeerId peer_;
  std::size_t bytes_;
};

class Libp2pNetwork::CountedStream final : public ByteStream {
 public:
  CountedStream(std::shared_ptr<OpenStreams> open, const crypto::PeerId& peer) : open_(std::move(open)), peer_(peer) {
    ++open_->all;
    ++open_->by_peer[peer_];
  }
  ~CountedStream() override {
    --open_->all;
    const auto it = open_->by_peer.find(peer_);
    if (--it->second == 0) open_->by_peer.erase(it);
  }
  void carry(std::unique_ptr<ByteStream> inner) { inner_ = std::move(inner); }
  static bool place_free(const OpenStreams& open, const crypto::PeerId& peer, std::size_t all, std::size_t per_peer) {
    const auto it = open.by_peer.find(peer);
    return open.all < all && (it == open.by_peer.end() || it->second < per_peer);
  }

  Task<Result<std::size_t>> read_some(MutableBytes into) override { return inner_->read_some(into); }
  Task<Result<void>> write(BytesView from) override { return inner_->write(from); }
  Task<Result<void>> close_write() override { return inner_->close_write(); }
  void abort() override { inner_->abort(); }

 private:
  std::shared_ptr<OpenStreams> open_;
  crypto::PeerId peer_;
  std::unique_ptr<ByteStream> inner_;
};

Libp2pNetwork::Libp2pNetwork(Runtime runtime, crypto::PrivateKey key, Libp2pOptions options)
    : options_(std::move(options)),
      host_(runtime, std::move(key), host_options(options_.host)),
      pubsub_(host_, options_.pubsub),
      inbound_streams_(std::make_shared<OpenStreams>()),
      outbound_streams_(std::make_shared<OpenStreams>()),
      nursery_(runtime.lane, "network") {}

Libp2pNetwork::~Libp2pNetwork() = default;

Result<void> Libp2pNetwork::listen(const std::string& multiaddr) {
  TRY(libp2p::Multiaddr address, libp2p::Multiaddr::parse(multiaddr));
  return host_.listen(address);
}

std::vector<std::string> Libp2pNetwork::listen_addresses() const {
  std::vector<std::string> texts;
  for (const libp2p::Multiaddr& address : host_.addresses()) texts.push_back(address.to_string());
  return texts;
}

std::vector<std::string> Libp2pNetwork::addresses_of(const crypto::PeerId& peer) {
  if (peer == self()) return listen_addresses();
  std::vector<std::string> texts;
  for (const libp2p::Multiaddr& address : host_.peer_store().addresses(peer, nursery_.lane().now()))
    texts.push_back(fmt::format("{}/p2p/{}", address.to_string(), peer.to_string()));
  return texts;
}

void Libp2pNetwork::learn_addresses(const crypto::PeerId& peer, const std::vector<std::string>& addresses) {
  std::vector<libp2p::Multiaddr> known;
  for (const std::string& text : addresses)
    if (auto parsed = libp2p::PeerAddress::parse(text); parsed && parsed->peer == peer)
      known.push_back(std::move(parsed->address));
  if (peer != self() && !known.empty())
    host_.peer_store().add_addresses(peer, known, libp2p::PeerStore::kUnconfirmed, nursery_.lane().now());
}

Task<Result<void>> Libp2pNetwork::send(crypto::PeerId to, std::string protocol, Bytes message) {
  return send_until(SteadyTime::min(), to, std::move(protocol), std::move(message));
}

Task<Result<void>> Libp2pNetwork::send_until(SteadyTime until, crypto::PeerId to, std::string protocol, Bytes message) {
  if (closed_) co_return is_closed();
  CO_TRY(Bytes frame, encode_frame(message));
  if (sending_ >= options_.max_sends)
    co_return fail(Errc::limit_exceeded, "{} messages are being sent already; try again later", sending_);
  if (to == self()) {
    if (!handlers_.contains(protocol)) co_return fail(Errc::unsupported, "there is no inbox {} on this host", protocol);
    nursery_.spawn(deliver_to_self(std::move(protocol), std::move(message)));
    co_return Result<void>();
  }
  const Counted sending(sending_);
  Task<Result<StreamPtr>> writing = write_message(to, std::move(protocol), frame);
  CO_TRY(StreamPtr stream, co_await std::move(writing));
  ++metrics_.sent;
  const SteadyTime now = host_.runtime().lane.now();
  if (!closed_ && until > now && Unread::fits(*this, to, frame.size()))
    nursery_.spawn(until_read(std::move(stream), std::move(frame), until));
  co_return Result<void>();
}

Task<Result<Libp2pNetwork::StreamPtr>> Libp2pNetwork::write_message(crypto::PeerId to, std::string protocol,
                                                                    BytesView frame) {
  Task<Result<StreamPtr>> opening = host_.new_stream(to, std::move(protocol));
  Result<StreamPtr> opened = co_await std::move(opening);
  if (!opened) co_return std::unexpected(told(to, opened.error()));
  StreamPtr stream = *std::move(opened);
  CO_TRY_VOID(co_await stream->write(frame));
  CO_TRY_VOID(co_await stream->close_write());
  co_return std::move(stream);
}

/// Until the receiver has read a message. Sends it again while its connection ends before that.
Task<void> Libp2pNetwork::until_read(StreamPtr stream, Bytes frame, SteadyTime until) {
  const crypto::PeerId to = stream->remote_peer();
  const std::string protocol = stream->protocol();
  const Unread unread(*this, to, frame.size());
  Bytes nothing(1);
  for (int repeats = 0; repeats < kMaxRepeats; ++repeats) {
    const SteadyTime read_by = std::min(until, host_.runtime().lane.now() + options_.unread_timeout);
    Task<Result<std::size_t>> reading = stream->read_some(nothing);
    const Result<std::size_t> read = co_await with_deadline(read_by, std::move(reading));
    stream.reset();
    if (read || closed_ || !read.error().is(libp2p::EndedErrc::connection)) co_return;
    Task<Result<StreamPtr>> repeating = repeat(to, protocol, frame, until);
    Result<StreamPtr> again = co_await std::move(repeating);
    const std::string outcome = again ? "sent again" : again.error().to_string();
    log::debug("network", {{"peer", to.to_string()}, {"protocol", protocol}}, "a message was lost: {}", outcome);
    if (!again) co_return;
    ++metrics_.repeated;
    stream = *std::move(again);
  }
}

/// Dials once. Where that fails, whoever connects first is waited for: dials that fail delay later ones.
Task<Result<Libp2pNetwork::StreamPtr>> Libp2pNetwork::repeat(crypto::PeerId to, std::string protocol, BytesView frame,
                                                             SteadyTime until) {
  Lane& lane = host_.runtime().lane;
  until = std::min(until, lane.now() + kRepeatWithin);
  for (;;) {
    std::string name = protocol;
    Task<Result<StreamPtr>> writing = write_message(to, std::move(name), frame);
    Result<StreamPtr> written = co_await with_deadline(until, std::move(writing));
    if (written) co_return std::move(written);
    do {
      if (closed_ || lane.now() + kRepeatPause >= until) co_return std::unexpected(written.error());
      CO_TRY_VOID(co_await sleep_for(kRepeatPause));
    } while (!host_.connected(to));
  }
}

Task<void> Libp2pNetwork::deliver_to_self(std::string protocol, Bytes message) {
  const Counted sending(sending_);
  deliver(self(), protocol, std::move(message));
  co_return;
}

void Libp2pNetwork::deliver(const crypto::PeerId& from, const std::string& protocol, Bytes message) {
  const auto it = handlers_.find(protocol);
  if (it == handlers_.end()) return;
  ++metrics_.received;
  const auto handler = it->second;  // it may remove itself
  (*handler)(from, std::move(message));
}

Result<void> Libp2pNetwork::check_free(const std::string& protocol) const {
  if (closed_) return is_closed();
  if (handlers_.contains(protocol) || stream_handlers_.contains(protocol))
    return fail(Errc::already_exists, "protocol {} has a handler already", protocol);
  return {};
}

Result<void> Libp2pNetwork::handle(std::string protocol, MessageHandler handler) {
  TRY_VOID(check_free(protocol));
  handlers_.emplace(protocol, std::make_shared<MessageHandler>(std::move(handler)));
  host_.set_stream_handler(std::move(protocol),
                           [this](std::unique_ptr<libp2p::Stream> stream) { return receive(std::move(stream)); });
  return {};
}

void Libp2pNetwork::remove_handler(const std::string& protocol) {
  host_.remove_stream_handler(protocol);
  handlers_.erase(protocol);
  stream_handlers_.erase(protocol);
}

Result<void> Libp2pNetwork::handle_stream(std::string protocol, StreamHandler handler) {
  TRY_VOID(check_free(protocol));
  stream_handlers_.emplace(protocol, std::make_shared<StreamHandler>(std::move(handler)));
  host_.set_stream_handler(std::move(protocol),
                           [this](std::unique_ptr<libp2p::Stream> stream) { return accept_stream(std::move(stream)); });
  return {};
}

Task<void> Libp2pNetwork::accept_stream(std::unique_ptr<libp2p::Stream> stream) {
  const crypto::PeerId peer = stream->remote_peer();
  const auto it = stream_handlers_.find(stream->protocol());
  if (closed_ || it == stream_handlers_.end() ||
      !CountedStream::place_free(*inbound_streams_, peer, options_.max_streams, options_.max_streams_per_peer)) {
    ++metrics_.refused;
    stream->abort();
    co_return;
  }
  auto counted = std::make_unique<CountedStream>(inbound_streams_, peer);
  counted->carry(std::move(stream));
  const auto handler = it->second;  // it may remove itself
  (*handler)(peer, std::move(counted));
}

Task<Result<std::unique_ptr<ByteStream>>> Libp2pNetwork::open_stream(crypto::PeerId to, std::string protocol) {
  if (closed_) co_return is_closed();
  if (to == self()) co_return open_stream_to_self(protocol);
  if (outbound_streams_->all >= options_.max_streams)
    co_return fail(Errc::limit_exceeded, "{} streams are open already; try again later", outbound_streams_->all);
  auto counted = std::make_unique<CountedStream>(outbound_streams_, to);
  Task<Result<std::unique_ptr<libp2p::Stream>>> opening = host_.new_stream(to, std::move(protocol));
  Result<std::unique_ptr<libp2p::Stream>> opened = co_await std::move(opening);
  if (!opened) co_return std::unexpected(told(to, opened.error()));
  counted->carry(*std::move(opened));
  co_return std::move(counted);
}

Result<std::unique_ptr<ByteStream>> Libp2pNetwork::open_stream_to_self(const std::string& protocol) {
  const auto it = stream_handlers_.find(protocol);
  if (it == stream_handlers_.end()) return fail(Errc::unsupported, "this host does not serve {}", protocol);
  if (!CountedStream::place_free(*inbound_streams_, self(), options_.max_streams, options_.max_streams_per_peer))
    return fail(Errc::limit_exceeded, "too many streams of this host to itself are open; try again later");
  Lane& lane = host_.runtime().lane;
  const auto link = std::make_shared<MemoryLink>(lane, lane);
  auto counted = std::make_unique<CountedStream>(inbound_streams_, self());
  counted->carry(link->end(false));
  nursery_.spawn(hand_over(it->second, self(), std::move(counted)));
  return link->end(true);
}

Task<void> Libp2pNetwork::receive(std::unique_ptr<libp2p::Stream> stream) {
  const crypto::PeerId peer = stream->remote_peer();
  if (closed_ || !Place::free(*this, peer)) {
    ++metrics_.refused;
    stream->abort();
    co_return;
  }
  const Place place(*this, peer);
  std::optional<BufferPool::Buffer> buffer = frame_buffers_.take();
  Task<Result<Bytes>> reading = read_frame(*stream, buffer->bytes());
  Result<Bytes> message = co_await with_timeout(options_.read_timeout, std::move(reading));
  buffer.reset();
  if (!message) {
    ++metrics_.malformed;
    log::debug("network", {{"peer", peer.to_string()}, {"protocol", stream->protocol()}}, "no message: {}",
               message.error().to_string());
    stream->abort();
    co_return;
  }
  const std::string protocol = stream->protocol();
  // There is no answer; closing this half lets the sender's muxer end the stream.
  (void)co_await stream->close_write();
  stream.reset();
  deliver(peer, protocol, *std::move(message));
}

Result<SubscriptionId> Libp2pNetwork::subscribe(std::string topic, Validator validator, BroadcastHandler handler) {
  if (closed_) return is_closed();
  TRY(libp2p::SubscriptionId id, pubsub_.subscribe(
                                     std::move(topic),
                                     [validator = std::move(validator)](libp2p::PubSub::Message& message) {
                                       Broadcast broadcast{message.author, message.data, {}};
                                       const Validation validation = validator(broadcast);
                                       message.validated = std::move(broadcast.validated);
                                       return acceptance(validation);
                                     },
                                     [handler = std::move(handler)](libp2p::PubSub::Message& message) {
                                       Broadcast broadcast{message.author, message.data, std::move(message.validated)};
                                       handler(broadcast);
                                     }));
  return static_cast<SubscriptionId>(id);
}

void Libp2pNetwork::unsubscribe(SubscriptionId id) { pubsub_.unsubscribe(static_cast<libp2p::SubscriptionId>(id)); }

Task<Result<void>> Libp2pNetwork::publish(std::string topic, Bytes message) {
  if (closed_) co_return is_closed();
  co_return pubsub_.publish(topic, message);
}

Task<Result<void>> Libp2pNetwork::connect(std::string multiaddr) {
  if (closed_) co_return is_closed();
  CO_TRY(libp2p::PeerAddress to, libp2p::PeerAddress::parse(multiaddr));
  Task<Result<void>> connecting = host_.connect(std::move(to));
  Result<void> connected = co_await std::move(connecting);
  if (!connected) co_return fail(connected.error(), "connecting to {}", multiaddr);
  co_return Result<void>();
}

Task<Result<Duration>> Libp2pNetwork::ping(crypto::PeerId peer) {
  if (closed_) co_return is_closed();
  if (peer == self()) co_return Duration(0);
  Task<Result<Duration>> pinging = host_.ping(peer);
  const Result<Duration> round_trip = co_await std::move(pinging);
  if (!round_trip) co_return std::unexpected(told(peer, round_trip.error()));
  co_return *round_trip;
}

Task<void> Libp2pNetwork::close() {
  closed_ = true;
  for (const auto& [protocol, handler] : std::exchange(handlers_, {})) host_.remove_stream_handler(protocol);
  for (const auto& [protocol, handler] : std::exchange(stream_handlers_, {})) host_.remove_stream_handler(protocol);
  co_await nursery_.close();
  co_await pubsub_.close();
  co_await host_.close();
}

}  // namespace dms::network
