#include "provider/edges.hpp"

#include <algorithm>

#include "base/log.hpp"

namespace dms::provider {

using protocol::EdgeReply;
using protocol::EdgeRequest;
namespace {

/// Blocks of `data` are filled just before they are sent, so that no other work waits for all of them.
Task<void> send_random(Lane& lane, ByteStream& stream, MutableBytes data, Result<void>& sent) {
  for (std::size_t at = 0; sent && at < data.size();) {
    const MutableBytes block = data.subspan(at, std::min(Edges::kBlock, data.size() - at));
    lane.random().fill(block);
    sent = co_await stream.write(block);
    at += block.size();
  }
}

/// Until all of `data` has come back, or `until`; as many bytes as came back.
Task<Result<std::size_t>> receive_back(ByteStream& stream, BytesView data, SteadyTime until) {
  Bytes buffer(Edges::kBlock);
  std::size_t received = 0;
  while (received < data.size()) {
    const MutableBytes room = MutableBytes(buffer).first(std::min(buffer.size(), data.size() - received));
    Task<Result<std::size_t>> reading = stream.read_some(room);
    const Result<std::size_t> count = co_await with_deadline(until, std::move(reading));
    if (!count && count.error().is(Errc::deadline_exceeded)) break;
    if (!count) co_return std::unexpected(count.error());
    if (*count == 0) co_return fail(Errc::closed, "the other machine has ended the measurement");
    if (!std::ranges::equal(BytesView(buffer).first(*count), data.subspan(received, *count)))
      co_return fail(Errc::invalid_argument, "what came back is not what was sent");
    received += *count;
  }
  co_return received;
}

/// Empty if the limits are kept.
std::string why_not_kept(const EdgeRequest& asked, Duration rtt, std::optional<std::uint64_t> bandwidth) {
  const Duration most = std::chrono::milliseconds(std::min<std::uint64_t>(asked.rtt, 3'600'000));
  if (asked.rtt > 0 && rtt > most)
    return fmt::format("a round trip of {:.4g} ms, {} ms at most is asked for", static_cast<double>(rtt.count()) / 1e6,
                       asked.rtt);
  if (asked.bw > 0 && bandwidth.value_or(0) < asked.bw)
    return fmt::format("{} bit/s, {} bit/s at least is asked for", bandwidth.value_or(0), asked.bw);
  return {};
}

}  // namespace

std::uint64_t bytes_to_measure(std::uint64_t bandwidth) {
  if (bandwidth == 0) return 0;
  return std::clamp(bandwidth / 8 / (1s / Edges::kSpan), Edges::kLeastTransfer, Edges::kMostTransfer);
}

/// The one place of a measurement, if it was free.
class Edges::Place {
 public:
  explicit Place(Edges& edges) : edges_(std::exchange(edges.taken_, true) ? nullptr : &edges) {}
  Place(const Place&) = delete;
  Place& operator=(const Place&) = delete;
  ~Place() {
    if (edges_ != nullptr) edges_->taken_ = false;
  }
  [[nodiscard]] bool ok() const { return edges_ != nullptr; }

 private:
  Edges* edges_;
};

class Edges::Counted {
 public:
  explicit Counted(Edges& edges) : edges_(edges) { ++edges_.requests_; }
  Counted(const Counted&) = delete;
  Counted& operator=(const Counted&) = delete;
  ~Counted() {
    if (--edges_.requests_ == 0) edges_.idle_.notify_all();
  }

