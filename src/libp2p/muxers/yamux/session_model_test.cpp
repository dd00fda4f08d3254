// A session against a slow, plain model of the specification: random operations on both sides, every frame checked,
// every byte compared.
#include "libp2p/muxers/yamux/session.hpp"
#include "libp2p/testing.hpp"

#include <list>

namespace dms::libp2p::yamux {
namespace {

using namespace libp2p::testing;
using StreamPtr = std::unique_ptr<ByteStream>;

constexpr std::uint32_t kMaxWindow = 1 << 20;
constexpr Duration kSoon = 1min;  // of virtual time: longer than session.close() lingers

/// A stream as the peer sees it. Everything is kept: plain, not fast.
struct PeerStream {
  bool opened_by_peer = false;
  Bytes sent, got;
  std::size_t send_window = kInitialWindow, receive_window = kInitialWindow;
  bool acknowledged_by_session = false, acknowledged_by_peer = false;
  bool fin_sent = false, fin_got = false, rst_sent = false, rst_got = false;
  [[nodiscard]] bool over() const { return rst_sent || rst_got; }
  /// A reset by the peer drops what is unread, unless it had ended its half before.
  [[nodiscard]] bool dropped() const { return rst_sent && !fin_sent; }
};

/// The peer of the session.
class Peer {
 public:
  Peer(StreamPtr wire, Side side, Lane& lane) : nursery(lane, "peer"), wire_(std::move(wire)), side_(side) {
    nursery.spawn(listen());
  }
  void send(const FrameHeader& header, BytesView payload = {}) {
    Bytes bytes = to_bytes(BytesView(header.encode()));
    append(bytes, payload);
    outgoing_.push_back(std::move(bytes));
    if (outgoing_.size() == 1) nursery.spawn(flush());
  }

  std::uint32_t open(Bytes first, bool by_data) {
    const std::uint32_t id = next_;
    next_ += 2;
    streams[id].opened_by_peer = true;
    if (by_data)
      data(id, std::move(first), kSyn);
    else
      send({FrameType::window_update, kSyn, id, 0});
    return id;
  }
  void data(std::uint32_t id, Bytes bytes, std::uint16_t flags = 0) {
    PeerStream& stream = streams.at(id);
    bytes.resize(std::min(bytes.size(), stream.send_window));
    stream.send_window -= bytes.size();
    append(stream.sent, bytes);
    send({FrameType::data, with_ack(id, flags), id, static_cast<std::uint32_t>(bytes.size())}, bytes);
  }
  void grant(std::uint32_t id, std::uint32_t delta) {
    streams.at(id).receive_window += delta;
    send({FrameType::window_update, with_ack(id, 0), id, delta});
  }
  void finish(std::uint32_t id, bool by_data) {
    streams.at(id).fin_sent = true;
    send({by_data ? FrameType::data : FrameType::window_update, with_ack(id, kFin), id, 0});
  }
  void reset(std::uint32_t id) {
    streams.at(id).rst_sent = true;
    send({FrameType::window_update, kRst, id, 0});
  }
  void hang_up() { wire_->abort(); }

  std::map<std::uint32_t, PeerStream> streams;
  std::uint32_t pongs = 0;
  std::uint32_t last_pong = 0;
  Nursery nursery;

