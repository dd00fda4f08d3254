// For tests of this module: pipes in memory, hosts in a simulated world.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>

#include "libp2p/host.hpp"
#include "simulation/sim_world.hpp"

namespace dms::libp2p::testing {

inline crypto::PrivateKey make_key(std::uint64_t seed) {
  SeededRandom random(seed);
  return crypto::PrivateKey::generate(random);
}

inline crypto::PeerId id(std::uint64_t seed) { return crypto::PeerId::from(make_key(seed).public_key()); }

/// One direction of a pipe: holds at most `capacity` bytes.
struct PipeHalf {
  explicit PipeHalf(std::size_t size) : capacity(size) {}
  std::size_t capacity;
  std::deque<std::uint8_t> bytes;
  bool ended = false;
  bool broken = false;
  Notify changed;
};

/// A ByteStream whose other end is in the same test.
class PipeEnd final : public ByteStream {
 public:
  PipeEnd(std::shared_ptr<PipeHalf> in, std::shared_ptr<PipeHalf> out) : in_(std::move(in)), out_(std::move(out)) {}
  ~PipeEnd() override { abort(); }

  Task<Result<std::size_t>> read_some(MutableBytes into) override {
    while (in_->bytes.empty()) {
      if (in_->ended) co_return std::size_t{0};
      if (in_->broken) co_return fail(Errc::closed, "the pipe is broken");
      CO_TRY_VOID(co_await in_->changed.wait());
    }
    const std::size_t count = std::min(into.size(), in_->bytes.size());
    std::copy_n(in_->bytes.begin(), count, into.begin());
    in_->bytes.erase(in_->bytes.begin(), in_->bytes.begin() + static_cast<std::ptrdiff_t>(count));
    in_->changed.notify_all();
    co_return count;
  }
  Task<Result<void>> write(BytesView from) override {
    while (!from.empty()) {
      if (out_->broken || out_->ended) co_return fail(Errc::closed, "the pipe is broken");
      const std::size_t count = std::min(from.size(), out_->capacity - out_->bytes.size());
      if (count == 0) {
        CO_TRY_VOID(co_await out_->changed.wait());
        continue;
      }
      out_->bytes.insert(out_->bytes.end(), from.begin(), from.begin() + static_cast<std::ptrdiff_t>(count));
      out_->changed.notify_all();
      from = from.subspan(count);
    }
    co_return Result<void>();
  }
  Task<Result<void>> close_write() override {
    out_->ended = true;
    out_->changed.notify_all();
    co_return Result<void>();
  }
  void abort() override {
    for (PipeHalf* half : {in_.get(), out_.get()}) {
      half->broken = true;
      half->changed.notify_all();
    }
  }

