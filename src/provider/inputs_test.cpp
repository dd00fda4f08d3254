// The inputs of a start: through restarts of either daemon and of the orchestrator's tickets, without repeated bytes.
#include "provider/inputs.hpp"

#include "encoding/multibase.hpp"
#include "network/memory_stream.hpp"
#include "provider/test_provider.hpp"
#include "transfer/server.hpp"
#include "transfer/testing.hpp"

namespace dms::provider {
namespace {

/// What a stream in memory holds unread, which is lost when it is reset.
constexpr std::size_t kUnread = network::MemoryLink::kWindow;
constexpr std::size_t kSize = 3 * kUnread;
constexpr std::size_t kInterrupted = 2 * kUnread;
/// More than is sent in all if the second fetch goes on where the first was; less than if it begins anew.
constexpr std::size_t kMostSent = kSize + kUnread + kUnread / 2;

struct InputsTest : WholeProvider {
  void SetUp() override {
    WholeProvider::SetUp();
    ASSERT_TRUE(serve(*alice.root, protocol::kOrchestratorInput, *this, &InputsTest::offer));
    ASSERT_TRUE(server->open());
    ASSERT_TRUE(of_provider->open());
    transfers = of_provider.get();
    ASSERT_TRUE(write_file(source(), content));
    open();
    protocol::AllocateRequest request = allocate_request("e", "task", 1, 1h);
    request.allocations.at("task").inputs.push_back({.to = "in.bin", .digest = digest(), .size = content.size()});
    script("e_task", {.runs_for = std::nullopt});
    const protocol::AllocateResponse made = allocate(alice, request);
    ASSERT_TRUE(made.ok);
    allocation = made.allocations.at("task");
    incarnation = made.incarnations.at("task");
  }
  void TearDown() override {
    w.substrate->set_stream_tap({});
    w.run(alice, server->close());
    WholeProvider::TearDown();
    w.run(node, of_provider->close());
  }

  [[nodiscard]] std::filesystem::path source() const { return dir / "source"; }
  [[nodiscard]] std::string digest() const { return encode(Base::hex, crypto::sha256(as_bytes(content))); }
  static transfer::ServerOptions server_options() {
    transfer::ServerOptions options;
    options.block = 64 * 1024;
    return options;
  }
  /// What the orchestrator answers.
  Task<protocol::InputReply> offer(protocol::InputRequest request, const actor::Envelope&) {
    ++asked;
    protocol::InputReply reply;
    reply.error = refusal;
    if (request.to != "in.bin" || !refusal.empty()) co_return reply;
    const transfer::Content known = transfer::content_of(source()).value();
    reply.size = content.size();
    reply.digest = digest();
    reply.ticket = server->offer(node.network->self(), source(), known, 1h).value().to_string();
    reply.ok = true;
    if (forgets) server->revoke_below(dir.path());
    co_return reply;
  }
  /// Counts the bytes that the orchestrator streams, and resets the first stream after `bytes`.
  void interrupt_at(std::size_t bytes) {
    w.substrate->set_stream_tap([this, bytes](const crypto::PeerId& from, const crypto::PeerId&, MutableBytes data) {
      if (from != alice.network->self()) return true;
      if (!interrupted && sent + data.size() > bytes) {
        interrupted = true;
        return false;
      }
      sent += data.size();
      return true;
    });
  }
  /// Asks for the start without waiting for its outcome.
  void begin_start() {
    const auto reply = w.run(
        alice, protocol::call(*alice.root, protocol::kAllocationStart, allocation, protocol::StartRequest(), 500ms));
    EXPECT_FALSE(reply) << "it waits for the input";
  }
  void cut(bool is_cut) { w.substrate->cut(node.network->self(), alice.network->self(), is_cut); }
  [[nodiscard]] std::filesystem::path brought() const { return folder / "jobs" / "e_task" / "work" / "in.bin"; }

  transfer::testing::TestFolder dir;
  std::string content = transfer::testing::random_text(kSize);
  std::unique_ptr<transfer::Server> server =
      std::make_unique<transfer::Server>(alice.lane(), *alice.network, server_options());
  std::unique_ptr<transfer::Server> of_provider = std::make_unique<transfer::Server>(node.lane(), *node.network);
  std::string refusal;
  bool forgets = false;  ///< each ticket at once
  int asked = 0;
  std::size_t sent = 0;
  bool interrupted = false;
};

TEST_F(InputsTest, AnOrchestratorThatHasForgottenItsTicketsIsAskedForAnother) {
  interrupt_at(kInterrupted);
  begin_start();
  ASSERT_TRUE(interrupted);
  const protocol::AllocationReport reported = report();
  EXPECT_TRUE(reported.brings_inputs);
  ASSERT_TRUE(reported.progress);
  EXPECT_EQ(reported.progress->phase, protocol::StartPhase::inputs);
  EXPECT_EQ(reported.progress->total, kSize);
  EXPECT_GT(reported.progress->done, 0U);
  EXPECT_LT(reported.progress->done, kSize);
  server->revoke_below(dir.path());
  const auto started = start();
  ASSERT_TRUE(started && started->ok) << (started ? started->error : started.error().to_string());
  EXPECT_EQ(asked, 2);
  EXPECT_EQ(running(), 1);
  EXPECT_FALSE(report().brings_inputs);
  EXPECT_FALSE(report().progress);
  EXPECT_EQ(transfer::testing::read(brought()), content);
  EXPECT_LT(sent, kMostSent) << "it went on where it was";
}

TEST_F(InputsTest, ARestartedProviderWaitsForTheOrchestratorAndGoesOnWhereItWas) {
  interrupt_at(kInterrupted);
  begin_start();
  ASSERT_TRUE(interrupted);
  cut(true);
  restart_daemon();
  w.settle(20s);
  EXPECT_EQ(running(), 0);
  EXPECT_EQ(asked, 1) << "no request arrives";
  cut(false);
  const auto started = start();
  ASSERT_TRUE(started && started->ok) << (started ? started->error : started.error().to_string());
  EXPECT_EQ(asked, 2);
  EXPECT_EQ(running(), 1);
  EXPECT_EQ(transfer::testing::read(brought()), content);
  EXPECT_LT(sent, kMostSent) << "it went on where it was";
  EXPECT_TRUE(notices.empty());
}

TEST_F(InputsTest, ARefusalEndsTheStart) {
  refusal = "there is no such file";
  const auto started = start();
  ASSERT_TRUE(started) << started.error().to_string();
  EXPECT_FALSE(started->ok);
  EXPECT_NE(started->error.find(refusal), std::string::npos) << started->error;
  EXPECT_EQ(asked, 1);
}

TEST_F(InputsTest, WithoutAnyProgressTheStartFailsAtLast) {
  forgets = true;
  begin_start();
  w.settle(kInputPatience - 1min);
  EXPECT_EQ(report().status, protocol::AllocationStatus::pending);
  w.settle(2min);
  const protocol::AllocationReport ended = report();
  EXPECT_EQ(ended.status, protocol::AllocationStatus::failed);
  EXPECT_NE(ended.reason.find("in.bin"), std::string::npos) << ended.reason;
  EXPECT_GT(asked, 10);
}

TEST_F(InputsTest, AStopEndsTheWait) {
  forgets = true;
  begin_start();
  const auto stopped = stop();
  ASSERT_TRUE(stopped && stopped->ok) << (stopped ? stopped->error : stopped.error().to_string());
  const int before = asked;
  w.settle(2min);
  EXPECT_EQ(asked, before);
}

}  // namespace
}  // namespace dms::provider
