// A whole provider on the network in memory, and what an orchestrator does with it.
#pragma once

#include <algorithm>

#include "protocol/serve.hpp"
#include "provider/provider.hpp"
#include "provider/testing.hpp"

namespace dms::provider {

struct WholeProvider : ProviderTest {
  std::unique_ptr<Provider> provider;
  void SetUp() override {
    actor::TestWorld::trust(node, alice);
    actor::TestWorld::trust(node, bob);
    // Replies and bids carry tokens of the node.
    actor::TestWorld::trust(alice, node);
    actor::TestWorld::trust(bob, node);
    ASSERT_TRUE(serve(*alice.root, protocol::kTaskTermination, *this, &WholeProvider::on_end));
    ASSERT_TRUE(serve(*alice.root, protocol::kAllocationChanged, *this, &WholeProvider::on_hint));
  }
  void TearDown() override { close(); }
  void open() {
    provider = std::make_unique<Provider>(services(), *node.root);
    const Result<void> started = run(provider->start());
    ASSERT_TRUE(started) << started.error().to_string();
  }
  void close() {
    if (provider) run(provider->close());
    provider.reset();
  }
  template <class Request, class Reply>
  Result<Reply> call(actor::TestNode& by, const protocol::Behaviour<Request, Reply>& behaviour,
                     const Request& request) {
    return w.run(by, protocol::call(*by.root, behaviour, node.root->handle(), request));
  }
  protocol::AllocateResponse allocate(actor::TestNode& by, const protocol::AllocateRequest& request) {
    EXPECT_TRUE(call(by, protocol::kBidRequest, bid_request("e")));
    protocol::CommitRequest commit = commit_request("e", "task");
    static_cast<capability::Resources&>(commit.resources) = request.allocations.at("task").resources;
    const auto committed = call(by, protocol::kCommit, commit);
    EXPECT_TRUE(committed && committed->ok);
    const auto allocated = call(by, protocol::kAllocate, request);
    EXPECT_TRUE(allocated && allocated->ok) << (allocated ? allocated->error : allocated.error().to_string());
    return allocated.value_or(protocol::AllocateResponse());
  }
  protocol::AllocateResponse allocate(actor::TestNode& by, Duration lease = 1min) {
    return allocate(by, allocate_request("e", "task", 1, lease));
  }
  /// Allocates and starts; what is running.
  void begin(const protocol::AllocateRequest& request) {
    const protocol::AllocateResponse made = allocate(alice, request);
    ASSERT_TRUE(made.ok);
    allocation = made.allocations.at("task");
    incarnation = made.incarnations.at("task");
    const auto started = start();
    ASSERT_TRUE(started && started->ok) << (started ? started->error : started.error().to_string());
  }
  void begin(executor::FakeScript work, Duration lease = 1min) {
    script("e_task", std::move(work));
    begin(allocate_request("e", "task", 1, lease));
  }
  Result<protocol::Ack> start() {
    return w.run(alice, protocol::call(*alice.root, protocol::kAllocationStart, allocation, protocol::StartRequest()));
  }
  Result<protocol::RestartReply> restart(const std::string& old, bool only_running = false) {
    return w.run(alice, protocol::call(*alice.root, protocol::kAllocationRestart, allocation,
                                       protocol::RestartRequest{old, only_running}));
  }
  protocol::RenewReply renew(actor::TestNode& by, const std::string& of) {
    const auto reply =
        call(by, protocol::kRenew, protocol::RenewRequest{.ensemble_id = "e", .allocations = {{"task", of}}});
    EXPECT_TRUE(reply) << reply.error().to_string();
    return reply.value_or(protocol::RenewReply());
  }
  protocol::AllocationReport report() { return renew(alice, "").allocations["task"]; }
  /// `of`: a run, the current one if it is empty.
  protocol::AllocationLogsResponse page(std::string stream, std::uint64_t offset, std::uint64_t max_bytes = 0,
                                        std::string of = "") {
    protocol::AllocationLogsRequest request;
    request.incarnation = std::move(of);
    request.allocation_name = "task";
    request.stream = std::move(stream);
    request.offset = offset;
    request.max_bytes = max_bytes;
    const auto reply = w.run(alice, protocol::call(*alice.root, protocol::kAllocationLogs, node.root->handle(), request,
                                                   std::nullopt, path_of(protocol::kAllocationLogs, "e")));
    EXPECT_TRUE(reply) << reply.error().to_string();
    return reply.value_or(protocol::AllocationLogsResponse());
  }
  Result<protocol::Ack> shutdown() {
    return w.run(alice, protocol::call(*alice.root, protocol::kAllocationShutdown, node.root->handle(),
                                       protocol::AllocationShutdownRequest{"e_task"}, std::nullopt,
                                       path_of(protocol::kAllocationShutdown, "e")));
  }
  /// Ends the run and keeps the rest.
  Result<protocol::Ack> stop(const std::string& of = "", std::optional<Duration> timeout = {}) {
    const protocol::AllocationShutdownRequest request{"e_task", of, true};
    return w.run(alice, protocol::call(*alice.root, protocol::kAllocationShutdown, node.root->handle(), request,
                                       timeout, path_of(protocol::kAllocationShutdown, "e")));
  }
  /// The daemon is stopped and started again after `pause`. What runs continues, unless it is lost.
  void restart_daemon(Duration pause = 1s, bool work_is_lost = false) {
    close();
    const Documents documents = stored();
    stop_daemon();
    w.settle(pause);
    if (work_is_lost) host->works.clear();
    boot(documents);
    open();
  }
  void disk_is_full(bool full = true) {
    if (full)
      store->set_write_fault([]() -> Result<void> { return fail(Errc::io, "no space left on device"); });
    else
      store->set_write_fault({});
  }
  [[nodiscard]] int running() const {
    return static_cast<int>(std::ranges::count_if(host->works, [](const auto& work) { return !work.second.over; }));
  }
  Task<protocol::Ack> on_end(protocol::TaskTermination notice, const actor::Envelope&) {
    notices.push_back(std::move(notice));
    protocol::Ack ack;
    ack.ok = acknowledges;
    co_return ack;
  }

  Task<protocol::Nothing> on_hint(protocol::AllocationChanged change, const actor::Envelope& envelope) {
    if (change.allocation_id != "e_task") co_return protocol::Nothing();
    EXPECT_EQ(envelope.from.id, allocation.id);
    hints.push_back(change.incarnation);
    co_return protocol::Nothing();
  }

  actor::Handle allocation;
  std::string incarnation;
  std::vector<protocol::TaskTermination> notices;
  std::vector<std::string> hints;  ///< the incarnations
  bool acknowledges = true;
};

/// It is open from the start.
struct StartedProvider : WholeProvider {
  void SetUp() override {
    WholeProvider::SetUp();
    open();
  }
};

inline const executor::FakeScript kService{.runs_for = std::nullopt, .out = "serving"};

}  // namespace dms::provider
