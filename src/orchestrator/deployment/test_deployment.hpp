// For tests: one deployment against scripted providers, in virtual time; its daemon can be killed and started again.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>

#include "base/file.hpp"
#include "orchestrator/deployment/deployment.hpp"
#include "orchestrator/deployment/views.hpp"
#include "orchestrator/test_provider.hpp"

namespace dms::orchestrator {

struct DeploymentTest : testing::Test {
  DeploymentTest() {
    std::string name = (std::filesystem::temp_directory_path() / "nunet-deployment-XXXXXX").string();
    if (::mkdtemp(name.data()) != nullptr) folder = name;
    for (actor::TestNode* provider : {&b, &c}) {
      actor::TestWorld::trust(a, *provider);
      actor::TestWorld::trust(*provider, a);
    }
    w.settle();
  }
  ~DeploymentTest() override {
    if (deployment) w.run(a, deployment->close());
    deployment.reset();
    w.run(a, heartbeats.close());
    w.run(b, provider.close());
    w.run(c, other.close());
    w.close();
    std::error_code ignored;
    std::filesystem::remove_all(folder, ignored);
  }
  DeploymentRecord record() {
    DeploymentRecord made;
    made.id = "d1";
    made.created = w.world.unix_now().nanos;
    made.deadline = (w.world.unix_now() + 1min).nanos;
    made.ensemble = one_task_ensemble(b.network->self().to_string());
    return made;
  }
  Services services() { return {a.lane(), *a.network, db, folder, boot, nullptr, true}; }
  void make(DeploymentRecord with) {
    actor::ChildOptions options;
    options.key = a.key.derive("deployment/" + with.id);
    auto child = a.root->create_child(with.id, std::move(options)).value();
    deployment = Deployment::create(services(), records, heartbeats, std::move(child), std::move(with)).value();
  }
  void create(DeploymentRecord with) {
    make(std::move(with));
    ASSERT_TRUE(w.run(a, deployment->save()));
  }
  /// The end of the daemon: nothing that it does from now on leaves it.
  void kill() {
    records.refuse = true;
    cut(b);
    cut(c);
    w.run(a, deployment->close());
    deployment.reset();
  }
  void restart() {
    records.refuse = false;
    records.refuse_from.reset();
    cut(b, false);
    cut(c, false);
    make(*w.run(a, records.load("d1")).value());
    deployment->resume();
  }
  void run_task() {
    create(record());
    deployment->start();
    ASSERT_TRUE(reaches(protocol::DeploymentStatus::running)) << deployment->record().error;
  }
  void cut(actor::TestNode& node, bool is_cut = true) {
    w.substrate->cut(a.network->self(), node.network->self(), is_cut);
  }
  void reset_streams_to(actor::TestNode& node, bool resets = true) {
    w.substrate->reset_streams_to(node.network->self(), resets);
  }
  bool reaches(protocol::DeploymentStatus status, Duration limit = 2min) {
    return w.world.run_until([&] { return deployment->status() == status; }, limit);
  }
  bool until(const std::function<bool()>& condition, Duration limit = 2min) {
    return w.world.run_until(condition, limit);
  }
  /// Shuts the deployment down and, if it makes `n` more writes before `is_done`, kills the daemon at the last of them;
  /// the next one has shut it down then. `died`: whether it was killed.
  void shut_down_and_die(std::size_t n, const std::function<bool()>& is_done, bool& died) {
    records.refuse_from = records.saves + n;
    records.refused = 0;
    const auto ignore = [](Task<Result<void>> task) -> Task<void> { (void)co_await std::move(task); };
    Nursery user(a.lane(), "user");
    user.spawn(ignore(deployment->shutdown()));
    (void)until([&] { return records.refused > 0 || is_done(); });
    died = records.refused > 0;
    user.cancel();
    w.run(a, user.join());
    if (!died) return;
    kill();
    restart();
    if (deployment->status() == protocol::DeploymentStatus::running) {
      ASSERT_TRUE(w.run(a, deployment->shutdown())) << "the request was not stored";
    }
  }
  bool notify(const std::string& name = "task") {
    const Result<protocol::Ack> acknowledged = w.run(b, provider.notify(name));
    return acknowledged && acknowledged->ok;
  }
  protocol::DeploymentStatus stored() { return w.run(a, records.load("d1")).value()->status; }
  const protocol::AllocationManifest& task(const std::string& name = "task") {
    return deployment->record().manifest.allocations.at(name);
  }
  std::string output(const std::string& stream = "stdout", const std::string& name = "task") {
    return read_file(folder / "deployments/d1" / name / (stream + ".log"), 1 << 24).value_or("nothing");
  }

  actor::MemoryTestWorld w{7};
  actor::TestNode& a = w.add("orchestrator");
  actor::TestNode& b = w.add("provider");
  actor::TestNode& c = w.add("another provider");
  std::filesystem::path folder;
  std::string boot = "boot";
  db::AsyncStore db{a.lane(), db::Store::open(std::string(db::Store::kMemory)).value()};
  RefusingRecordStore records{db};
  Heartbeats heartbeats{a.lane(), *a.network};
  ScriptedProvider provider{b};
  ScriptedProvider other{c};
  std::unique_ptr<Deployment> deployment;
};

struct LossTest : DeploymentTest {
  /// Of one node that either provider can run; the first bid wins.
  void run_anywhere(jobs::AllocationType type, jobs::OnLoss on_loss = jobs::OnLoss::unspecified) {
    other.bids = false;
    DeploymentRecord made = record();
    made.ensemble.nodes.at("node").peer.clear();
    made.ensemble.nodes.at("node").on_loss = on_loss;
    made.ensemble.allocations.at("task").type = type;
    provider.features = other.features = {"lease"};
    create(std::move(made));
    deployment->start();
    ASSERT_TRUE(reaches(protocol::DeploymentStatus::running)) << deployment->record().error;
    ASSERT_TRUE(provider.runs_now());
    other.bids = true;
  }
  /// The task is a service, and `web`, beside it, waits for it to be healthy.
  DeploymentRecord with_dependant() {
    DeploymentRecord made = record();
    jobs::Ensemble& ensemble = made.ensemble;
    ensemble.allocations.at("task").type = jobs::AllocationType::service;
    jobs::Allocation web = ensemble.allocations.at("task");
    web.depends_on = {"task"};
    web.conditions["task"] = jobs::Condition::healthy;
    ensemble.allocations["web"] = std::move(web);
    ensemble.nodes.at("node").allocations.emplace_back("web");
    return made;
  }
  void run_with_dependant(DeploymentRecord made) {
    create(std::move(made));
    deployment->start();
    ASSERT_TRUE(until([&] { return provider.runs_now() && task().status == protocol::AllocationStatus::running; }));
    provider.runs.at("task").health = protocol::Health::starting;
  }
  /// As a user reads it, or the error.
  std::string page(const std::string& name, const std::string& stream = "stdout") {
    protocol::DeploymentLogsRequest request;
    request.ensemble_id = "d1";
    request.allocation_name = name;
    request.stream = stream;
    OutputStore store(folder);
    const bool previous = stream.starts_with(kPreviousStream);
    const Result<protocol::LogPage> page =
        previous ? w.run(a, previous_page(store, deployment->record(), request)) : w.run(a, deployment->page(request));
    return page ? std::string(as_text(page->data)) : page.error().to_string();
  }
  bool settles(Duration limit = 5min) {
    return until([&] { return !deployment->record().unsettled(); }, limit);
  }
  std::string reason() { return status_of(deployment->record()).allocations.at("task").reason; }
};

}  // namespace dms::orchestrator
