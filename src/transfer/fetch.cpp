#include "transfer/fetch.hpp"

#include <algorithm>

#include "base/buffer_pool.hpp"
#include "base/log.hpp"
#include "encoding/multibase.hpp"
#include "runtime/channel.hpp"
#include "runtime/nursery.hpp"
#include "transfer/wire.hpp"

namespace dms::transfer {
namespace {

struct Received {
  Received(BufferPool::Buffer from, std::size_t length) : buffer(std::move(from)), size(length) {}
  [[nodiscard]] MutableBytes bytes() const { return buffer.bytes().first(size); }
  BufferPool::Buffer buffer;
  std::size_t size;
};

/// Writes what arrives, on workers, one block behind the network.
class Writer {
 public:
  Writer(PartFile& part, std::uint64_t size, const FetchOptions& options)
      : part_(part), size_(size), options_(options) {}

  Task<void> run() {
    for (;;) {
      Result<Received> next = co_await blocks_.receive();
      if (!next) co_return;
      auto writing = [&] { return part_.append(next->bytes()); };
      result_ = co_await offload(writing);
      if (!result_) {
        blocks_.close();
        co_return;
      }
      if (options_.on_progress) options_.on_progress(part_.size(), size_);
    }
  }

  Channel<Received>& blocks() { return blocks_; }
  [[nodiscard]] const Result<void>& result() const { return result_; }

 private:
  PartFile& part_;
  std::uint64_t size_;
  const FetchOptions& options_;
  Channel<Received> blocks_{1};
  Result<void> result_;
};

/// The lowest rate: when the next kReadSlice of the file must be here; and in how many chunks, each of which is written.
class Pace {
 public:
  Pace(Lane& lane, Duration stall) : lane_(lane), stall_(stall), due_(lane.now() + stall) {}
  [[nodiscard]] SteadyTime due() const { return due_; }
  [[nodiscard]] std::size_t left() const { return left_; }
  /// False if there are too many.
  [[nodiscard]] bool takes_chunk() { return ++chunks_ <= kMaxSliceChunks; }
  /// At most left().
  void arrived(std::size_t bytes) {
    left_ -= bytes;
    if (left_ > 0) return;
    left_ = kReadSlice;
    chunks_ = 0;
    due_ = lane_.now() + stall_;
  }
  /// What this side has taken since then is not the sender's.
  void busy_since(SteadyTime begin) { due_ += lane_.now() - begin; }

