// nunet init and nunet run --dev: what is made, what is kept, and what an interrupted call leaves.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/framework/fake_environment.hpp"
#include "encoding/json.hpp"

namespace dms::cli {
namespace {

using capability::kGiB;
using testing::HasSubstr;
using testing::Not;
namespace fs = std::filesystem;

resources::Machine four_cores() {
  resources::Machine machine;
  machine.total.cpu.cores = {4000};
  machine.total.ram.size = {8 * kGiB};
  machine.total.disk.size = {100 * kGiB};
  machine.used.disk.size = {20 * kGiB};
  return machine;
}

struct InitTest : testing::Test {
  InitTest() { world.this_machine = four_cores(); }
  CommandResult nunet(const std::vector<std::string>& words) { return run_in(world, words); }
  std::string must(const std::vector<std::string>& words) {
    const auto result = nunet(words);
    EXPECT_EQ(result.code, 0) << result.err;
    return result.out.substr(0, result.out.find('\n'));
  }
  /// Path -> content of all files in the home folder.
  [[nodiscard]] std::map<std::string, std::string> files() const {
    std::map<std::string, std::string> found;
    for (const auto& entry : fs::recursive_directory_iterator(world.home))
      if (entry.is_regular_file()) found[entry.path()] = read_file(entry.path(), 1 << 20).value_or("");
    return found;
  }
  [[nodiscard]] fs::path in_user_dir(const char* name) const { return world.home / ".nunet" / name; }
  void expect_complete() {
    const auto roots = json::parse(nunet({"cap", "list", "-c", "dms", "--json"}).out).value().at("roots").as_array();
    ASSERT_EQ(roots.size(), 1U);
    EXPECT_EQ(roots[0].at("uri").as_string(), must({"key", "did", "user"}));
    EXPECT_NE(must({"key", "did", "user"}), must({"key", "did", "dms"}));
    EXPECT_EQ(must({"config", "get", "onboarding.cpu"}), "2");
    EXPECT_EQ(must({"config", "get", "onboarding.ram"}), "4096MiB");
    EXPECT_EQ(must({"config", "get", "onboarding.disk"}), "40960MiB");
  }

