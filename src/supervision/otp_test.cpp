// The same trees and events as OTP's own supervisor was given, with the same starts and stops in the same order. The
// vectors are made by tests/interop/otp; DMS_OTP_VECTORS names other ones.
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "supervision/test_world.hpp"

namespace dms::supervision {
namespace {

template <class E>
E named(const std::string& name) {
  for (int i = 0; i < 3; ++i)
    if (to_string(static_cast<E>(i)) == name) return static_cast<E>(i);
  ADD_FAILURE() << name;
  return {};
}

/// "e permanent false 5000 true", the last for one that does not end when it is asked.
Spec read_worker(std::istream& words, std::string& path, bool& stubborn) {
  std::string restart, significant, shutdown, ignores;
  words >> path >> restart >> significant >> shutdown >> ignores;
  stubborn = ignores == "true";
  Spec spec = worker(path.substr(path.rfind('/') + 1), named<Restart>(restart));
  spec.significant = significant == "true";
  if (shutdown == "brutal_kill")
    spec.shutdown = Shutdown::brutal_kill();
  else if (shutdown == "infinity")
    spec.shutdown = Shutdown::infinity();
  else
    spec.shutdown = Shutdown::after(std::chrono::milliseconds(std::stoi(shutdown)));
  return spec;
}

class Case {
 public:
  void read_supervisor(std::istream& words) {
    std::string path, restart, strategy, when;
    Flags flags;
    std::int64_t period = 0;
    words >> path >> restart >> strategy >> flags.intensity >> period >> when;
    flags.strategy = named<Strategy>(strategy);
    flags.period = std::chrono::seconds(period);
    flags.auto_shutdown = named<AutoShutdown>(when);
    Spec spec = supervisor(path == "/" ? "" : path, flags, {});
    spec.restart = named<Restart>(restart);
    if (path == "/")
      root_ = spec;
    else
      root_.children.push_back(spec);
  }
  void read_child(std::istream& words) {
    std::string path;
    bool ignores = false;
    const Spec spec = read_worker(words, path, ignores);
    (path.find('/') == std::string::npos ? root_ : root_.children.back()).children.push_back(spec);
    if (ignores) stubborn_.insert(path);
  }
  void act(std::istream& words) {
    std::string what, path;
    words >> what;
    if (what == "add") return add(words);
    words >> path;
    if (!world_) world_.emplace(root_), world_->stubborn = stubborn_;
    if (what == "fail") words >> world_->failures[path];
    if (what == "start") note(world_->start());
    if (what == "stop") note(world_->shutdown());
    if (what == "crash") note(world_->crash(path));
    if (what == "normal") note(world_->end(path, {End::normal, ""}));
    if (what == "shutdown") note(world_->end(path, {End::shutdown, ""}));
    if (what == "terminate") note(world_->tree.stop_child(path, world_->now));
    if (what == "restart") note(world_->tree.start_child(path, world_->now));
    if (what == "remove") note(world_->tree.remove(path, world_->now));
  }
  [[nodiscard]] std::string take() { return std::exchange(seen_, ""); }

 private:
  void add(std::istream& words) {
    std::string path;
    bool ignores = false;
    const Spec spec = read_worker(words, path, ignores);
    Result<Actions> added = world_->tree.add("", spec, world_->now);
    if (!added) return;
    world_->stubborn.erase(path);
    if (ignores) world_->stubborn.insert(path);
    note(std::move(added));
  }
  void note(Result<Actions> actions) {
    if (actions) note(world_->carry_out(*std::move(actions)));
  }
  /// What was not answered in time is killed.
  void note(const World::Log& log) {
    for (const std::string& line : log)
      if (!line.starts_with("forget")) seen_ += "> " + line + "\n";
    if (world_->timer) note(world_->pass(*world_->timer - world_->now));
  }

  Spec root_;
  std::set<std::string, std::less<>> stubborn_;
  std::optional<World> world_;
  std::string seen_;
};

TEST(OtpTest, StartsAndStopsWhatOtpDoes) {
  const char* other = std::getenv("DMS_OTP_VECTORS");
  std::ifstream file(other != nullptr ? other : DMS_SOURCE_DIR "/tests/vectors/supervision/otp.txt");
  ASSERT_TRUE(file.good());
  Case current;
  std::string line, text, wanted;
  int cases = 0, differ = 0;
  const auto compare = [&] {
    const std::string seen = current.take();
    if (seen != wanted && ++differ <= 5) ADD_FAILURE() << text << "here:\n" << seen;
    wanted.clear();
    return seen;
  };
  while (std::getline(file, line)) {
    std::istringstream words(line);
    std::string kind;
    words >> kind;
    if (kind == ">") {
      wanted += line + "\n";
      text += line + "\n";
      continue;
    }
    compare();
    if (kind == "case") current = Case(), text.clear(), ++cases;
    text += line + "\n";
    if (kind == "supervisor") current.read_supervisor(words);
    if (kind == "worker") current.read_child(words);
    if (kind == "do") current.act(words);
  }
  compare();
  EXPECT_EQ(differ, 0) << "of " << cases;
  EXPECT_GT(cases, 100);
}

}  // namespace
}  // namespace dms::supervision
