// The life of an allocation, with the provider's daemon killed at each of its writes, before it and after it; with writes
// that fail; with a machine that restarts. Nothing is lost, doubled or left.
#include "protocol/serve.hpp"
#include "provider/provider.hpp"
#include "provider/testing.hpp"

namespace dms::provider {
namespace {

/// How the work ends: by itself, or because its orchestrator has it stopped and kept.
enum class Ending { by_itself, stopped };
enum class Fault { none, kill_before, kill_after, reboot, one_write, full_disk };

/// An orchestrator as reduced as possible: it repeats what gets no answer, and begins again when its work is lost.
class Orchestrator {
 public:
  Orchestrator(actor::TestNode& self, actor::Handle provider, std::function<protocol::EnsembleBidRequest()> bid,
               Ending ending)
      : self_(self), provider_(std::move(provider)), bid_(std::move(bid)), ending_(ending) {
    EXPECT_TRUE(serve(*self_.root, protocol::kTaskTermination, *this, &Orchestrator::on_end));
  }
  Task<void> live() {
    for (int round = 0; round < 20 && !done; ++round) {
      const Result<void> lived = co_await live_once();
      if (!lived) log.push_back(lived.error().to_string());
      done = lived.has_value();
      const Result<void> cleaned = co_await clean_up();
      if (!cleaned) log.push_back(cleaned.error().to_string());
      if (!done) (void)co_await sleep_for(10s);
    }
  }

  bool done = false;
  std::string last_incarnation;
  std::map<std::string, protocol::TaskTermination> ends;
  std::vector<std::string> log;

 private:
  Task<protocol::Ack> on_end(protocol::TaskTermination notice, const actor::Envelope&) {
    const auto known = ends.find(notice.incarnation);
    if (known != ends.end()) {
      EXPECT_EQ(known->second.status, notice.status) << "an end changed";
      EXPECT_EQ(known->second.error.exit_code, notice.error.exit_code);
      EXPECT_EQ(known->second.out_size, notice.out_size);
    }
    ends[notice.incarnation] = std::move(notice);
    protocol::Ack ack;
    ack.ok = true;
    co_return ack;
  }
  template <class Request, class Reply>
  Task<Result<Reply>> ask(const protocol::Behaviour<Request, Reply>& behaviour, actor::Handle to, Request request,
                          std::string path = "") {
    Result<Reply> reply = fail(Errc::deadline_exceeded, "not asked");
    for (int i = 0; i < 10 && !reply; ++i) {
      std::optional<Duration> timeout = 3s;
      reply = co_await call(*self_.root, behaviour, to, request, timeout, path);
    }
    co_return reply;
  }
  static Result<void> check(const Result<protocol::Ack>& ack, std::string_view what) {
    if (!ack) return fail(ack.error(), "{}", what);
    if (!ack->ok) return fail(Errc::permission_denied, "{}: {}", what, ack->error);
    return {};
  }
  Task<Result<protocol::AllocationReport>> report(std::string incarnation) {
    protocol::RenewRequest request{.ensemble_id = "e", .allocations = {{"task", std::move(incarnation)}}};
    CO_TRY(protocol::RenewReply reply, co_await ask(protocol::kRenew, provider_, std::move(request)));
    const auto found = reply.allocations.find("task");
    if (found == reply.allocations.end()) co_return fail(Errc::not_found, "nothing is held");
    if (!reply.ok) co_return fail(Errc::io, "{}", reply.error);
    co_return found->second;
  }
  Task<Result<void>> deploy() {
    std::optional<Duration> timeout = 3s;
    const protocol::EnsembleBidRequest bid = bid_();
    CO_TRY(const protocol::Bid offered, co_await call(*self_.root, protocol::kBidRequest, provider_, bid, timeout));
    EXPECT_EQ(offered.ensemble_id, "e");
    protocol::CommitRequest commit = ProviderWorld::commit_request("e", "task");
    const Result<protocol::Ack> committed = co_await ask(protocol::kCommit, provider_, std::move(commit));
    CO_TRY_VOID(check(committed, "commit"));
    protocol::AllocateRequest request = ProviderWorld::allocate_request("e", "task");
    CO_TRY(protocol::AllocateResponse made, co_await ask(protocol::kAllocate, provider_, std::move(request)));
    if (!made.ok) co_return fail(Errc::permission_denied, "allocate: {}", made.error);
    allocation_ = made.allocations.at("task");
    last_incarnation = made.incarnations.at("task");
    co_return Result<void>();
  }
  Task<Result<void>> live_once() {
    CO_TRY_VOID(co_await deploy());
    protocol::StartRequest start;
    const Result<protocol::Ack> started = co_await ask(protocol::kAllocationStart, allocation_, std::move(start));
    CO_TRY_VOID(check(started, "start"));
    CO_TRY(protocol::AllocationReport held, co_await report(last_incarnation));
    if (held.status != protocol::AllocationStatus::running)
      co_return fail(Errc::io, "after its start it is {}: {}", to_string(held.status), held.reason);
    protocol::RestartRequest restart;
    restart.incarnation = last_incarnation;
    CO_TRY(protocol::RestartReply next, co_await ask(protocol::kAllocationRestart, allocation_, std::move(restart)));
    if (!next.ok) co_return fail(Errc::io, "restart: {}", next.error);
    EXPECT_NE(next.incarnation, last_incarnation);
    last_incarnation = next.incarnation;
    CO_TRY(held, co_await report(last_incarnation));
    EXPECT_EQ(held.incarnation, last_incarnation);
    if (ending_ == Ending::stopped) co_return co_await stop();
    for (int i = 0; i < 60 && !ends.contains(last_incarnation); ++i) (void)co_await sleep_for(1s);
    if (!ends.contains(last_incarnation)) co_return fail(Errc::deadline_exceeded, "no notice of the end");
    const protocol::TaskTermination& end = ends.at(last_incarnation);
    if (end.status != "completed") co_return fail(Errc::io, "it ended as {}: {}", end.status, end.reason);
    co_return co_await fetch_output("all of the output");
  }
  Task<Result<void>> stop() {
    protocol::AllocationShutdownRequest request{"e_task", last_incarnation, true};
    const Result<protocol::Ack> stopped = co_await ask(protocol::kAllocationShutdown, provider_, std::move(request),
                                                       path_of(protocol::kAllocationShutdown, "e"));
    CO_TRY_VOID(check(stopped, "stop"));
    CO_TRY(const protocol::AllocationReport held, co_await report(last_incarnation));
    if (held.status != protocol::AllocationStatus::stopped)
      co_return fail(Errc::io, "after its stop it is {}: {}", to_string(held.status), held.reason);
    EXPECT_FALSE(ends.contains(last_incarnation)) << "its end was told by the reply";
    co_return co_await fetch_output("all of the output, and the last");
  }
  Task<Result<void>> fetch_output(std::string expected) {
    std::string text;
    for (protocol::AllocationLogsResponse page; !page.eof;) {
      protocol::AllocationLogsRequest request;
      request.allocation_name = "task";
      request.stream = "stdout";
      request.offset = page.next_offset;
      request.max_bytes = 4;
      CO_TRY(page, co_await ask(protocol::kAllocationLogs, provider_, std::move(request),
                                path_of(protocol::kAllocationLogs, "e")));
      if (!page.error.empty()) co_return fail(Errc::io, "logs: {}", page.error);
      text += as_text(page.data);
    }
    EXPECT_EQ(text, expected);
    co_return Result<void>();
  }
  Task<Result<void>> clean_up() {
    Result<void> done = fail(Errc::closed, "not asked");
    for (int i = 0; i < 20 && !done; ++i) {
      protocol::RevertRequest request;
      request.ensemble_id = "e";
      request.allocations = {"task"};
      const Result<protocol::Ack> reply = co_await ask(protocol::kRevert, provider_, std::move(request));
      done = check(reply, "revert");
      if (!done) (void)co_await sleep_for(10s);
    }
    co_return done;
  }