 private:
  std::shared_ptr<PipeHalf> in_;
  std::shared_ptr<PipeHalf> out_;
};

inline std::pair<std::unique_ptr<ByteStream>, std::unique_ptr<ByteStream>> make_pipe(std::size_t capacity = 1 << 16) {
  auto one = std::make_shared<PipeHalf>(capacity);
  auto two = std::make_shared<PipeHalf>(capacity);
  return {std::make_unique<PipeEnd>(one, two), std::make_unique<PipeEnd>(two, one)};
}

/// A scope of its own, with a limit that tests may change.
struct BoundedScope final : MemoryScope {
  explicit BoundedScope(std::uint64_t bytes) : limit(bytes) {}
  Result<void> reserve_memory(std::uint64_t bytes, Use use) override {
    if (use != Use::guaranteed && held + bytes > (use == Use::optional ? limit / 2 : limit))
      return fail(Errc::limit_exceeded, "the test scope is full");
    held += bytes;
    most = std::max(most, held);
    return {};
  }
  void release_memory(std::uint64_t bytes) override {
    EXPECT_LE(bytes, held);
    held -= bytes;
  }
  std::uint64_t limit;
  std::uint64_t held = 0;
  std::uint64_t most = 0;
};

/// A world with one node, for tests that need a lane and virtual time.
struct LaneWorld {
  explicit LaneWorld(std::uint64_t seed = 1) : world(seed), node(world.add_node("node")) {}
  [[nodiscard]] Lane& lane() { return node.runtime().lane; }
  template <class T>
  T run(Task<T> task) {
    return world.run(node, std::move(task));
  }
  void run(Task<void> task) { world.run(node, std::move(task)); }
  SimWorld world;
  SimNode& node;
};

template <class T>
Task<void> keep(Task<T> task, std::optional<T>& into) {
  into.emplace(co_await std::move(task));
}

/// Runs two tasks at once; both results.
template <class A, class B>
std::pair<A, B> run_both(LaneWorld& w, Task<A> a, Task<B> b) {
  std::optional<A> left;
  std::optional<B> right;
  Nursery nursery(w.lane(), "test");
  nursery.spawn(keep(std::move(a), left));
  nursery.spawn(keep(std::move(b), right));
  w.run(nursery.join());
  return {std::move(*left), std::move(*right)};
}

constexpr std::uint16_t kPort = 9000;

/// A connection to a host without a handshake.
inline Task<Result<std::unique_ptr<ByteStream>>> connect_raw(Net& net, IpAddress address) {
  const IpEndpoint to{address, kPort};
  CO_TRY(Accepted accepted, co_await net.connect_tcp(to));
  co_return std::move(accepted.stream);
}

/// A host on a node of its own, listening.
struct Peer {
  Peer(SimWorld& w, const std::string& name, std::uint64_t seed, Host::Options options = {})
      : world(w),
        node(w.add_node(name)),
        key(make_key(seed)),
        host(std::make_unique<Host>(node.runtime(), key, options)) {
    EXPECT_TRUE(host->listen(*Multiaddr::parse("/ip4/0.0.0.0/tcp/9000")));
  }
  [[nodiscard]] crypto::PeerId id() const { return host->self(); }
  [[nodiscard]] std::vector<Multiaddr> address() const { return {Multiaddr::tcp({node.address(), kPort})}; }
  Result<void> connect(const Peer& to) { return world.run(node, host->connect(to.id(), to.address())); }
  void close() { world.run(node, host->close()); }

  SimWorld& world;
  SimNode& node;
  crypto::PrivateKey key;
  std::unique_ptr<Host> host;
};

/// Two hosts. At the end no stream may be left open.
struct TwoHosts {
  explicit TwoHosts(std::uint64_t seed, SimLink link = {}, Host::Options options = {})
      : world(seed, link), a(world, "a", 1, options), b(world, "b", 2, options) {}
  ~TwoHosts() { close(); }
  void close() {
    if (std::exchange(closed, true)) return;
    a.close();
    b.close();
    world.run_for(5s);
    EXPECT_EQ(a.node.open_streams(), 0u);
    EXPECT_EQ(b.node.open_streams(), 0u);
  }
  Result<void> connect() { return a.connect(b); }

  SimWorld world;
  Peer a;
  Peer b;
  bool closed = false;
};

inline Task<void> echo(std::unique_ptr<Stream> stream) {
  Bytes buffer(16 * 1024);
  for (;;) {
    Result<std::size_t> got = co_await stream->read_some(buffer);
    if (!got || *got == 0) break;
    Result<void> sent = co_await stream->write(BytesView(buffer).first(*got));
    if (!sent) break;
  }
  (void)co_await stream->close_write();
}

inline Task<void> send_all(ByteStream& stream, Bytes bytes) {
  (void)co_await stream.write(bytes);
  (void)co_await stream.close_write();
}

/// Sends `bytes` and reads to the peer's end at the same time.
inline Task<Result<Bytes>> send_and_read(std::unique_ptr<ByteStream> stream, Bytes bytes) {
  const TaskContext context = co_await this_task();
  Nursery nursery(*context.lane, "send");
  nursery.spawn(send_all(*stream, std::move(bytes)));
  Result<Bytes> read = co_await read_to_end(*stream, 1 << 24);
  co_await nursery.join();
  co_return std::move(read);
}

/// Sends `message` and reads the answer at the same time.
inline Task<Result<Bytes>> ask(Host& host, crypto::PeerId peer, std::string protocol, Bytes message) {
  CO_TRY(std::unique_ptr<Stream> stream, co_await host.new_stream(peer, std::move(protocol)));
  Nursery nursery(host.runtime().lane, "ask");
  nursery.spawn(send_all(*stream, std::move(message)));
  Result<Bytes> reply = co_await read_to_end(*stream, 64 << 20);
  co_await nursery.close();
  co_return std::move(reply);
}

}  // namespace dms::libp2p::testing