  FakeEnvironment world;
};

TEST_F(InitTest, MakesAllThatIsNeededAndSaysSo) {
  const auto made = nunet({"init"});
  EXPECT_EQ(made.code, 0) << made.err;
  for (const char* line :
       {"made  key dms       did:key:z6Mk", "made  context dms   ", "made  key user      did:key:z6Mk",
        "made  context user  ", "made  anchor        user is a root of dms",
        "made  share         2 cores, 4096MiB memory, 40960MiB disk of this machine", "made  settings      "})
    EXPECT_THAT(made.out, HasSubstr(line));
  EXPECT_THAT(made.err, HasSubstr("Next: nunet run --dev"));
  expect_complete();
}

TEST_F(InitTest, ASecondCallChangesNothingAndSaysSo) {
  must({"init"});
  const auto before = files();
  const auto again = nunet({"init"});
  EXPECT_EQ(again.code, 0);
  EXPECT_THAT(again.out, Not(HasSubstr("made")));
  EXPECT_THAT(again.err, HasSubstr("Everything was there; nothing was changed."));
  const auto json = json::parse(nunet({"init", "--json"}).out).value();
  EXPECT_FALSE(json.at("changed").as_bool());
  EXPECT_EQ(json.at("identities").at("user").at("key").as_string(), "kept");
  EXPECT_EQ(json.at("share").at("cpu").as_string(), "2");
  EXPECT_EQ(files(), before);
}

TEST_F(InitTest, AnInterruptedCallIsCompletedByTheNext) {
  must({"init"});
  const std::string daemon = must({"key", "did", "dms"});
  world.write("dms_config.json", R"({"onboarding": {"cpu": "2", "ram": "4096MiB"}})");
  must({"init", "--disk", "40960MiB"});
  expect_complete();
  world.write("dms_config.json", "{}");
  for (const char* last : {"cap/dms.cap", "cap/user.cap", "key/user.json"}) {
    // Steps are taken in the opposite order.
    fs::remove(in_user_dir("cap/dms.cap"));
    fs::remove(in_user_dir(last));
    if (std::string_view(last) == "key/user.json") fs::remove(in_user_dir("cap/user.cap"));
    must({"init"});
    expect_complete();
    EXPECT_EQ(must({"key", "did", "dms"}), daemon) << last;
  }
}

TEST_F(InitTest, OnePassphraseIsAskedFor) {
  world.variables.erase("DMS_PASSPHRASE");
  world.secrets = {"one", "one"};
  must({"init"});
  EXPECT_THAT(world.prompts,
              testing::ElementsAre("New passphrase for keys \"dms\" and \"user\": ", "The same passphrase again: "));
  world.prompts.clear();
  must({"init"});
  EXPECT_TRUE(world.prompts.empty()) << "nothing is to be made";
  fs::remove(in_user_dir("cap/user.cap"));
  world.secrets = {"two"};
  EXPECT_EQ(nunet({"init"}).code, 1);
  EXPECT_THAT(world.prompts, testing::ElementsAre("Passphrase of key \"user\": "));
  EXPECT_FALSE(fs::exists(in_user_dir("cap/user.cap")));
  world.secrets = {"one"};
  must({"init"});
  expect_complete();
}

TEST_F(InitTest, FlagsChangeTheShareAndWrongOnesChangeNothing) {
  const auto before = files();
  const auto refused = [&](const std::vector<std::string>& flags) {
    std::vector<std::string> words{"init"};
    words.insert(words.end(), flags.begin(), flags.end());
    const auto result = nunet(words);
    EXPECT_EQ(result.code, 2) << result.err;
    EXPECT_EQ(files(), before);
    return result.err;
  };
  EXPECT_THAT(refused({"--cpu", "5"}), HasSubstr("onboarding.cpu: this machine has 4, 5 is to be offered"));
  EXPECT_THAT(refused({"--cpu", "0"}), HasSubstr("--cpu: onboarding.cpu: expected more than 0 cores"));
  EXPECT_THAT(refused({"--ram", "much"}), HasSubstr("--ram: onboarding.ram: expected a size"));
  EXPECT_THAT(refused({"--disk", ""}), HasSubstr("--disk: expected an amount"));
  EXPECT_THAT(refused({"--no-onboard", "--disk", "1"}), HasSubstr("only one of"));
  EXPECT_THAT(nunet({"init", "--cpu", "1"}).out, HasSubstr("  1 core, "));
  must({"init", "--cpu", "4", "--ram", "1"});
  EXPECT_EQ(must({"config", "get", "onboarding.cpu"}), "4") << "all of it";
  EXPECT_EQ(must({"config", "get", "onboarding.ram"}), "1");
  EXPECT_EQ(must({"config", "get", "onboarding.disk"}), "40960MiB");
  must({"init", "--disk", "5"});
  EXPECT_EQ(must({"config", "get", "onboarding.cpu"}), "4") << "kept";
  EXPECT_EQ(must({"config", "get", "onboarding.disk"}), "5");
  EXPECT_THAT(nunet({"init", "--no-onboard"}).out, HasSubstr("none of this machine is offered"));
  EXPECT_EQ(must({"config", "get", "onboarding.cpu"}), "");
}

TEST_F(InitTest, AContextOfAnotherKeyIsNotTakenForItsOwn) {
  FakeEnvironment other;
  other.this_machine = four_cores();
  ASSERT_EQ(run_in(other, {"key", "new", "another"}).code, 0) << "the next keys differ from those here";
  ASSERT_EQ(run_in(other, {"init"}).code, 0);
  const fs::path context = in_user_dir("cap/dms.cap");
  fs::create_directories(context.parent_path());
  fs::copy_file(other.home / ".nunet/cap/dms.cap", context);
  const auto lost = nunet({"init"});
  EXPECT_EQ(lost.code, 1);
  EXPECT_THAT(lost.err, HasSubstr("is missing: bring it back with `nunet key import dms <file>`"));
  fs::remove(context);
  must({"init"});
  fs::copy_file(other.home / ".nunet/cap/dms.cap", context, fs::copy_options::overwrite_existing);
  fs::last_write_time(context, fs::last_write_time(in_user_dir("key/dms.json")) - std::chrono::seconds(1));
  const auto foreign = nunet({"init"});
  EXPECT_EQ(foreign.code, 1);
  EXPECT_THAT(foreign.err, HasSubstr("belongs to another key than \"dms\""));
}

TEST_F(InitTest, ADaemonAloneMakesWhatIsMissingAndReachesNobody) {
  const std::string folder = (world.home / "it's new").string();
  ASSERT_EQ(nunet({"run", "--dev", "--user-dir", folder}).code, 0);
  EXPECT_EQ(world.ran, "dms");
  EXPECT_TRUE(world.run_options.dev);
  EXPECT_EQ(world.run_options.next,
            fmt::format("Next, in another terminal: nunet deploy -f ensemble.yaml --wait --user-dir '{}'",
                        (world.home / R"(it'\''s new)").string()));
  EXPECT_EQ(json::write(world.run_settings.at("p2p.listen_address")), R"(["/ip4/127.0.0.1/tcp/0"])");
  EXPECT_EQ(json::write(world.run_settings.at("p2p.bootstrap_peers")), "[]");
  EXPECT_TRUE(fs::exists(fs::path(folder) / "cap/user.cap"));
  const auto before = files();
  world.variables.erase("DMS_PASSPHRASE");
  world.secrets = {"secret"};
  EXPECT_EQ(nunet({"run", "--dev", "--user-dir", folder}).code, 0);
  EXPECT_EQ(world.prompts.size(), 1U);
  EXPECT_EQ(files(), before);
  world.secrets = {"secret"};
  EXPECT_EQ(nunet({"run", "--user-dir", folder}).code, 0);
  EXPECT_FALSE(world.run_options.dev);
  EXPECT_FALSE(world.run_settings.contains("p2p.listen_address")) << "as the settings are";
}

}  // namespace
}  // namespace dms::cli