 private:
  Edges& edges_;
};

Edges::Edges(Lane& lane, network::Network& network, Check check)
    : lane_(lane), network_(network), check_(std::move(check)), nursery_(lane, "edges") {}

Result<void> Edges::open() {
  TRY_VOID(network_.handle_stream(std::string(kEdgeProtocol),
                                  [this](const crypto::PeerId& from, std::unique_ptr<ByteStream> stream) {
                                    if (streams_ >= kMaxStreams) return stream->abort();
                                    ++streams_;
                                    nursery_.spawn(serve(from, std::move(stream)));
                                  }));
  open_ = true;
  return {};
}

Task<void> Edges::close() {
  if (std::exchange(open_, false)) network_.remove_handler(std::string(kEdgeProtocol));
  agreed_.clear();
  stopping_.cancel(Errc::closed);
  while (requests_ > 0) (void)co_await idle_.wait_shielded();
  co_await nursery_.close();
}

Task<EdgeReply> Edges::answer(EdgeRequest request, const actor::Envelope& envelope) {
  EdgeReply reply;
  const auto read = [&]() -> Result<std::pair<crypto::PeerId, crypto::PeerId>> {
    if (!open_) return fail(Errc::closed, "the provider is being stopped");
    TRY_VOID(check_id("EnsembleID", request.ensemble_id));
    const auto peer = [](std::string_view what, const std::string& text) -> Result<crypto::PeerId> {
      if (text.size() > crypto::PeerId::kMaxText) return fail(Errc::invalid_argument, "{}: expected a peer id", what);
      const Result<crypto::PeerId> id = crypto::PeerId::parse(text);
      if (!id) return fail(Errc::invalid_argument, "{}: expected a peer id", what);
      return id;
    };
    TRY(const crypto::PeerId s, peer("S", request.s));
    TRY(const crypto::PeerId t, peer("T", request.t));
    if (s == t) return fail(Errc::invalid_argument, "T: expected another machine than S");
    if (s != network_.self() && t != network_.self())
      return fail(Errc::invalid_argument, "this machine is neither S nor T");
    TRY_VOID(check_({envelope.from.did, request.ensemble_id}));
    return std::pair(s, t);
  };
  const Result<std::pair<crypto::PeerId, crypto::PeerId>> ends = read();
  if (!ends) {
    reply.error = ends.error().to_string();
    co_return reply;
  }
  const auto& [s, t] = *ends;
  if (t == network_.self()) {
    const Result<transfer::Ticket> ticket = agree(envelope.from.did, s);
    reply.ok = ticket.has_value();
    if (ticket)
      reply.ticket = ticket->to_string();
    else
      reply.error = ticket.error().to_string();
    co_return reply;
  }
  const Result<transfer::Ticket> ticket = transfer::Ticket::parse(request.ticket);
  if (!ticket) {
    reply.error = "ticket: expected that of T, which T gives to whoever may deploy there";
    co_return reply;
  }
  if (requests_ >= kMaxRequests) {
    reply.error = fmt::format("{} measurements wait here, which is the limit", requests_);
    co_return reply;
  }
  const Counted counted(*this);
  if (request.addresses.size() > protocol::kMaxEdgeAddresses) request.addresses.resize(protocol::kMaxEdgeAddresses);
  network_.learn_addresses(t, request.addresses);
  const Duration left(std::max<std::int64_t>(
      0, static_cast<std::int64_t>(envelope.options.expires) - static_cast<std::int64_t>(lane_.unix_now().nanos)));
  Task<Result<Measured>> measuring =
      measure(t, *ticket, request.bw, lane_.now() + std::min<Duration>(left, protocol::kEdge.timeout));
  measuring.set_context({&lane_, &stopping_});
  const Result<Measured> measured = co_await std::move(measuring);
  if (!measured) {
    reply.error = network::plain(measured.error());
    co_return reply;
  }
  reply.rtt_ns = measured->rtt.count();
  reply.bandwidth = measured->bandwidth;
  reply.error = why_not_kept(request, measured->rtt, measured->bandwidth);
  reply.ok = reply.error.empty();
  co_return reply;
}

Result<transfer::Ticket> Edges::agree(const did::Did& owner, const crypto::PeerId& s) {
  std::erase_if(agreed_, [this](const auto& entry) { return entry.second.ends <= lane_.now(); });
  const auto mine = std::ranges::count_if(agreed_, [&](const auto& entry) { return entry.second.owner == owner; });
  if (agreed_.size() >= kMaxAgreed || static_cast<std::size_t>(mine) >= kMaxAgreedByOwner)
    return fail(Errc::limit_exceeded, "{} measurements are agreed on already, {} of them with this orchestrator",
                agreed_.size(), mine);
  transfer::Ticket ticket;
  lane_.random().fill(ticket.secret);
  agreed_.emplace(crypto::sha256(ticket.secret), Agreed{owner, s, lane_.now() + kAgreed});
  return ticket;
}

Task<Result<Edges::Measured>> Edges::measure(crypto::PeerId t, transfer::Ticket ticket, std::uint64_t bandwidth,
                                             SteadyTime until) {
  for (;;) {
    if (!taken_) {
      Task<Result<std::optional<Measured>>> trying = try_measure(t, ticket, bandwidth);
      const Result<std::optional<Measured>> measured = co_await with_deadline(until, std::move(trying));
      if (!measured) co_return std::unexpected(measured.error());
      if (*measured) co_return **measured;
    }
    const auto pause = static_cast<std::uint64_t>(kPause.count());
    const Duration waits(static_cast<std::int64_t>(pause + lane_.random().below(2 * pause)));
    if (lane_.now() + waits >= until)
      co_return fail(Errc::deadline_exceeded, "one of the two machines was measured with others all the time");
    CO_TRY_VOID(co_await sleep_for(waits));
  }
}

Task<Result<std::optional<Edges::Measured>>> Edges::try_measure(crypto::PeerId t, transfer::Ticket ticket,
                                                                std::uint64_t bandwidth) {
  const Place place(*this);
  const SteadyTime until = lane_.now() + kLimit;
  Task<Result<std::unique_ptr<ByteStream>>> opening = network_.open_stream(t, std::string(kEdgeProtocol));
  CO_TRY(const std::unique_ptr<ByteStream> stream, co_await with_deadline(until, std::move(opening)));
  Task<Result<void>> showing = stream->write(ticket.secret);
  CO_TRY_VOID(co_await with_deadline(until, std::move(showing)));
  std::array<std::uint8_t, 1> answer{};
  Task<Result<void>> reading = read_exactly(*stream, answer);
  const Result<void> answered = co_await with_deadline(until, std::move(reading));
  if (!answered) co_return fail(answered.error(), "the other machine does not take part in the measurement");
  if (answer[0] == kBusy) co_return std::optional<Measured>();
  if (answer[0] != kGo)
    co_return fail(Errc::invalid_argument, "the other machine answers with {} before a measurement", answer[0]);
  Measured measured;
  Task<Result<Duration>> pinging = median_ping(t);
  CO_TRY(measured.rtt, co_await with_deadline(until, std::move(pinging)));
  if (bandwidth > 0) {
    Task<Result<std::uint64_t>> transferring = transfer(*stream, bytes_to_measure(bandwidth));
    CO_TRY(const std::uint64_t found, co_await std::move(transferring));
    measured.bandwidth = found;
  }
  stream->abort();
  co_return std::optional<Measured>(measured);
}

Task<Result<Duration>> Edges::median_ping(crypto::PeerId t) {
  std::array<Duration, kPings> times{};
  for (Duration& time : times) {
    Task<Result<Duration>> pinging = network_.ping(t);
    CO_TRY(time, co_await with_timeout(kPingTimeout, std::move(pinging)));
  }
  std::ranges::sort(times);
  co_return std::max<Duration>(times[kPings / 2], 1ns);
}

Task<Result<std::uint64_t>> Edges::transfer(ByteStream& stream, std::uint64_t bytes) {
  const TaskContext context = co_await this_task();
  Bytes data(bytes);
  Result<void> sent;
  Nursery sender(lane_, "edge sender", context.scope);
  const SteadyTime begun = lane_.now();
  sender.spawn(send_random(lane_, stream, data, sent));
  Task<Result<std::size_t>> receiving = receive_back(stream, data, begun + kTransferTime);
  const Result<std::size_t> received = co_await std::move(receiving);
  const Duration took = std::max<Duration>(lane_.now() - begun, 1us);
  co_await sender.close();
  if (!received) co_return std::unexpected(received.error());
  co_return static_cast<std::uint64_t>(static_cast<unsigned __int128>(*received) * 8 * 1'000'000'000 /
                                       static_cast<unsigned __int128>(took.count()));
}

Task<void> Edges::serve(crypto::PeerId from, std::unique_ptr<ByteStream> stream) {
  Task<Result<void>> sending = send_back(from, *stream);
  const Result<void> done = co_await with_timeout(kLimit, std::move(sending));
  if (!done) log::debug("provider", "measurement by {}: {}", from.to_string(), done.error().to_string());
  if (done)
    (void)co_await stream->close_write();
  else
    stream->abort();
  --streams_;
}

Task<Result<void>> Edges::send_back(crypto::PeerId from, ByteStream& stream) {
  transfer::Ticket ticket;
  Task<Result<void>> reading = read_exactly(stream, ticket.secret);
  CO_TRY_VOID(co_await std::move(reading));
  const auto found = agreed_.find(crypto::sha256(ticket.secret));
  if (found == agreed_.end() || found->second.s != from || found->second.ends <= lane_.now())
    co_return fail(Errc::permission_denied, "no measurement is agreed on with it");
  const Place place(*this);
  const std::array<std::uint8_t, 1> answer{place.ok() ? kGo : kBusy};
  if (place.ok()) agreed_.erase(found);
  Task<Result<void>> answering = stream.write(answer);
  CO_TRY_VOID(co_await std::move(answering));
  if (!place.ok()) co_return Result<void>();
  Bytes buffer(kBlock);
  for (std::uint64_t sent = 0;;) {
    Task<Result<std::size_t>> receiving = stream.read_some(buffer);
    CO_TRY(const std::size_t count, co_await std::move(receiving));
    if (count == 0) co_return Result<void>();
    sent += count;
    if (sent > kMostTransfer) co_return fail(Errc::limit_exceeded, "it sends more than {} bytes", kMostTransfer);
    const BytesView block = BytesView(buffer).first(count);
    Task<Result<void>> writing = stream.write(block);
    CO_TRY_VOID(co_await std::move(writing));
  }
}

}  // namespace dms::provider