  actor::TestNode& self_;
  actor::Handle provider_;
  std::function<protocol::EnsembleBidRequest()> bid_;
  Ending ending_;
  actor::Handle allocation_;
};

struct Life : ProviderWorld {
  explicit Life(Ending ends) : ending(ends) {
    actor::TestWorld::trust(node, alice);
    actor::TestWorld::trust(alice, node);
    executor::FakeScript work{
        .startup = 1s, .runs_for = 7s, .out = "all of the output", .last_words = ", and the last"};
    if (ending == Ending::stopped) work.runs_for.reset();
    script("e_task", std::move(work));
    start_provider();
  }
  ~Life() { stop_provider(); }

  void start_provider() {
    provider = std::make_unique<Provider>(services(), *node.root);
    const Result<void> started = run(provider->start());
    ASSERT_TRUE(started) << started.error().to_string();
  }
  /// In the order of a daemon's stop.
  void stop_provider() {
    run(provider->close());
    run(node.root->stop());
    provider.reset();
  }
  void start_root() {
    node.root.reset();
    auto security = actor::SecurityContext::create(node.key, node.context, node.lane().unix_now());
    node.root = actor::Actor::start(*node.system, std::move(*security)).value();
  }
  /// What is stored and what runs at this instant is what the next daemon finds.
  void kill(bool machine_restarts) {
    const Documents documents = stored();
    auto survivors = std::make_shared<executor::FakeHost>(*host);
    for (actor::TestNode* other : {&alice, &bob}) w.substrate->cut(node.network->self(), other->network->self());
    stop_provider();
    stop_daemon();
    for (actor::TestNode* other : {&alice, &bob}) w.substrate->cut(node.network->self(), other->network->self(), false);
    host = std::move(survivors);
    if (machine_restarts) {
      host->works.clear();
      boot_id += "+";
    }
    start_root();
    boot(documents);
    start_provider();
  }