 private:
  Lane& lane_;
  Duration stall_;
  SteadyTime due_;
  std::size_t left_ = kReadSlice;
  int chunks_ = 0;
};

Task<Result<void>> read_in_time(ByteStream& stream, MutableBytes into, Pace& pace) {
  while (!into.empty()) {
    const MutableBytes slice = into.first(std::min(into.size(), pace.left()));
    Task<Result<void>> reading = read_exactly(stream, slice);
    CO_TRY_VOID(co_await with_deadline(pace.due(), std::move(reading)));
    pace.arrived(slice.size());
    into = into.subspan(slice.size());
  }
  co_return Result<void>();
}

/// Reads chunks to the end and passes them on; `left` bytes are due.
Task<Result<void>> read_chunks(ByteStream& stream, std::uint64_t left, const FetchOptions& options,
                               Channel<Received>& blocks, Remedy& remedy) {
  const TaskContext context = co_await this_task();
  BufferPool pool(kMaxChunk, 3);
  Pace pace(*context.lane, options.stall);
  for (;;) {
    std::array<std::uint8_t, kChunkHeader> header{};
    Task<Result<void>> reading = read_exactly(stream, header);
    CO_TRY_VOID(co_await with_deadline(pace.due(), std::move(reading)));
    const Result<std::uint32_t> length = decode_chunk_header(header);
    if (!length || *length > left || (*length == 0 && left > 0)) remedy = Remedy::none;
    if (!length) co_return std::unexpected(length.error());
    if (*length > left) co_return fail(Errc::invalid_argument, "the sender sends more than it announced");
    if (*length == 0 && left > 0)
      co_return fail(Errc::invalid_argument, "the sender ends {} bytes before the announced size", left);
    if (*length == 0) co_return Result<void>();
    if (!pace.takes_chunk()) {
      remedy = Remedy::none;
      co_return fail(Errc::invalid_argument,
                     "the sender sends chunks of a few bytes: more than {} of them for {} bytes", kMaxSliceChunks,
                     kReadSlice);
    }
    BufferPool::Buffer buffer = pool.take();
    Received block(std::move(buffer), *length);
    CO_TRY_VOID(co_await read_in_time(stream, block.bytes(), pace));
    left -= block.size;
    const SteadyTime begin = context.lane->now();
    CO_TRY_VOID(co_await blocks.send(std::move(block)));
    pace.busy_since(begin);
  }
}

Result<void> check(const FileAnswer& answer, const FetchOptions& options, Remedy& remedy) {
  if (answer.status == AnswerStatus::refused) remedy = Remedy::none;
  switch (answer.status) {
    case AnswerStatus::refused:
      return fail(Errc::permission_denied, "the sender does not accept the ticket; ask for another one");
    case AnswerStatus::busy: return fail(Errc::limit_exceeded, "the sender has too many transfers under way");
    case AnswerStatus::failed: return fail(Errc::not_found, "the sender cannot read the file");
    case AnswerStatus::ok: break;
  }
  remedy = Remedy::none;
  if (answer.size > options.max_bytes)
    return fail(Errc::limit_exceeded, "the file has {} bytes; at most {} are accepted", answer.size, options.max_bytes);
  if (options.expected && (answer.size != options.expected->size || answer.digest != options.expected->digest))
    return fail(Errc::invalid_argument, "the sender offers another file than the expected one");
  remedy = Remedy::retry;
  return {};
}

Task<Result<FileAnswer>> ask(ByteStream& stream, Ticket ticket, std::uint64_t offset, const FetchOptions& options,
                             Remedy& remedy) {
  FileRequest request;
  request.ticket = ticket;
  request.offset = offset;
  const auto sent = encode(request);
  Task<Result<void>> writing = stream.write(sent);
  CO_TRY_VOID(co_await with_timeout(options.stall, std::move(writing)));
  CO_TRY_VOID(co_await stream.close_write());
  std::array<std::uint8_t, kAnswerSize> bytes{};
  Task<Result<void>> reading = read_exactly(stream, bytes);
  CO_TRY_VOID(co_await with_timeout(options.stall, std::move(reading)));
  Result<FileAnswer> answer = decode_answer(bytes);
  if (!answer) remedy = Remedy::none;
  if (!answer) co_return std::move(answer);
  CO_TRY_VOID(check(*answer, options, remedy));
  co_return std::move(answer);
}

/// The state of one call of fetch().
class Fetch {
 public:
  Fetch(network::Network& network, crypto::PeerId from, Ticket ticket, PartFile& part, const FetchOptions& options)
      : network_(network), from_(from), ticket_(ticket), part_(part), options_(options), old_(part.size()) {}

  Task<Result<Content>> run() {
    Duration pause = options_.first_pause;
    for (int failures = 0;;) {
      const std::uint64_t before = part_.size();
      remedy_ = Remedy::retry;
      Result<Content> got = co_await attempt();
      if (got) co_return std::move(got);
      if (remedy_ == Remedy::restart && std::exchange(old_, 0) > 0) {  // afterwards all bytes are of this call
        auto restarting = [this] { return part_.restart(); };
        CO_TRY_VOID(co_await offload(restarting));
        continue;
      }
      if (part_.size() >= before + kMaxChunk) {
        failures = 0;
        pause = options_.first_pause;
      }
      if (remedy_ == Remedy::retry && got.error().is(Errc::io))  // a socket's; Errc::io says that it is the disk
        got = fail(Errc::closed, "{}", got.error().to_string());
      if (remedy_ != Remedy::retry || failures++ >= options_.retries || got.error().is(Errc::cancelled))
        co_return std::move(got);
      log::debug("transfer", "from {}: {}; trying again in {} s", from_.to_string(), got.error().to_string(),
                 std::chrono::duration_cast<std::chrono::seconds>(pause).count());
      const Result<void> slept = co_await sleep_for(pause);
      if (!slept) co_return std::move(got);
      pause = std::min(2 * pause, options_.max_pause);
    }
  }

