// What only real sockets and the real resolver can show, on the loopback.
#include "runtime/real_runtime.hpp"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <latch>
#include <optional>
#include <stdexcept>
#include <thread>

#include "runtime/stoppable.hpp"

namespace dms {
namespace {

/// A name server on a UDP port of the loopback that answers every query with the same records, and not before it is released.
class NameServer {
 public:
  explicit NameServer(Bytes records, std::uint16_t count, std::uint8_t code = 0)
      : records_(std::move(records)),
        count_(count),
        code_(code),
        socket_(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::bind(socket_, reinterpret_cast<sockaddr*>(&at), sizeof at), 0);
    socklen_t size = sizeof at;
    EXPECT_EQ(::getsockname(socket_, reinterpret_cast<sockaddr*>(&at), &size), 0);
    port_ = ntohs(at.sin_port);
  }
  NameServer(const NameServer&) = delete;
  NameServer& operator=(const NameServer&) = delete;
  ~NameServer() {
    if (thread_.joinable()) thread_.join();
    ::close(socket_);
  }
  [[nodiscard]] IpEndpoint at() const { return {IpAddress::v4({127, 0, 0, 1}), port_}; }
  /// Answers one query, on a thread of its own.
  void answer_one() {
    thread_ = std::thread([this] { serve(); });
  }

