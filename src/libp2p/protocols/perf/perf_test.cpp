#include "libp2p/protocols/perf/perf.hpp"

#include <limits>

#include "libp2p/testing.hpp"

namespace dms::libp2p {
namespace {

using namespace testing;

Result<PerfFigures> measure(TwoHosts& w, std::uint64_t upload, std::uint64_t download) {
  PerfRequest request;
  request.upload = upload;
  request.download = download;
  return w.world.run(w.a.node, measure_perf(*w.a.host, w.b.id(), std::move(request)));
}

TEST(Perf, TheRequestedBytesAreSentAndTimed) {
  TwoHosts w(1);
  PerfServer server(*w.b.host);
  ASSERT_TRUE(w.connect());
  const auto figures = measure(w, 3'000'000, 1'000'001);
  ASSERT_TRUE(figures) << figures.error().to_string();
  EXPECT_EQ(figures->uploaded, 3'000'000u);
  EXPECT_EQ(figures->downloaded, 1'000'001u);
  EXPECT_GE(figures->download, 8ms);  // a round trip
  w.world.run_for(1s);
  EXPECT_EQ(server.serving(), 0u);
}

TEST(Perf, AnEmptyMeasurementIsARoundTrip) {
  TwoHosts w(1);
  PerfServer server(*w.b.host);
  ASSERT_TRUE(w.connect());
  const auto figures = measure(w, 0, 0);
  ASSERT_TRUE(figures) << figures.error().to_string();
  EXPECT_EQ(figures->uploaded + figures->downloaded, 0u);
  EXPECT_GE(figures->upload, 8ms);
}

TEST(Perf, IsServedOnlyWithAPerfServer) {
  TwoHosts w(1);
  ASSERT_TRUE(w.connect());
  const auto figures = measure(w, 1, 1);
  ASSERT_FALSE(figures);
  EXPECT_TRUE(figures.error().is(Errc::unsupported));
  {
    PerfServer server(*w.b.host);
    EXPECT_TRUE(measure(w, 1, 1));
  }
  EXPECT_FALSE(measure(w, 1, 1));
}

TEST(Perf, ProgressGrowsToTheTotal) {
  TwoHosts w(1);
  PerfServer server(*w.b.host);
  ASSERT_TRUE(w.connect());
  std::vector<std::uint64_t> seen;
  PerfRequest request;
  request.upload = 1'000'000;
  request.download = 500'000;
  request.progress = [&seen](const PerfFigures& now) { seen.push_back(now.uploaded + now.downloaded); };
  ASSERT_TRUE(w.world.run(w.a.node, measure_perf(*w.a.host, w.b.id(), std::move(request))));
  ASSERT_GT(seen.size(), 10u);
  EXPECT_TRUE(std::ranges::is_sorted(seen));
  EXPECT_EQ(seen.back(), 1'500'000u);
}

/// Requests the maximum, reads `count` bytes and releases the stream.
Task<Result<void>> ask_for_the_world(Host& host, crypto::PeerId peer, std::size_t count) {
  CO_TRY(std::unique_ptr<Stream> stream, co_await host.new_stream(peer, std::string(kPerfProtocol)));
  const Bytes all(8, 0xff);
  CO_TRY_VOID(co_await stream->write(all));
  CO_TRY_VOID(co_await stream->close_write());
  Bytes some(count);
  CO_TRY_VOID(co_await read_exactly(*stream, some));
  stream->abort();
  co_return Result<void>();
}

TEST(Perf, AClientMayStopAtAnyTime) {
  TwoHosts w(1);
  PerfServer server(*w.b.host);
  ASSERT_TRUE(w.connect());
  ASSERT_TRUE(w.world.run(w.a.node, ask_for_the_world(*w.a.host, w.b.id(), 2'000'000)));
  EXPECT_TRUE(w.world.run_until([&] { return server.serving() == 0; }, 1min));
}

Task<Result<std::unique_ptr<Stream>>> begin(Host& host, crypto::PeerId peer, std::size_t size) {
  CO_TRY(std::unique_ptr<Stream> stream, co_await host.new_stream(peer, std::string(kPerfProtocol)));
  const Bytes some(size, 1);
  CO_TRY_VOID(co_await stream->write(some));
  co_return std::move(stream);
}

TEST(Perf, ServedStreamsAreBoundedAndEndWithoutProgress) {
  TwoHosts w(1);
  PerfOptions options;
  options.max_streams_per_peer = 2;
  PerfServer server(*w.b.host, options);
  ASSERT_TRUE(w.connect());
  std::vector<std::unique_ptr<Stream>> held;
  for (std::size_t size : {3, 8, 9, 0}) {  // half a request, a whole one, a whole one and a byte, nothing
    auto stream = w.world.run(w.a.node, begin(*w.a.host, w.b.id(), size));
    ASSERT_TRUE(stream);
    held.push_back(std::move(*stream));
  }
  w.world.run_for(1s);
  EXPECT_EQ(server.serving(), 2u);
  EXPECT_EQ(server.refused(), 2u);
  w.world.run_for(1min);
  EXPECT_EQ(server.serving(), 0u);
  EXPECT_TRUE(measure(w, 10, 10));
}

Task<void> answer_with(std::unique_ptr<Stream> stream, std::size_t count) {
  (void)co_await read_to_end(*stream, 1 << 20);
  const Bytes reply(count, 1);
  (void)co_await stream->write(reply);
  (void)co_await stream->close_write();
}

TEST(Perf, AWrongNumberOfBytesIsAnError) {
  TwoHosts w(1);
  ASSERT_TRUE(w.connect());
  for (std::size_t count : {99, 101, 0, 200'000}) {
    w.b.host->set_stream_handler(std::string(kPerfProtocol), [count](std::unique_ptr<Stream> stream) {
      return answer_with(std::move(stream), count);
    });
    const auto figures = measure(w, 10, 100);
    ASSERT_FALSE(figures) << count;
    EXPECT_TRUE(figures.error().is(Errc::io)) << figures.error().to_string();
  }
}

}  // namespace
}  // namespace dms::libp2p
