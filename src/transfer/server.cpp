#include "transfer/server.hpp"

#include <algorithm>

#include "base/log.hpp"
#include "runtime/channel.hpp"

namespace dms::transfer {
namespace {

constexpr std::size_t kIdleBuffers = 4;

/// A chunk as it is sent: its header and its bytes in one buffer.
struct Chunk {
  Chunk(BufferPool::Buffer from, std::size_t length) : buffer(std::move(from)), size(length) {}
  [[nodiscard]] MutableBytes body() const { return buffer.bytes().subspan(kChunkHeader, size); }
  [[nodiscard]] BytesView whole() const { return buffer.bytes().first(kChunkHeader + size); }
  BufferPool::Buffer buffer;
  std::size_t size;
};
using Chunks = Channel<Result<Chunk>>;

Task<void> read_ahead(const SourceFile& file, std::uint64_t offset, std::uint64_t size, BufferPool& pool,
                      Chunks& chunks) {
  while (offset < size) {
    BufferPool::Buffer buffer = pool.take();
    const std::size_t room = buffer.bytes().size() - kChunkHeader;
    Chunk chunk(std::move(buffer), static_cast<std::size_t>(std::min<std::uint64_t>(size - offset, room)));
    auto reading = [&] { return file.read(offset, chunk.body()); };
    const Result<void> read = co_await offload(reading);
    encode_chunk_header(static_cast<std::uint32_t>(chunk.size), chunk.buffer.bytes().first<kChunkHeader>());
    offset += chunk.size;
    Result<Chunk> item = read ? Result<Chunk>(std::move(chunk)) : Result<Chunk>(std::unexpected(read.error()));
    const Result<void> sent = co_await chunks.send(std::move(item));
    if (!read || !sent) co_return;
  }
}

Task<Result<void>> write_in_time(ByteStream& stream, BytesView bytes, Duration stall) {
  while (!bytes.empty()) {
    const BytesView slice = bytes.first(std::min(bytes.size(), kSlice));
    Task<Result<void>> writing = stream.write(slice);
    CO_TRY_VOID(co_await with_timeout(stall, std::move(writing)));
    bytes = bytes.subspan(slice.size());
  }
  co_return Result<void>();
}

}  // namespace

/// One of the places for transfers.
class Server::Place {
 public:
  Place(Server& server, const crypto::PeerId& peer) : server_(server), peer_(peer) {
    ++server_.streams_;
    ++server_.streams_of_[peer_];
  }
  Place(const Place&) = delete;
  Place& operator=(const Place&) = delete;
  ~Place() {
    --server_.streams_;
    const auto it = server_.streams_of_.find(peer_);
    if (--it->second == 0) server_.streams_of_.erase(it);
  }

 private:
  Server& server_;
  crypto::PeerId peer_;
};

/// A stream whose request has not been answered.
class Server::Waiting {
 public:
  /// Resets the longest waiting one, of the same peer or of all, where their number is at its bound.
  Waiting(Server& server, const crypto::PeerId& peer, ByteStream& stream)
      : server_(server), peer_(peer), stream_(stream) {
    std::list<Waiting*>& all = server_.waiting_;
    const auto same = [&](const Waiting* other) { return other->peer_ == peer_; };
    const auto mine = static_cast<std::size_t>(std::ranges::count_if(all, same));
    if (mine >= server_.options_.max_waiting_per_peer)
      reset(std::ranges::find_if(all, same));
    else if (all.size() >= server_.options_.max_waiting)
      reset(all.begin());
    all.push_back(this);
  }
  Waiting(const Waiting&) = delete;
  Waiting& operator=(const Waiting&) = delete;
  ~Waiting() { server_.waiting_.remove(this); }