  /// Counts the writes; at the `at`th the fault begins.
  void inject(Fault fault, int at) {
    store->set_write_fault([this, fault, at]() -> Result<void> {
      const int now = ++writes;
      if (at == 0 || now < at) return {};
      const bool kills = fault == Fault::kill_before || fault == Fault::kill_after || fault == Fault::reboot;
      if (kills) killed = true;
      if (fault == Fault::kill_after && now == at) return {};
      if (fault == Fault::one_write && now > at) return {};
      if (fault == Fault::full_disk && w.world.now() >= full_since.value_or(w.world.now()) + 2min) return {};
      if (fault == Fault::full_disk && !full_since) full_since = w.world.now();
      return fail(Errc::io, "no space left on device");
    });
  }
  /// At most one run at any instant, and none that has gone comes back.
  void watch_runs() {
    int running = 0;
    std::set<executor::ExecutionId> now;
    for (const auto& [id, work] : host->works) {
      if (work.state == executor::State::pending) continue;
      now.insert(id);
      running += work.over ? 0 : 1;
      EXPECT_FALSE(gone.contains(id)) << id.value << " runs again";
    }
    EXPECT_LE(running, 1) << "two runs of one allocation";
    for (const executor::ExecutionId& id : seen)
      if (!now.contains(id)) gone.insert(id);
    seen.insert(now.begin(), now.end());
  }

  void live(Fault fault, int at) {
    inject(fault, at);
    Orchestrator orchestrator(
        alice, node.root->handle(), [this] { return bid_request("e"); }, ending);
    Nursery tasks(alice.lane(), "orchestrator");
    tasks.spawn(orchestrator.live());
    const auto step = [&] {
      watch_runs();
      return killed || tasks.size() == 0;
    };
    while (tasks.size() > 0) {
      ASSERT_TRUE(w.world.run_until(step, 2h)) << "the orchestrator waits for ever";
      if (!std::exchange(killed, false)) continue;
      kill(fault == Fault::reboot);
      killed = false;  // the end of the old daemon tried to write
    }
    w.settle(2min);  // what could not be stored is tried again
    w.settle(2min);
    std::string story;
    for (const std::string& line : orchestrator.log) story += line + "\n";
    EXPECT_TRUE(orchestrator.done) << story;
    if (ending == Ending::by_itself) {
      EXPECT_EQ(orchestrator.ends[orchestrator.last_incarnation].status, "completed") << story;
    }
    if (fault == Fault::none) {
      EXPECT_TRUE(orchestrator.log.empty()) << story;
    }
    expect_nothing_left();
    alice.root->remove_behaviour(std::string(protocol::kTaskTermination.path));
  }
  void expect_nothing_left() {
    EXPECT_EQ(provider->allocations(), 0U);
    EXPECT_EQ(resources->list().size(), 0U);
    EXPECT_EQ(host->works.size(), 0U);
    const Documents left = stored();
    EXPECT_EQ(left.at("allocations").size(), 0U);
    EXPECT_EQ(left.at("allocations.leases").size(), 0U);
    EXPECT_EQ(node.context->ephemeral_count(), 0U) << "grants are left";
  }

  Ending ending;
  std::unique_ptr<Provider> provider;
  int writes = 0;
  std::optional<SteadyTime> full_since;  ///< for two minutes
  bool killed = false;
  std::set<executor::ExecutionId> seen;
  std::set<executor::ExecutionId> gone;
};

int writes_of_a_life(Ending ending) {
  Life life(ending);
  life.live(Fault::none, 0);
  return life.writes;
}

void at_each_write(const std::pair<Fault, const char*>& fault, Ending ending) {
  const int writes = writes_of_a_life(ending);
  ASSERT_GT(writes, 8);
  for (int at = 1; at <= writes; ++at) {
    SCOPED_TRACE(testing::Message() << fault.second << " at write " << at << " of " << writes);
    Life life(ending);
    life.live(fault.first, at);
    EXPECT_GE(life.writes, at);
    if (testing::Test::HasFailure()) break;
  }
}

class CrashTest : public testing::TestWithParam<std::pair<Fault, const char*>> {};

TEST_P(CrashTest, AtEachWrite) { at_each_write(GetParam(), Ending::by_itself); }

TEST_P(CrashTest, AtEachWriteOfAStopThatKeeps) { at_each_write(GetParam(), Ending::stopped); }

INSTANTIATE_TEST_SUITE_P(Faults, CrashTest,
                         testing::Values(std::pair(Fault::kill_before, "kill_before"),
                                         std::pair(Fault::kill_after, "kill_after"), std::pair(Fault::reboot, "reboot"),
                                         std::pair(Fault::one_write, "one_write"),
                                         std::pair(Fault::full_disk, "full_disk")),
                         [](const auto& info) { return std::string(info.param.second); });

}  // namespace
}  // namespace dms::provider
