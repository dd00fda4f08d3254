// Inputs and results from end to end in virtual time: uploaded by a user, pulled by the provider before the start, packed
// after the end, pulled by the orchestrator, read by the user.
#include <gtest/gtest.h>

#include <fstream>

#include "base/file.hpp"
#include "encoding/multibase.hpp"
#include "protocol/deployment.hpp"
#include "protocol/transfer.hpp"
#include "sim/cluster/cluster.hpp"
#include "transfer/archive.hpp"

namespace dms::sim {
namespace {

const std::set<std::string> kOver = {"Completed", "Failed"};

std::string text_of(std::size_t size, std::uint64_t seed) {
  SeededRandom random(seed);
  const Bytes bytes = random.bytes(size);
  return std::string(as_text(bytes));
}

std::string hex_digest(std::string_view text) {
  const auto digest = crypto::sha256(as_bytes(text));
  return encode(Base::hex, digest);
}

struct TransfersTest : testing::Test {
  explicit TransfersTest() { cluster.start(); }
  ~TransfersTest() override { cluster.stop(); }

  Cluster cluster{41};
  Machine& user = cluster.add("user", 0, 0);
  Machine& provider = cluster.add("provider", 4, 8);

  std::string deploy(const jobs::Ensemble& ensemble) {
    auto id = cluster.deploy(user, ensemble, 5min);
    EXPECT_TRUE(id) << id.error().to_string();
    return id.value_or("");
  }
  protocol::DeploymentStatusReply ended(const std::string& id, Duration limit = 10min) {
    EXPECT_TRUE(cluster.wait_for(user, id, kOver, limit));
    return cluster.status(user, id).value();
  }
  protocol::DeploymentInputReply put(std::string_view text, std::uint64_t offset, std::string_view data) {
    protocol::DeploymentInputRequest page;
    page.digest = hex_digest(text);
    page.size = text.size();
    page.offset = offset;
    page.data = to_bytes(data);
    return cluster.call(user, protocol::kDeploymentInput, page).value();
  }
  void upload(std::string_view text) {
    for (std::uint64_t offset = 0;;) {
      const auto reply = put(text, offset, text.substr(offset, protocol::kInputPage));
      ASSERT_EQ(reply.error, "");
      if (reply.complete) return;
      ASSERT_GT(reply.offset, offset);
      offset = reply.offset;
    }
  }
  static jobs::Input input_of(std::string to, std::string_view text) {
    jobs::Input input;
    input.to = std::move(to);
    input.file = "on the user's disk";
    input.size = text.size();
    input.digest = hex_digest(text);
    return input;
  }
  static jobs::Ensemble task_with_results(std::vector<std::string> paths, std::string seconds = "5") {
    jobs::Ensemble ensemble = one_task(1, 512, {{"FAKE_SECONDS", std::move(seconds)}, {"FAKE_OUT", "output"}});
    ensemble.allocations["task"].results.emplace().paths = std::move(paths);
    return ensemble;
  }
  /// The folder in which an allocation works on the provider.
  std::filesystem::path work_of(std::string_view allocation) const {
    for (const auto& [id, work] : provider.work().works)
      if (jobs::allocation_name(work.request.job_id) == allocation) return work.request.work_dir;
    ADD_FAILURE() << allocation << " does not run";
    return {};
  }
  /// A result as the user reads it.
  std::string result(const std::string& id, const std::string& name, protocol::DeploymentLogsReply* last = nullptr) {
    std::string text;
    protocol::DeploymentLogsRequest request;
    request.ensemble_id = id;
    request.allocation_name = "task";
    request.stream = "result:" + name;
    for (;;) {
      request.offset = text.size();
      const auto page = cluster.call(user, protocol::kDeploymentLogs, request).value();
      if (!page.error.empty()) return "(" + page.error + ")";
      text += as_text(page.data);
      if (last != nullptr) *last = page;
      if (page.eof) break;
    }
    return text;
  }
  void expect_clean() {
    cluster.world().run_for(1min);
    EXPECT_EQ(provider.node().provider().allocations(), 0u);
    EXPECT_TRUE(std::filesystem::is_empty(cluster.folder() / "provider" / "jobs"));
  }
};

TEST_F(TransfersTest, InputsArriveBeforeTheStartAndResultsAfterTheEnd) {
  const std::string data = text_of(1'500'000, 1);
  upload(data);
  jobs::Ensemble ensemble = task_with_results({"out/", "report.txt", "absent"});
  ensemble.allocations["task"].inputs.push_back(input_of("in/data", data));
  const std::string id = deploy(ensemble);
  ASSERT_TRUE(cluster.wait_for(user, id, {"Running"}));
  const std::filesystem::path work = work_of("task");
  EXPECT_EQ(read_file(work / "in/data", 1 << 24).value_or("nothing"), data);
  EXPECT_EQ(user.node().transfers().tickets(), 1u);

  const std::string large = text_of(3'000'000, 2);
  ASSERT_TRUE(write_file(work / "out/deep/large", large));
  ASSERT_TRUE(write_file(work / "report.txt", "done"));
  const auto end = ended(id);
  EXPECT_EQ(end.status, "Completed") << end.error;
  EXPECT_NE(end.allocations.at("task").reason.find("result \"absent\""), std::string::npos)
      << end.allocations.at("task").reason;

  protocol::DeploymentLogsReply last;
  EXPECT_EQ(result(id, "report.txt", &last), "done");
  EXPECT_FALSE(last.folder);
  EXPECT_EQ(last.digest, hex_digest("done"));
  const std::string archive = result(id, "out", &last);
  EXPECT_TRUE(last.folder);
  EXPECT_EQ(last.digest, hex_digest(archive));
  ASSERT_TRUE(write_file(cluster.folder() / "archive", archive));
  std::filesystem::create_directories(cluster.folder() / "unpacked");
  ASSERT_TRUE(transfer::unpack(cluster.folder() / "archive", true, cluster.folder() / "unpacked", "out", {}));
  EXPECT_EQ(read_file(cluster.folder() / "unpacked/out/deep/large", 1 << 24).value_or("nothing"), large);
  EXPECT_NE(result(id, "absent").find("no such file"), std::string::npos) << result(id, "absent");
  const auto info = cluster.call(user, protocol::kDeploymentInfo, protocol::DeploymentId{id}).value();
  EXPECT_EQ(info.allocations.at("task").results, (std::vector<std::string>{"out/", "report.txt"}));
  expect_clean();
  EXPECT_EQ(user.node().transfers().tickets(), 0u) << "they end with the deployment";
}

TEST_F(TransfersTest, AnEnsembleWhoseInputIsNotHereIsRefused) {
  jobs::Ensemble ensemble = one_task(1, 512);
  ensemble.allocations["task"].inputs.push_back(input_of("in/data", "never uploaded"));
  const auto id = cluster.deploy(user, ensemble, 5min);
  ASSERT_FALSE(id);
  EXPECT_NE(id.error().to_string().find("has not been uploaded"), std::string::npos) << id.error().to_string();
}

TEST_F(TransfersTest, AnUploadIsResumedAndVerified) {
  const std::string data = text_of(1'000'000, 3);
  EXPECT_EQ(put(data, 0, data.substr(0, 400'000)).offset, 400'000u);
  EXPECT_EQ(put(data, 0, "").offset, 400'000u);
  EXPECT_EQ(put(data, 700'000, data.substr(700'000, 1000)).offset, 400'000u) << "a gap";
  EXPECT_EQ(put(data, 400'000, data.substr(400'000, 300'000)).offset, 700'000u);
  EXPECT_TRUE(put(data, 700'000, data.substr(700'000)).complete);
  EXPECT_TRUE(put(data, 0, "").complete);

  const std::string wrong = "not these bytes";
  EXPECT_NE(put(wrong, 0, "but these bytes").error.find("do not have the digest"), std::string::npos);
  EXPECT_EQ(put(wrong, 0, "").offset, 0u);
}

TEST_F(TransfersTest, PagesOfAMachinesOwnUserNeedNoMessages) {
  const std::string data = text_of(2'500'000, 4);
  protocol::DeploymentInputRequest question;
  question.digest = hex_digest(data);
  question.size = data.size();
  EXPECT_EQ(cluster.call(user, protocol::kDeploymentInput, question).value().ticket, "") << "not asked for";
  question.local = true;
  const auto asked = cluster.call(user, protocol::kDeploymentInput, question).value();
  ASSERT_NE(asked.ticket, "");
  transfer::LocalPages& pages = user.node().transfers().local();
  const auto put_raw = [&](std::uint64_t offset, std::size_t size) {
    const Bytes page = to_bytes(std::string_view(data).substr(offset, size));
    return cluster.world().run(user.host(), pages.write(asked.ticket, offset, page));
  };
  EXPECT_FALSE(put_raw(0, transfer::kLocalPage + 1)) << "a page is bounded";
  EXPECT_EQ(put_raw(0, transfer::kLocalPage).value_or(0), transfer::kLocalPage);
  EXPECT_EQ(put_raw(2'000'000, 1000).value_or(0), transfer::kLocalPage) << "a gap";
  EXPECT_EQ(put_raw(transfer::kLocalPage, transfer::kLocalPage).value_or(0), 2 * transfer::kLocalPage);
  EXPECT_EQ(put_raw(2 * transfer::kLocalPage, transfer::kLocalPage).value_or(0), data.size());
  const auto whole = cluster.call(user, protocol::kDeploymentInput, question).value();
  EXPECT_TRUE(whole.complete);
  EXPECT_EQ(whole.ticket, "");

  jobs::Ensemble ensemble = task_with_results({"in/data"});
  ensemble.allocations["task"].inputs.push_back(input_of("in/data", data));
  const std::string id = deploy(ensemble);
  EXPECT_EQ(ended(id).status, "Completed");
  protocol::DeploymentLogsRequest request{id, "task", "result:in/data"};
  request.local = true;
  const auto page = cluster.call(user, protocol::kDeploymentLogs, request).value();
  ASSERT_NE(page.ticket, "") << page.error;
  std::string got;
  for (Bytes part(1); !part.empty(); got += as_text(part)) {
    part = cluster.world().run(user.host(), pages.read(page.ticket, got.size())).value();
    EXPECT_LE(part.size(), transfer::kLocalPage);
  }
  EXPECT_EQ(hex_digest(got), page.digest);
  EXPECT_TRUE(got == data);
}

TEST_F(TransfersTest, UploadsThatNoDeploymentUsesAreRemoved) {
  upload("unused");
  const auto blob = cluster.folder() / "user" / "blobs" / hex_digest("unused");
  EXPECT_TRUE(std::filesystem::exists(blob));
  cluster.world().run_for(30min);
  EXPECT_TRUE(std::filesystem::exists(blob));
  cluster.world().run_for(90min);
  EXPECT_FALSE(std::filesystem::exists(blob));
}

TEST_F(TransfersTest, ResultsOfOneTaskAreInputsOfTheNext) {
  jobs::Ensemble ensemble = task_with_results({"out"});
  jobs::Allocation& second = ensemble.allocations["second"];
  second = one_task(1, 512, {{"FAKE_SECONDS", "60"}}).allocations["task"];
  second.dns_name = "second";
  second.depends_on = {"task"};
  second.conditions["task"] = jobs::Condition::completed;
  jobs::Input& input = second.inputs.emplace_back();
  input.to = "prepared";
  input.allocation = "task";
  input.path = "out";
  ensemble.nodes["node"].allocations.push_back("second");
  const std::string id = deploy(ensemble);
  ASSERT_TRUE(cluster.world().run_until([&] { return provider.executor().started() == 1; }));
  ASSERT_TRUE(write_file(work_of("task") / "out/part", "from the first"));
  ASSERT_TRUE(cluster.world().run_until([&] { return provider.executor().started() == 2; }));
  EXPECT_EQ(read_file(work_of("second") / "prepared/part", 100).value_or("nothing"), "from the first");
  const auto end = ended(id);
  EXPECT_EQ(end.status, "Completed") << end.error;
  expect_clean();
}

TEST_F(TransfersTest, ResultsAboveTheirLimitAreSaidByName) {
  jobs::Ensemble ensemble = task_with_results({"small", "large"});
  ensemble.allocations["task"].results->limit = 1000;
  const std::string id = deploy(ensemble);
  ASSERT_TRUE(cluster.wait_for(user, id, {"Running"}));
  ASSERT_TRUE(write_file(work_of("task") / "small", "fits"));
  ASSERT_TRUE(write_file(work_of("task") / "large", std::string(1001, 'x')));
  const auto end = ended(id);
  EXPECT_EQ(end.status, "Completed") << end.error;
  EXPECT_EQ(end.allocations.at("task").status, protocol::AllocationStatus::completed);
  EXPECT_NE(end.allocations.at("task").reason.find("result \"large\""), std::string::npos);
  EXPECT_EQ(result(id, "small"), "fits");
}

TEST(LargeResultsTest, MoreThanAProviderGrantsAreRefused) {
  Cluster cluster{41};
  Machine& user = cluster.add("user", 0, 0);
  Machine& provider = cluster.add("provider", 4, 128);
  cluster.start();
  jobs::Ensemble ensemble = TransfersTest::task_with_results({"out"});
  jobs::Allocation& task = ensemble.allocations["task"];
  task.results->limit = node::Options().max_results + 1;
  const auto small = cluster.deploy(user, ensemble, 75s);
  ASSERT_FALSE(small);
  EXPECT_NE(small.error().to_string().find("results.limit"), std::string::npos) << "more than its own disk";
  task.resources.disk.size = {task.results->limit};
  const auto id = cluster.deploy(user, ensemble, 75s);
  ASSERT_TRUE(id) << id.error().to_string();
  EXPECT_TRUE(cluster.wait_for(user, *id, kOver, 10min));
  const auto end = cluster.status(user, *id).value();
  EXPECT_EQ(end.status, "Failed");
  EXPECT_NE(end.error.find("job.max_results"), std::string::npos) << end.error;
  EXPECT_EQ(provider.executor().started(), 0u);
  cluster.stop();
}

TEST_F(TransfersTest, ResultsOutliveTheDaemonsOfBothSides) {
  const std::string id = deploy(task_with_results({"out"}));
  ASSERT_TRUE(cluster.wait_for(user, id, {"Running"}));
  const std::string large = text_of(8'000'000, 4);
  ASSERT_TRUE(write_file(work_of("task") / "out", large));
  // The link is slow: the result takes some 8 s, in which both daemons are killed.
  cluster.world().set_link(SimLink{.bandwidth = 1'000'000});
  cluster.world().run_for(8s);
  cluster.kill_daemon(provider);
  cluster.world().run_for(5s);
  cluster.restart(provider);
  cluster.world().run_for(10s);
  cluster.kill_daemon(user);
  cluster.world().run_for(5s);
  cluster.restart(user);
  const auto end = ended(id, 30min);
  EXPECT_EQ(end.status, "Completed") << end.error;
  EXPECT_EQ(result(id, "out"), large);
}

TEST_F(TransfersTest, AStrangerGetsNoTicket) {
  Machine& stranger = user;  // a user's actor is not the allocation's
  upload("secret");
  jobs::Ensemble ensemble = one_task(1, 512, {{"FAKE_SECONDS", "100"}});
  ensemble.allocations["task"].inputs.push_back(input_of("in", "secret"));
  const std::string id = deploy(ensemble);
  ASSERT_TRUE(cluster.wait_for(user, id, {"Running"}));
  protocol::AllocationResultsRequest request;
  request.allocation_name = "task";
  const auto reply = cluster.call(stranger, provider, protocol::kAllocationResults, request, 5s,
                                  path_of(protocol::kAllocationResults, id));
  EXPECT_TRUE(!reply || !reply->ok);
}

}  // namespace
}  // namespace dms::sim