  /// True if the part is of no use for a later call.
  [[nodiscard]] bool part_is_wrong() const { return remedy_ == Remedy::restart; }

 private:
  Task<Result<Content>> attempt() {
    Task<Result<std::unique_ptr<ByteStream>>> opening = network_.open_stream(from_, std::string(kProtocol));
    Result<std::unique_ptr<ByteStream>> stream = co_await with_timeout(options_.stall, std::move(opening));
    if (!stream) co_return std::unexpected(stream.error());
    Result<Content> got = co_await receive(**stream, ticket_, part_, options_, remedy_);
    if (!got) (*stream)->abort();
    co_return std::move(got);
  }

  network::Network& network_;
  crypto::PeerId from_;
  Ticket ticket_;
  PartFile& part_;
  const FetchOptions& options_;
  std::uint64_t old_;  ///< bytes of an earlier call
  Remedy remedy_ = Remedy::retry;
};

bool has(const std::filesystem::path& destination, const Content& expected) {
  const Result<Content> there = content_of(destination);
  return there && *there == expected;
}

}  // namespace

Task<Result<Content>> receive(ByteStream& stream, Ticket ticket, PartFile& part, const FetchOptions& options,
                              Remedy& remedy) {
  CO_TRY(const FileAnswer answer, co_await ask(stream, ticket, part.size(), options, remedy));
  if (part.size() > answer.size) {
    remedy = Remedy::restart;
    co_return fail(Errc::invalid_argument, "{} bytes are here of a file of {}", part.size(), answer.size);
  }
  auto reserving = [&] { return part.reserve(answer.size); };
  const Result<void> room = co_await offload(reserving);
  if (!room) remedy = Remedy::none;
  if (!room) co_return std::unexpected(room.error());

  const TaskContext context = co_await this_task();
  Writer writer(part, answer.size, options);
  Nursery writing(*context.lane, "transfer writer");  // what has arrived is written also when this is cancelled
  writing.spawn(writer.run());
  const std::uint64_t left = answer.size - part.size();
  Result<void> read = co_await read_chunks(stream, left, options, writer.blocks(), remedy);
  writer.blocks().close();
  co_await writing.join();
  if (!writer.result()) {
    remedy = Remedy::none;
    co_return std::unexpected(writer.result().error());
  }
  if (!read) co_return std::unexpected(read.error());
  Content content;
  content.size = part.size();
  content.digest = part.digest();
  if (content.digest != answer.digest) {
    remedy = Remedy::restart;
    co_return fail(Errc::invalid_argument, "the bytes that came have another digest than the sender announced, {}",
                   encode(Base::hex, answer.digest));
  }
  co_return content;
}

Task<Result<Content>> fetch(network::Network& network, crypto::PeerId from, Ticket ticket,
                            std::filesystem::path destination, FetchOptions options) {
  if (options.expected) {
    auto checking = [&] { return has(destination, *options.expected); };
    const bool there = co_await offload(checking);
    if (there) co_return *options.expected;
  }
  auto opening = [&] { return PartFile::open(destination); };
  CO_TRY(PartFile part, co_await offload(opening));
  Fetch work(network, from, ticket, part, options);
  Result<Content> got = co_await work.run();
  auto ending = [&]() -> Result<void> {
    if (got) return part.finish();
    if (part.size() == 0 || work.part_is_wrong()) part.discard();
    return {};
  };
  const Result<void> ended = co_await offload(ending);
  if (!got) co_return fail(got.error(), "fetching {}", destination.filename().string());
  if (!ended) co_return std::unexpected(ended.error());
  co_return std::move(got);
}

}  // namespace dms::transfer