 private:
  void serve() {
    pollfd ready{socket_, POLLIN, 0};
    if (::poll(&ready, 1, 10'000) != 1) return;
    Bytes message(512);
    sockaddr_in from{};
    socklen_t size = sizeof from;
    const auto got = ::recvfrom(socket_, message.data(), message.size(), 0, reinterpret_cast<sockaddr*>(&from), &size);
    if (got < 12) return;
    message.resize(static_cast<std::size_t>(got));
    message[2] = 0x81;
    message[3] = static_cast<std::uint8_t>(0x80 | code_);
    message[6] = static_cast<std::uint8_t>(count_ >> 8);
    message[7] = static_cast<std::uint8_t>(count_);
    message[10] = message[11] = 0;
    // What follows the question (options of the query) is left out; the name ends with a zero, and type and class follow.
    std::size_t end = 12;
    while (end < message.size() && message[end] != 0) end += message[end] + 1U;
    message.resize(std::min(message.size(), end + 5));
    append(message, records_);
    (void)::sendto(socket_, message.data(), message.size(), 0, reinterpret_cast<sockaddr*>(&from), size);
  }

  Bytes records_;
  std::uint16_t count_;
  std::uint8_t code_;
  int socket_;
  std::uint16_t port_ = 0;
  std::thread thread_;
};

Bytes text_record(std::string_view text) {
  Bytes out{0xc0,
            12,
            0,
            16,
            0,
            1,
            0,
            0,
            0,
            60,
            0,
            static_cast<std::uint8_t>(text.size() + 1),
            static_cast<std::uint8_t>(text.size())};
  append(out, as_bytes(text));
  return out;
}

RealRuntime::Options asking(const NameServer& server) {
  RealRuntime::Options options;
  options.name_server = server.at();
  return options;
}

TEST(RealNames, TextsOfTheNameServer) {
  Bytes records = text_record("dnsaddr=/ip4/192.0.2.1/tcp/4001");
  append(records, text_record("v=spf1"));
  NameServer server(records, 2);
  server.answer_one();
  RealRuntime runtime(asking(server));
  auto texts = runtime.run(runtime.runtime().net.resolve_text("_dnsaddr.nunet.example"));
  ASSERT_TRUE(texts) << texts.error().to_string();
  EXPECT_EQ(*texts, (std::vector<std::string>{"dnsaddr=/ip4/192.0.2.1/tcp/4001", "v=spf1"}));
}

TEST(RealNames, ANameThatDoesNotExist) {
  NameServer server({}, 0, 3);
  server.answer_one();
  RealRuntime runtime(asking(server));
  auto texts = runtime.run(runtime.runtime().net.resolve_text("unknown.example"));
  ASSERT_FALSE(texts);
  EXPECT_TRUE(texts.error().is(Errc::not_found)) << texts.error().to_string();
}

TEST(RealNames, ACallerPastItsDeadlineReturnsAtOnceAndTheLookUpRunsToItsEnd) {
  NameServer server(text_record("late"), 1);
  RealRuntime runtime(asking(server));
  auto texts = runtime.run(with_timeout(1ms, runtime.runtime().net.resolve_text("silent.example")));
  ASSERT_FALSE(texts);
  EXPECT_TRUE(texts.error().is(Errc::deadline_exceeded)) << texts.error().to_string();
  server.answer_one();  // so that the runtime need not wait for the query's own end
}

TEST(RealNames, AddressesOfHosts) {
  RealRuntime runtime;
  Net& net = runtime.runtime().net;
  auto four = runtime.run(net.resolve_host("127.0.0.1", IpFamily::any));
  ASSERT_TRUE(four) << four.error().to_string();
  EXPECT_EQ(*four, std::vector{*IpAddress::parse("127.0.0.1")});
  EXPECT_EQ(*runtime.run(net.resolve_host("::1", IpFamily::v6)), std::vector{*IpAddress::parse("::1")});
  EXPECT_FALSE(runtime.run(net.resolve_host("127.0.0.1", IpFamily::v6)));
  for (const std::string& bad : {std::string(), std::string("a\0b", 3), std::string(254, 'a')}) {
    EXPECT_TRUE(runtime.run(net.resolve_host(bad, IpFamily::any)).error().is(Errc::invalid_argument));
    EXPECT_TRUE(runtime.run(net.resolve_text(bad)).error().is(Errc::invalid_argument));
  }
  auto local = runtime.run(net.resolve_host("localhost", IpFamily::v4));
  if (!local) GTEST_SKIP() << "skipped: this system does not know localhost";
  EXPECT_TRUE(local->at(0).is_loopback());
}

// ---- local sockets ----------------------------------------------------------------------------------------------------

Task<Result<std::unique_ptr<ByteStream>>> accept_stream(Listener& listener) {
  CO_TRY(Accepted accepted, co_await listener.accept());
  co_return std::move(accepted.stream);
}

class LocalSocket : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (std::filesystem::temp_directory_path() / "nunet-socket-XXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::filesystem::path folder_;
  RealRuntime real_;
  Net& net_ = real_.runtime().net;
};

TEST_F(LocalSocket, AUnixSocketHasMode0600AndNamesBothUsers) {
  const std::string path = folder_ / "socket";
  EXPECT_TRUE(real_.run(net_.connect_unix(path)).error().is(Errc::not_found));
  auto listener = net_.listen_unix(path);
  ASSERT_TRUE(listener) << listener.error().to_string();
  struct stat info {};
  ASSERT_EQ(::stat(path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600U);
  EXPECT_TRUE(net_.listen_unix(path).error().is(Errc::already_exists));
  auto near = real_.run(net_.connect_unix(path));
  ASSERT_TRUE(near) << near.error().to_string();
  auto far = real_.run(accept_stream(**listener));
  ASSERT_TRUE(far) << far.error().to_string();
  EXPECT_EQ((*near)->peer_user(), ::geteuid());
  EXPECT_EQ((*far)->peer_user(), ::geteuid());
  ASSERT_TRUE(real_.run((*near)->write(as_bytes("hello"))));
  Bytes text(5);
  ASSERT_TRUE(real_.run(read_exactly(**far, text)));
  EXPECT_EQ(as_text(text), "hello");
  (*listener)->close();
  EXPECT_FALSE(std::filesystem::exists(path)) << "close() removes the socket";
  EXPECT_TRUE(net_.listen_unix(folder_ / std::string(200, 'x')).error().is(Errc::invalid_argument));
}

TEST_F(LocalSocket, ALoopbackConnectionNamesItsUserWhileItIsOpen) {
  for (const char* address : {"127.0.0.1", "::1"}) {
    auto listener = net_.listen_tcp({IpAddress::parse(address).value(), 0});
    if (!listener) continue;  // a machine without IPv6
    auto near = real_.run(net_.connect_tcp((*listener)->local()));
    ASSERT_TRUE(near) << near.error().to_string();
    EXPECT_EQ(near->stream->peer_user(), std::nullopt) << "no process has the other end before it is accepted";
    auto far = real_.run(accept_stream(**listener));
    ASSERT_TRUE(far) << far.error().to_string();
    const auto user = (*far)->peer_user();
    if (!user) GTEST_SKIP() << "skipped: this kernel does not report the owner of a TCP socket (NETLINK_SOCK_DIAG)";
    EXPECT_EQ(user, ::geteuid());
    EXPECT_EQ(near->stream->peer_user(), ::geteuid());
    near->stream->abort();
    EXPECT_EQ((*far)->peer_user(), std::nullopt) << "the socket at the other end is closed";
  }
}

/// Byte by byte.
Task<Result<void>> read_bytes(ByteStream& stream, std::size_t& left) {
  Bytes one(1);
  while (left > 0) {
    CO_TRY(const std::size_t got, co_await stream.read_some(one));
    if (got == 0) co_return fail(Errc::closed, "the stream has ended");
    left -= got;
  }
  co_return Result<void>();
}

TEST_F(LocalSocket, AReaderOfWhatHasArrivedLeavesOtherWorkItsTurn) {
  auto listener = net_.listen_unix(folder_ / "socket");
  ASSERT_TRUE(listener) << listener.error().to_string();
  auto near = real_.run(net_.connect_unix(folder_ / "socket"));
  ASSERT_TRUE(near) << near.error().to_string();
  auto far = real_.run(accept_stream(**listener));
  ASSERT_TRUE(far) << far.error().to_string();
  const Bytes many(std::size_t{16} << 10);
  ASSERT_TRUE(real_.run((*near)->write(many)));
  std::size_t left = many.size();
  std::optional<std::size_t> left_at_turn;
  Lane& lane = real_.runtime().lane;
  lane.post([&] { lane.post([&] { left_at_turn = left; }); });  // after the reader has begun
  EXPECT_TRUE(real_.run(read_bytes(**far, left)));
  ASSERT_TRUE(left_at_turn);
  EXPECT_GT(*left_at_turn, 0U) << "other work had to wait until all was read";

  // A timer is on time as well: that of a deadline.
  ASSERT_TRUE(real_.run((*near)->write(many)));
  left = many.size();
  const Result<void> late = real_.run(with_timeout(Duration(0), read_bytes(**far, left)));
  ASSERT_FALSE(late);
  EXPECT_TRUE(late.error().is(Errc::deadline_exceeded)) << late.error().to_string();
}

// ---- the lane ---------------------------------------------------------------------------------------------------------

TEST(RealLane, RunsWhatIsPostedInOrderAlsoFromWithinAndFromOtherThreads) {
  RealRuntime real;
  Lane& lane = real.runtime().lane;
  std::vector<int> ran;
  Notify all;
  const auto note = [&](int number) {
    ran.push_back(number);
    if (ran.size() == 5) all.notify_all();
  };
  lane.post([&] {
    note(1);
    lane.post([&] { note(3); });
    std::thread([&] { lane.post([&] { note(5); }); }).join();
    lane.post([&] { note(4); });
  });
  lane.post([&] { note(2); });
  real.run([](Notify& done, const std::vector<int>& seen) -> Task<void> {
    while (seen.size() < 5) (void)co_await done.wait();
  }(all, ran));
  // The position of another thread's post is not defined, except that it comes after what that thread had seen.
  const auto foreign = std::ranges::find(ran, 5);
  ASSERT_NE(foreign, ran.end());
  EXPECT_NE(foreign, ran.begin());
  ran.erase(foreign);
  EXPECT_EQ(ran, (std::vector<int>{1, 2, 3, 4}));
}

/// Posts itself until it is stopped.
struct Restless {
  Lane& lane;
  bool stopped = false;
  void go() {
    if (!stopped) lane.post([this] { go(); });
  }
};

TEST(RealLane, EndlessPostsDelayNeitherTimersNorOtherThreads) {
  RealRuntime real;
  Lane& lane = real.runtime().lane;
  Restless restless{lane};
  restless.go();
  bool offloaded = false;
  real.run([](Lane& on, Restless& busy, bool& done) -> Task<void> {
    (void)co_await sleep_for(1ms);  // what is tested: this timer expires although posts never end
    Notify returned;
    on.offload([] {}, [&] { done = true, returned.notify_all(); });
    while (!done) (void)co_await returned.wait();
    busy.stopped = true;
  }(lane, restless, offloaded));
  EXPECT_TRUE(offloaded);
}

TEST(RealLane, LongWorkDoesNotDelayShortWork) {
  RealRuntime real(RealRuntime::Options{.workers = 2});
  std::latch held(1);
  int ended = 0;
  bool done = false;
  real.run([](Lane& lane, std::latch& latch, int& long_ones, bool& short_one) -> Task<void> {
    Notify changed;
    for (int i = 0; i < 3; ++i) lane.offload([&] { latch.wait(); }, [&] { ++long_ones, changed.notify_all(); });
    lane.offload_short([] {}, [&] { short_one = true, changed.notify_all(); });
    while (!short_one) (void)co_await changed.wait();
    EXPECT_EQ(long_ones, 0);
    latch.count_down();
    while (long_ones < 3) (void)co_await changed.wait();
  }(real.runtime().lane, held, ended, done));
  EXPECT_EQ(ended, 3);
}

TEST(RealLane, WorkThatIsAskedToStopIsWaitedFor) {
  RealRuntime real(RealRuntime::Options{.workers = 1});
  bool ended = false;
  const Stoppable endless = [&ended](const std::stop_token& stop) -> Result<void> {
    while (!stop.stop_requested()) std::this_thread::yield();
    ended = true;
    return fail(Errc::cancelled, "it was stopped");
  };
  EXPECT_FALSE(real.run(with_timeout(1ms, offload_stoppable(endless))));
  EXPECT_TRUE(ended);
  const Stoppable brief = [](const std::stop_token& stop) -> Result<void> {
    return stop.stop_requested() ? fail(Errc::cancelled, "it was stopped") : Result<void>();
  };
  EXPECT_TRUE(real.run(offload_stoppable(brief)));
}

TEST(RealLane, WhatOffloadedWorkThrowsReachesTheCaller) {
  RealRuntime real;
  std::string caught;
  real.run([](std::string& text) -> Task<void> {
    const auto throwing = []() -> int { throw std::runtime_error("no descriptor is left"); };
    try {
      (void)co_await offload(throwing);
    } catch (const std::runtime_error& error) {
      text = error.what();
    }
  }(caught));
  EXPECT_EQ(caught, "no descriptor is left");
}

TEST(RealLane, WhatStoppableWorkThrowsReachesTheCaller) {
  RealRuntime real;
  std::string caught;
  real.run([](std::string& text) -> Task<void> {
    const Stoppable throwing = [](const std::stop_token&) -> Result<void> { throw std::runtime_error("no memory"); };
    try {
      (void)co_await offload_stoppable(throwing);
    } catch (const std::runtime_error& error) {
      text = error.what();
    }
  }(caught));
  EXPECT_EQ(caught, "no memory");
}

}  // namespace
}  // namespace dms