 private:
  void reset(std::list<Waiting*>::iterator which) {
    ByteStream& stream = (*which)->stream_;
    server_.waiting_.erase(which);
    ++server_.metrics_.refused;
    stream.abort();
  }
  Server& server_;
  crypto::PeerId peer_;
  ByteStream& stream_;
};

Server::Server(Lane& lane, network::Network& network, ServerOptions options)
    : lane_(lane),
      network_(network),
      options_(options),
      local_(lane),
      buffers_(kChunkHeader + std::min(options.block, kMaxChunk), kIdleBuffers),
      nursery_(lane, "transfer") {}

Server::~Server() = default;

void Server::register_metrics(metrics::Registry& registry) {
  metrics_group_.in(registry)
      .counter("nunet_transfer_served_total", "Files that were sent to their end.", metrics_.served)
      .counter("nunet_transfer_refused_total", "Requests for files without a valid ticket, or above the bounds.",
               metrics_.refused)
      .counter("nunet_transfer_sent_bytes_total", "Bytes of files that were sent.", metrics_.bytes);
}

Result<void> Server::open() {
  TRY_VOID(network_.handle_stream(std::string(kProtocol),
                                  [this](const crypto::PeerId& from, std::unique_ptr<ByteStream> stream) {
                                    auto waiting = std::make_unique<Waiting>(*this, from, *stream);
                                    nursery_.spawn(serve(from, std::move(stream), std::move(waiting)));
                                  }));
  open_ = true;
  return {};
}

Task<void> Server::close() {
  if (std::exchange(open_, false)) network_.remove_handler(std::string(kProtocol));
  drop_if([](const Offer&) { return true; });
  co_await nursery_.close();
}

Result<Ticket> Server::offer(crypto::PeerId to, std::filesystem::path file, Content content, Duration lifetime,
                             std::string purpose) {
  const SteadyTime ends = lane_.now() + lifetime;
  const Subject subject(file, purpose);
  if (const auto known = offered(to, subject); known != offers_.end()) {
    Offer& offer = *known->second;
    if (valid(known->second) && offer.content == content) {
      offer.ends = std::max(offer.ends, ends);
      return offer.ticket;
    }
    drop(known);
  }
  if (full_for(to)) drop_if([this](const Offer& offer) { return offer.ends <= lane_.now(); });
  if (full_for(to)) return fail(Errc::limit_exceeded, "{} files are offered already; try again later", offers_.size());
  Ticket ticket;
  lane_.random().fill(ticket.secret);
  const crypto::Digest256 key = crypto::sha256(ticket.secret);
  subjects_of_[to].emplace(subject, key);
  offers_.emplace(key, std::make_shared<Offer>(Offer{to, std::move(file), std::move(purpose), content, ends, ticket}));
  return ticket;
}

Server::Offers::iterator Server::offered(const crypto::PeerId& to, const Subject& subject) {
  const auto subjects = subjects_of_.find(to);
  if (subjects == subjects_of_.end()) return offers_.end();
  const auto key = subjects->second.find(subject);
  return key == subjects->second.end() ? offers_.end() : offers_.find(key->second);
}

bool Server::full_for(const crypto::PeerId& peer) const {
  const auto subjects = subjects_of_.find(peer);
  return offers_.size() >= options_.max_tickets ||
         (subjects != subjects_of_.end() && subjects->second.size() >= options_.max_tickets_per_peer);
}

Server::Offers::iterator Server::drop(Offers::iterator offer) {
  offer->second->ends = SteadyTime::min();
  const auto subjects = subjects_of_.find(offer->second->to);
  subjects->second.erase(Subject(offer->second->file, offer->second->purpose));
  if (subjects->second.empty()) subjects_of_.erase(subjects);
  return offers_.erase(offer);
}

template <class Wanted>
void Server::drop_if(Wanted wanted) {
  for (auto it = offers_.begin(); it != offers_.end();) it = wanted(*it->second) ? drop(it) : std::next(it);
}

void Server::revoke(const Ticket& ticket) {
  if (const auto it = offers_.find(crypto::sha256(ticket.secret)); it != offers_.end()) drop(it);
}

void Server::revoke_below(const std::filesystem::path& folder) {
  drop_if([&](const Offer& offer) {
    return std::mismatch(folder.begin(), folder.end(), offer.file.begin(), offer.file.end()).first == folder.end();
  });
}

void Server::revoke_purpose(std::string_view purpose) {
  drop_if([&](const Offer& offer) { return offer.purpose == purpose; });
}

Server::OfferPtr Server::find(const Ticket& ticket, const crypto::PeerId& from) const {
  const auto it = offers_.find(crypto::sha256(ticket.secret));
  return it != offers_.end() && it->second->to == from && valid(it->second) ? it->second : nullptr;
}

bool Server::has_room_for(const crypto::PeerId& peer) const {
  const auto held = streams_of_.find(peer);
  return streams_ < options_.max_streams && (held == streams_of_.end() || held->second < options_.max_streams_per_peer);
}

Task<void> Server::serve(crypto::PeerId from, std::unique_ptr<ByteStream> stream, std::unique_ptr<Waiting> waiting) {
  Task<Result<void>> transferring = transfer(from, *stream, std::move(waiting));
  Result<void> done = co_await std::move(transferring);
  if (done) {
    done = co_await stream->close_write();
  } else {
    log::debug("transfer", "to {}: {}", from.to_string(), done.error().to_string());
    stream->abort();
  }
}

Task<Result<void>> Server::transfer(const crypto::PeerId& from, ByteStream& stream, std::unique_ptr<Waiting> waiting) {
  std::array<std::uint8_t, kRequestSize> bytes{};
  Task<Result<void>> reading = read_exactly(stream, bytes);
  CO_TRY_VOID(co_await with_timeout(options_.request, std::move(reading)));
  const FileRequest request = decode_request(bytes);
  const OfferPtr offer = find(request.ticket, from);
  if (!offer || !has_room_for(from)) {
    ++metrics_.refused;
    FileAnswer answer;
    if (offer) answer.status = AnswerStatus::busy;
    const auto refusal = encode(answer);
    Result<void> refused = co_await write_in_time(stream, refusal, options_.request);
    co_return std::move(refused);
  }
  const Place place(*this, from);
  waiting.reset();
  Result<void> sent = co_await send(stream, offer, request.offset);
  if (sent) ++metrics_.served;
  co_return std::move(sent);
}

Task<Result<void>> Server::send(ByteStream& stream, OfferPtr offer, std::uint64_t offset) {
  auto opening = [&] { return SourceFile::open(offer->file, offer->content.size); };
  Result<SourceFile> file = co_await offload(opening);
  FileAnswer answer;
  answer.status = file ? AnswerStatus::ok : AnswerStatus::failed;
  if (file) {
    answer.size = offer->content.size;
    answer.digest = offer->content.digest;
  }
  const auto head = encode(answer);
  CO_TRY_VOID(co_await write_in_time(stream, head, options_.stall));
  if (!file) {
    log::warn("transfer", "{}", file.error().to_string());
    co_return Result<void>();
  }

  const TaskContext context = co_await this_task();
  Chunks chunks(1);
  Nursery reader(lane_, "transfer reader", context.scope);
  reader.spawn(read_ahead(*file, offset, offer->content.size, buffers_, chunks));
  Result<void> sent;
  while (sent && offset < offer->content.size) {
    Result<Result<Chunk>> next = co_await chunks.receive();
    if (!next) {
      sent = std::unexpected(next.error());
    } else if (!*next) {
      sent = std::unexpected(next->error());
    } else if (!valid(offer)) {
      sent = fail(Errc::permission_denied, "the ticket has ended");
    } else {
      const Chunk chunk = **std::move(next);
      sent = co_await write_in_time(stream, chunk.whole(), options_.stall);
      if (sent) metrics_.bytes.add(chunk.size);
      offset += chunk.size;
    }
  }
  chunks.close();
  co_await reader.close();
  if (!sent) co_return std::move(sent);
  std::array<std::uint8_t, kChunkHeader> end{};
  Result<void> ended = co_await write_in_time(stream, end, options_.stall);
  co_return std::move(ended);
}

}  // namespace dms::transfer