 private:
  std::uint16_t with_ack(std::uint32_t id, std::uint16_t flags) {
    PeerStream& stream = streams.at(id);
    if (stream.opened_by_peer || std::exchange(stream.acknowledged_by_peer, true)) return flags;
    return flags | kAck;
  }
  Task<void> flush() {
    while (!outgoing_.empty()) {
      Result<void> sent = co_await wire_->write(outgoing_.front());
      outgoing_.pop_front();
      if (!sent) co_return;
    }
  }
  Task<void> listen() {
    for (;;) {
      std::array<std::uint8_t, FrameHeader::kSize> bytes{};
      Result<void> read = co_await read_exactly(*wire_, bytes);
      if (!read) co_return;
      const Result<FrameHeader> header = FrameHeader::decode(bytes);
      EXPECT_TRUE(header);
      Bytes payload(header->type == FrameType::data ? header->length : 0);
      read = co_await read_exactly(*wire_, payload);
      if (!read) co_return;
      check(*header, payload);
    }
  }
  void check(const FrameHeader& header, BytesView payload) {
    if (header.type == FrameType::go_away) {
      EXPECT_EQ(header.length, 0u) << "no violation was sent";
    } else if (header.type == FrameType::ping && header.has(kSyn)) {
      send({FrameType::ping, kAck, 0, header.length});
    } else if (header.type == FrameType::ping) {
      ++pongs;
      last_pong = header.length;
    } else {
      check_stream(header, payload);
    }
  }
  void check_stream(const FrameHeader& header, BytesView payload) {
    const bool session_made = (header.stream % 2 == 0) == (side_ == Side::dialer);
    EXPECT_EQ(header.has(kSyn), session_made && !streams.contains(header.stream)) << "SYN once, on the first frame";
    EXPECT_TRUE(session_made || streams.contains(header.stream));
    PeerStream& stream = streams[header.stream];
    EXPECT_FALSE(stream.over()) << "a frame after RST, stream " << header.stream;
    if (header.has(kAck)) {
      EXPECT_TRUE(stream.opened_by_peer);
      EXPECT_FALSE(stream.acknowledged_by_session) << "ACK once";
      stream.acknowledged_by_session = true;
    }
    if (header.type == FrameType::data) {
      EXPECT_FALSE(stream.fin_got) << "data after FIN, stream " << header.stream;
      EXPECT_LE(header.length, stream.receive_window) << "more than the window";
      stream.receive_window -= std::min<std::size_t>(header.length, stream.receive_window);
      append(stream.got, payload);
    } else if (!header.has(kRst)) {
      stream.send_window += header.length;
    }
    if (header.has(kFin)) stream.fin_got = true;
    if (header.has(kRst)) stream.rst_got = true;
  }

  StreamPtr wire_;
  Side side_;
  std::uint32_t next_ = side_ == Side::dialer ? 1 : 2;
  std::deque<Bytes> outgoing_;
};

/// A stream as the session's user sees it.
struct Held {
  std::uint32_t id = 0;
  StreamPtr stream;
  Bytes written;
  std::size_t read = 0;
  bool closed = false, aborted = false, failed_write = false;
  Bytes buffer;
  std::optional<Result<std::size_t>> read_result;
  std::optional<Result<void>> write_result;
  bool reading = false, writing = false;
};

Task<void> read_into(Held& held) { held.read_result = co_await held.stream->read_some(held.buffer); }
Task<void> write_from(Held& held, Bytes bytes) { held.write_result = co_await held.stream->write(bytes); }

struct Game {
  explicit Game(std::uint64_t number)
      : seed(number),
        random(number),
        session_side(number % 2 == 0 ? Side::dialer : Side::listener),
        pipe(make_pipe(1 << 22)) {}

  const std::uint64_t seed;
  LaneWorld w;
  SeededRandom random;
  Side session_side;
  std::pair<StreamPtr, StreamPtr> pipe;
  Session session{w.lane(), std::move(pipe.first), session_side, {.max_window = kMaxWindow, .keep_alive = 0s}};
  Peer peer{std::move(pipe.second), session_side == Side::dialer ? Side::listener : Side::dialer, w.lane()};
  std::list<Held> held;
  std::deque<std::uint32_t> to_accept;
  std::uint32_t next_opened = session_side == Side::dialer ? 1 : 2;
  Nursery users{w.lane(), "users"};

