// The fixture of the tests of Sandbox: one of its own in a temporary folder, and the check that nothing remains of it.
#pragma once

#include <gmock/gmock.h>
#include <signal.h>
#include <sys/wait.h>

#include <fstream>
#include <sstream>

#include "executor/sandbox/sandbox.hpp"
#include "runtime/real_runtime.hpp"

namespace dms::executor {
namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::Not;

class SandboxTest : public ::testing::Test {
 protected:
  void SetUp() override {
    dir_ = fs::temp_directory_path() / fmt::format("sandbox_test_{}_{}", ::getpid(), ++counter_);
    fs::create_directories(dir_);
    sandbox_ = std::make_unique<Sandbox>(runtime_.runtime().lane, processes_, options());
    if (auto works = runtime_.run(sandbox_->probe()); !works) {
      unusable_ = true;
      GTEST_SKIP() << "skipped: " << works.error().to_string();
    }
  }
  void TearDown() override {
    remove_all(*sandbox_);
    runtime_.run(sandbox_->close());
    // Nothing remains: no process, no work folder, no control group.
    siginfo_t child{};
    EXPECT_TRUE(until([&] { return ::waitid(P_ALL, 0, &child, WEXITED | WNOHANG | WNOWAIT) != 0 && errno == ECHILD; }))
        << "a process remains";
    EXPECT_TRUE(until([&] { return shims().empty(); })) << "a shim remains";
    std::error_code ec;
    EXPECT_TRUE(!fs::exists(dir_ / "state", ec) || fs::is_empty(dir_ / "state"));
    if (const auto tree = groups()) {
      EXPECT_TRUE(tree->list().empty());
      tree->remove_base();
    }
    sandbox_.reset();
    fs::remove_all(dir_);
  }

  void remove_all(Sandbox& sandbox) {
    auto known = runtime_.run(sandbox.list());
    for (const Status& status : *known) EXPECT_TRUE(runtime_.run(sandbox.remove(status.id)));
  }
  /// The shims of this test's executions, by their command lines.
  std::vector<int> shims() const {
    std::vector<int> found;
    std::error_code ec;
    for (fs::directory_iterator it("/proc", ec), end; !ec && it != end; it.increment(ec)) {
      std::ifstream in(it->path() / "cmdline");
      std::stringstream text;
      text << in.rdbuf();  // of a process that ends meanwhile, nothing
      std::string words = text.str();
      std::replace(words.begin(), words.end(), '\0', ' ');
      if (words.find(fmt::format(" shim {}/", (dir_ / "state").string())) != std::string::npos)
        found.push_back(std::stoi(it->path().filename()));
    }
    return found;
  }
  /// A new daemon after close() of the old one.
  std::vector<ExecutionId> restart(std::vector<Request> known) {
    runtime_.run(sandbox_->close());
    sandbox_.reset();
    sandbox_ = std::make_unique<Sandbox>(runtime_.runtime().lane, processes_, options());
    auto taken = runtime_.run(sandbox_->recover(std::move(known)));
    EXPECT_TRUE(taken) << taken.error().to_string();
    return taken ? *taken : std::vector<ExecutionId>();
  }
  /// Waits until the execution has ended, without a daemon.
  void until_status(std::string id = "job-1") {
    ASSERT_TRUE(until([&] { return fs::exists(dir_ / "state" / id / kStatusFile); }));
  }
  SandboxOptions options() const {
    SandboxOptions options;
    options.state_dir = dir_ / "state";
    return options;
  }
  // The name that the sandbox under test derives from its folder.
  std::optional<CgroupTree> groups() const {
    std::uint64_t hash = 0xcbf29ce484222325ULL;
    for (const char c : (dir_ / "state").string()) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3ULL;
    return CgroupTree::detect(fmt::format("nunet-{:016x}", hash));
  }
  /// `sleep 1000` in a script is work that runs until it is stopped; no test waits for its end.
  Request request(std::string script, std::string id = "job-1") {
    Request r;
    r.job_id = "allocation";
    r.execution_id = ExecutionId(id);
    r.engine.type = "sandbox";
    r.engine.params.cmd = {"sh", "-c", std::move(script)};
    r.results_dir = dir_ / "results" / id;
    return r;
  }
  Result<void> start(Request r) { return runtime_.run(sandbox_->start(std::move(r))); }
  ExecutionResult finish(std::string id = "job-1") {
    auto result = runtime_.run(sandbox_->wait(ExecutionId(id)));
    EXPECT_TRUE(result) << result.error().to_string();
    return result ? *result : ExecutionResult();
  }
  ExecutionResult run(Request r) {
    const std::string id = r.execution_id.value;
    auto started = start(std::move(r));
    EXPECT_TRUE(started) << started.error().to_string();
    return started ? finish(id) : ExecutionResult();
  }
  ExecutionResult run(std::string script) { return run(request(std::move(script))); }
  std::string out(std::string id = "job-1") { return runtime_.run(sandbox_->logs(ExecutionId(id), 1000))->out; }
  /// Waits until the work has written `text`.
  void until_output(std::string_view text, std::string id = "job-1") {
    ASSERT_TRUE(until([&] { return out(id).find(text) != std::string::npos; })) << "no output '" << text << "'";
  }
  void until_state_is_empty() {
    std::error_code ec;
    ASSERT_TRUE(until([&] { return !fs::exists(dir_ / "state", ec) || fs::is_empty(dir_ / "state", ec); }));
  }
  /// Polls the condition; false after 20 s.
  template <class Condition>
  bool until(const Condition& condition) {
    for (int i = 0; i < 10'000; ++i) {
      if (condition()) return true;
      (void)runtime_.run(sleep_for(2ms));
    }
    return false;
  }
  State state(std::string id = "job-1") { return runtime_.run(sandbox_->status(ExecutionId(id)))->state; }

  static inline int counter_ = 0;
  bool unusable_ = false;
  fs::path dir_;
  RealRuntime runtime_;
  RealProcesses processes_{runtime_.runtime().lane};
  std::unique_ptr<Sandbox> sandbox_;
};

/// A daemon that starts work in `dir` and waits to be killed; main_test.cpp runs it for `--daemon DIR`.
int run_test_daemon(const fs::path& dir);

}  // namespace dms::executor