  Bytes some_bytes() {
    static constexpr std::array<std::size_t, 6> kSizes = {1, 10, 5000, 40'000, 150'000, 300'000};
    return random.bytes(random.below(kSizes[random.below(kSizes.size())]));
  }
  void settle() { w.world.run_for(Duration(random.below(3'000'000))), w.world.run_for(1ms); }

  /// Lets virtual time pass until all tasks have ended. Tasks that take longer than kSoon are a failure and are
  /// cancelled.
  void finish(Nursery& tasks, std::string_view what) {
    const auto done = [&tasks] { return tasks.size() == 0; };
    if (w.world.run_until(done, kSoon)) return;
    ADD_FAILURE() << "seed " << seed << ": " << what << " still waits after a minute";
    tasks.cancel();
    w.world.run_until(done, kSoon);
  }
  /// The result of `task`; an error if it had to be cancelled.
  template <class T>
  Result<T> soon(std::string_view what, Task<Result<T>> task) {
    std::optional<Result<T>> result;
    Nursery one(w.lane(), std::string(what));
    one.spawn(keep(std::move(task), result));
    finish(one, what);
    if (!result) return fail(Errc::internal, "{} cannot be cancelled", what);  // the nursery then ends the program
    return std::move(*result);
  }

  void play(int steps) {
    for (int i = 0; i < steps && !::testing::Test::HasFailure(); ++i) {
      if (random.below(2) == 0)
        user_acts();
      else
        peer_acts();
      settle();
      check();
      if (random.below(100) == 0) wait_for_those_let_go();
    }
  }

  /// Streams that the session has opened and released do not stay open.
  void wait_for_those_let_go() {
    w.world.run_for(Session::kReleaseGrace);
    for (const auto& [id, stream] : peer.streams) {
      const bool is_held = std::ranges::any_of(held, [id = id](const Held& h) { return h.id == id; });
      EXPECT_TRUE(stream.opened_by_peer || is_held || stream.over() || (stream.fin_sent && stream.fin_got)) << id;
    }
  }

  void user_acts() {
    const std::uint64_t act = random.below(12);
    if (act == 0 && held.size() < 8) {
      hold(soon("open_stream()", session.open_stream()), std::exchange(next_opened, next_opened + 2));
    } else if (act == 1 && !to_accept.empty()) {
      hold(soon("accept_stream()", session.accept_stream()), to_accept.front());
      to_accept.pop_front();
    }
    if (act < 2 || held.empty()) return;
    const auto it = std::next(held.begin(), static_cast<std::ptrdiff_t>(random.below(held.size())));
    Held& h = *it;
    if (act < 6 && !h.writing && !h.closed && !h.aborted) {
      Bytes bytes = some_bytes();
      append(h.written, bytes);
      h.writing = true;
      users.spawn(write_from(h, std::move(bytes)));
    } else if (act < 10 && !h.reading) {
      h.buffer.resize(1 + random.below(random.below(2) == 0 ? 100 : 200'000));
      h.reading = true;
      users.spawn(read_into(h));
    } else if (act == 10 && !h.writing && !h.aborted) {
      h.closed = h.closed || soon("close_write()", h.stream->close_write()).has_value();
    } else if (act == 11 && random.below(3) == 0) {
      if (!h.reading && !h.writing) {
        held.erase(it);
      } else if (random.below(4) == 0) {
        h.aborted = true;
        h.stream->abort();
      }
    }
  }

  void hold(Result<StreamPtr> stream, std::uint32_t id) {
    ASSERT_TRUE(stream) << "stream " << id << ": " << stream.error().to_string();
    Held& h = held.emplace_back();
    h.stream = std::move(*stream);
    h.id = id;
  }

  void peer_acts() {
    const std::uint64_t act = random.below(12);
    if (act == 0 && to_accept.size() < 4) {
      const bool by_data = random.below(2) == 0;
      to_accept.push_back(peer.open(by_data ? some_bytes() : Bytes(), by_data));
      return;
    }
    if (act == 1) {
      const auto value = static_cast<std::uint32_t>(random.u64());
      const std::uint32_t before = peer.pongs;
      peer.send({FrameType::ping, kSyn, 0, value});
      settle();
      EXPECT_EQ(peer.pongs, before + 1);
      EXPECT_EQ(peer.last_pong, value);
      return;
    }
    if (peer.streams.empty()) return;
    const auto it = std::next(peer.streams.begin(), static_cast<std::ptrdiff_t>(random.below(peer.streams.size())));
    auto& [id, stream] = *it;
    if (stream.over()) return;
    if (act < 6 && !stream.fin_sent) {
      peer.data(id, some_bytes());
    } else if (act < 9) {
      peer.grant(id, static_cast<std::uint32_t>(kInitialWindow -
                                                std::min<std::size_t>(kInitialWindow, stream.receive_window)));
    } else if (act == 9 && !stream.fin_sent) {
      peer.finish(id, random.below(2) == 0);
    } else if (act == 10 && random.below(4) == 0) {
      peer.reset(id);
      if (stream.dropped()) std::erase(to_accept, id);
    }
  }

  void check() {
    for (Held& h : held) check_stream(h);
    EXPECT_FALSE(session.closing());
  }

  void check_stream(Held& h) {
    const auto known = peer.streams.find(h.id);
    if (known == peer.streams.end()) {
      EXPECT_TRUE(h.written.empty() && !h.closed) << "not announced";
      return;
    }
    PeerStream& p = known->second;
    EXPECT_EQ(h.aborted && !p.rst_sent && !(h.closed && p.fin_sent), p.rst_got)
        << "an abort is one RST, if the peer knows the stream";
    const bool reset = h.aborted || p.rst_sent;
    const bool must_end = reset || p.sent.size() > h.read || p.fin_sent;
    if (h.reading) {
      EXPECT_EQ(h.read_result.has_value(), must_end) << "reading, stream " << h.id;
      if (h.read_result) finish_read(h, p);
    }
    EXPECT_LE(p.got.size(), h.written.size());
    EXPECT_TRUE(std::equal(p.got.begin(), p.got.end(), h.written.begin())) << "in order, and nothing else";
    if (h.writing && h.write_result) {
      h.writing = false;
      h.failed_write = !*h.write_result;
      EXPECT_TRUE(!h.failed_write || reset);
      h.write_result.reset();
    }
    if (!reset && !h.writing) {
      EXPECT_EQ(p.got.size(), h.written.size());
    }
    if (!reset && h.writing) {
      EXPECT_EQ(p.receive_window, 0u) << "a writer waits for the window only";
    }
    if (!reset && h.closed) {
      EXPECT_TRUE(p.fin_got);
    }
    if (reset || p.fin_sent) return;
    EXPECT_LE(p.send_window + p.sent.size() - h.read, kMaxWindow);
    if (h.read == p.sent.size() && h.read > 0) {
      EXPECT_GE(p.send_window, kInitialWindow / 2);
    }
  }

  void finish_read(Held& h, const PeerStream& p) {
    h.reading = false;
    const Result<std::size_t> result = *std::exchange(h.read_result, std::nullopt);
    if (!result) {
      EXPECT_TRUE(h.aborted || p.dropped()) << result.error().to_string();
    } else if (*result == 0) {
      EXPECT_TRUE(p.fin_sent && h.read == p.sent.size());
    } else {
      ASSERT_LE(h.read + *result, p.sent.size());
      EXPECT_TRUE(std::equal(h.buffer.begin(), h.buffer.begin() + static_cast<std::ptrdiff_t>(*result),
                             p.sent.begin() + static_cast<std::ptrdiff_t>(h.read)));
      h.read += *result;
    }
  }

  /// Streams that the peer has ended are readable to their end.
  void drain(Held& h) {
    const auto known = peer.streams.find(h.id);
    if (known == peer.streams.end() || !known->second.fin_sent || h.aborted) return;
    const PeerStream& p = known->second;
    if (!h.reading) {
      h.buffer.resize(1 << 20);
      for (std::size_t before = h.read + 1; before != h.read && !::testing::Test::HasFailure();) {
        before = h.read;
        h.read_result = soon("a read to the end", h.stream->read_some(h.buffer));
        finish_read(h, p);
      }
      EXPECT_EQ(h.read, p.sent.size()) << "to the end, stream " << h.id;
    }
  }

  /// Everything is released; nothing may be left.
  void end() {
    for (Held& h : held) drain(h);
    for (Held& h : held) h.stream->abort();
    settle();
    finish(users, "a read or write of an aborted stream");
    held.clear();
    for (; !to_accept.empty(); to_accept.pop_front()) (void)soon("accept_stream()", session.accept_stream());
    settle();
    EXPECT_EQ(session.streams(), 0u);
    EXPECT_EQ(session.buffered(), 0u);
    peer.hang_up();
    Nursery closing(w.lane(), "session.close()");
    closing.spawn(session.close());
    finish(closing, "session.close()");
    peer.nursery.cancel();
    finish(peer.nursery, "the peer");
  }
};

TEST(YamuxModel, RandomOperationsOfBothSidesAgreeWithThePlainModel) {
  for (std::uint64_t seed = 0; seed < 150; ++seed) {
    SCOPED_TRACE(fmt::format("seed {}", seed));
    Game game(seed);
    game.play(150);
    game.end();
    if (HasFailure()) return;
  }
}

}  // namespace
}  // namespace dms::libp2p::yamux
