#include "config/config.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include "base/file.hpp"
#include "base/suggest.hpp"
#include "config/testing.hpp"

namespace dms::config {
namespace {

namespace fs = std::filesystem;

class ConfigFile : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "nunet-config-XXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    root_ = pattern;
    sources_.registry = test_registry();
    sources_.home = root_ / "home";
    sources_.working_folder = root_ / "here";
    sources_.system_folder = root_ / "etc";
    sources_.variable = [this](const std::string& name) -> std::optional<std::string> {
      const auto found = variables_.find(name);
      return found == variables_.end() ? std::nullopt : std::optional(found->second);
    };
  }
  void TearDown() override { fs::remove_all(root_); }

  void write(const fs::path& folder, std::string_view text) {
    ASSERT_TRUE(write_file(root_ / folder / "dms_config.json", text));
  }
  std::string refusal() {
    const auto loaded = load(sources_);
    return loaded ? "accepted" : loaded.error().to_string();
  }

  fs::path root_;
  Sources sources_;
  std::map<std::string, std::string> variables_;
};

TEST_F(ConfigFile, DefaultsApplyWithoutAFile) {
  const auto loaded = load(sources_);
  ASSERT_TRUE(loaded) << loaded.error().to_string();
  EXPECT_EQ(loaded->section<Rest>().port, 9999);
  EXPECT_EQ(loaded->section<General>().user_dir, (root_ / "home/.nunet").string()) << "~ is expanded";
  EXPECT_EQ(loaded->section<Peers>().bootstrap_peers.size(), 2U);
  EXPECT_EQ(loaded->origin("rest.port"), Origin::initial);
  EXPECT_EQ(loaded->file, root_ / "home/.nunet/dms_config.json");
  EXPECT_EQ(loaded->list().size(), sources_.registry->settings().size());
  EXPECT_EQ(loaded->list("rest").size(), 2U);
}

struct Account {
  static constexpr std::string_view kSection = "account";
  std::string name = "me";
  std::string password;
  static auto config_fields() {
    return std::tuple(field("name", &Account::name), field("password", &Account::password).secret());
  }
};

TEST_F(ConfigFile, OnlySettingsWithAnEffectThatAreNotSecretAreShown) {
  Section planned;
  planned.settings = {unused("apm.api_key", std::string(), "not used by this program")};
  sources_.registry = std::make_shared<const Registry>(
      std::vector{section<Rest>(), section<Logs>(), section<Account>(), std::move(planned)});
  const auto loaded =
      parse(R"({"rest":{"port":7},"account":{"name":"you","password":"hidden"},"apm":{"api_key":"hidden"}})", sources_);
  ASSERT_TRUE(loaded) << loaded.error().to_string();
  EXPECT_EQ(loaded->section<Account>().password, "hidden");
  EXPECT_EQ(loaded->shown(), json::parse(R"({"rest":{"addr":"127.0.0.1","port":7},
      "observability":{"logging":{"level":"INFO","rotation":{"max_size_mb":100}}},"account":{"name":"you"}})")
                                 .value());
}

TEST_F(ConfigFile, TheFirstFileIsReadAndTheEnvironmentOverridesIt) {
  write("etc", R"({"rest":{"port":1}})");
  EXPECT_EQ(load(sources_)->section<Rest>().port, 1);
  write("home/.config/nunet", R"({"rest":{"port":2}})");
  EXPECT_EQ(load(sources_)->section<Rest>().port, 2);
  write("home/.nunet", R"({"rest":{"port":3}})");
  EXPECT_EQ(load(sources_)->section<Rest>().port, 3);
  write("here", R"({"Rest":{"PORT":4}})");
  EXPECT_EQ(load(sources_)->section<Rest>().port, 4) << "letter case of keys does not matter";
  write("named", R"({"rest":{"port":5}})");
  sources_.file = root_ / "named/dms_config.json";
  EXPECT_EQ(load(sources_)->section<Rest>().port, 5);
  EXPECT_EQ(load(sources_)->origin("rest.port"), Origin::file);
  variables_["DMS_REST_PORT"] = "6";
  EXPECT_EQ(load(sources_)->section<Rest>().port, 6);
  EXPECT_EQ(load(sources_)->origin("rest.port"), Origin::environment);
}

TEST_F(ConfigFile, ANamedFileMustExist) {
  sources_.file = root_ / "none.json";
  EXPECT_NE(refusal().find("none.json"), std::string::npos) << refusal();
}

TEST_F(ConfigFile, UnknownKeysNameTheNearest) {
  write("here", R"({"rest":{"prot":1}})");
  EXPECT_NE(refusal().find("rest.prot: unknown key; did you mean rest.port?"), std::string::npos) << refusal();
  write("here", R"({"general":{"listen_address":[]}})");
  EXPECT_NE(refusal().find("did you mean p2p.listen_address?"), std::string::npos) << refusal();
  write("here", R"({"rest":{}, "zzz": 1})");
  EXPECT_NE(refusal().find("zzz: unknown key"), std::string::npos) << refusal();
  EXPECT_EQ(parse("{}", sources_)->get("general.work_dri").error().message(),
            "general.work_dri: unknown key; did you mean general.work_dir?");
}

TEST_F(ConfigFile, WrongTypesNameTheKey) {
  write("here", R"({"rest":{"port":"high"}})");
  EXPECT_NE(refusal().find("rest.port: expected a whole number, found a string"), std::string::npos) << refusal();
  write("here", R"({"rest":{"port":70000}})");
  EXPECT_NE(refusal().find("rest.port: the number does not fit"), std::string::npos) << refusal();
  write("here", R"({"rest": 3})");
  EXPECT_NE(refusal().find("rest: unknown key"), std::string::npos) << refusal();
  write("here", R"({"general":{"port_available_range_from":20000,"port_available_range_to":10000}})");
  EXPECT_NE(refusal().find("general.port_available_range_from"), std::string::npos) << refusal();
  write("here", "{");
  EXPECT_NE(refusal().find("dms_config.json"), std::string::npos) << refusal();
  write("here", "{}");
  variables_["DMS_GENERAL_DEBUG"] = "perhaps";
  EXPECT_NE(refusal().find("DMS_GENERAL_DEBUG"), std::string::npos) << refusal();
}

TEST_F(ConfigFile, FormerKeysAreReadAndPresentKeysOverrideThem) {
  write("here", R"({"observability":{"log_level":"DEBUG","max_size":5,"logging":{"rotation":{"max_size_mb":7}}}})");
  const auto loaded = load(sources_);
  ASSERT_TRUE(loaded) << loaded.error().to_string();
  EXPECT_EQ(loaded->section<Logs>().level, "DEBUG");
  EXPECT_EQ(loaded->section<Logs>().max_size_mb, 7U);
  EXPECT_EQ(*loaded->get("observability.log_level"), "DEBUG");
}

TEST_F(ConfigFile, TheExistingNodesPortRangeIsRead) {
  write("here", R"({"general":{"port_available_range_from":16384,"port_available_range_to":65536}})");
  EXPECT_EQ(load(sources_)->section<Ports>().port_available_range_to, 65535U);
  write("here", R"({"general":{"port_available_range_to":65537}})");
  EXPECT_NE(refusal(), "accepted");
}

TEST_F(ConfigFile, ListsAndBooleansFromTheEnvironment) {
  variables_ = {{"DMS_P2P_LISTEN_ADDRESS", "/ip4/127.0.0.1/tcp/1, /ip4/127.0.0.1/tcp/2"},
                {"DMS_GENERAL_DEBUG", "1"},
                {"BOOTSTRAP_PEERS", ""}};
  const auto loaded = load(sources_);
  ASSERT_TRUE(loaded) << loaded.error().to_string();
  EXPECT_EQ(loaded->section<Peers>().listen_address,
            (std::vector<std::string>{"/ip4/127.0.0.1/tcp/1", "/ip4/127.0.0.1/tcp/2"}));
  EXPECT_TRUE(loaded->section<General>().debug);
  EXPECT_TRUE(loaded->section<Peers>().bootstrap_peers.empty());
  EXPECT_EQ(variable_name("general.payment_provider.mode"), "DMS_GENERAL_PAYMENT_PROVIDER_MODE");
}

TEST_F(ConfigFile, SetChangesOneKeyAndKeepsTheRest) {
  write("here", R"({"general":{"env":"test"}})");
  ASSERT_TRUE(set(sources_, "rest.port", "8000"));
  ASSERT_TRUE(set(sources_, "P2P.listen_address", "/ip4/127.0.0.1/tcp/1"));
  const auto text = read_file(root_ / "here/dms_config.json", 4096);
  EXPECT_EQ(
      *text,
      "{\n  \"general\": {\n    \"env\": \"test\"\n  },\n  \"rest\": {\n    \"port\": 8000\n  },\n  \"p2p\": {\n    "
      "\"listen_address\": [\n      \"/ip4/127.0.0.1/tcp/1\"\n    ]\n  }\n}\n");
  EXPECT_EQ(*load(sources_)->get("rest.port"), "8000");
  EXPECT_FALSE(set(sources_, "rest.port", "x"));
  EXPECT_FALSE(set(sources_, "rest.prot", "1"));
  EXPECT_EQ(*read_file(root_ / "here/dms_config.json", 4096), *text) << "a refused value is not written";
}

TEST_F(ConfigFile, SetCreatesTheFile) {
  ASSERT_TRUE(set(sources_, "general.debug", "true"));
  EXPECT_TRUE(load(sources_)->section<General>().debug);
  EXPECT_TRUE(fs::exists(root_ / "home/.nunet/dms_config.json"));
}

TEST_F(ConfigFile, AWrittenFileKeepsItsModeAndLeavesNoTemporaryFile) {
  const auto mode_of = [](const fs::path& file) { return static_cast<unsigned>(fs::status(file).permissions()); };
  ASSERT_TRUE(set(sources_, "rest.port", "1"));
  EXPECT_EQ(mode_of(root_ / "home/.nunet/dms_config.json"), 0600U) << "a new one may hold API keys";
  write("here", "{}");
  fs::permissions(root_ / "here/dms_config.json", fs::perms(0644));
  ASSERT_TRUE(set(sources_, "rest.port", "2"));
  EXPECT_EQ(mode_of(root_ / "here/dms_config.json"), 0644U) << "another user's daemon may have to read it";
  EXPECT_FALSE(set(sources_, "rest.port", "x"));
  EXPECT_EQ(std::distance(fs::directory_iterator(root_ / "here"), {}), 1);
}

TEST_F(ConfigFile, TheFileIsFoundEvenIfItIsBroken) {
  EXPECT_EQ(find_file(sources_)->path, root_ / "home/.nunet/dms_config.json");
  write("etc", "{");
  EXPECT_EQ(find_file(sources_)->path, root_ / "etc/dms_config.json");
  EXPECT_FALSE(load(sources_));
}

TEST_F(ConfigFile, AFileInTheWorkingFolderIsReadOnlyIfItsOwnerIsThisUserOrRoot) {
  write("home/.nunet", R"({"rest":{"port":3}})");
  write("here", R"({"rest":{"port":4}})");
  sources_.user = ::geteuid();
  EXPECT_EQ(load(sources_)->section<Rest>().port, 4);
  EXPECT_TRUE(load(sources_)->warnings.empty());
  if (::geteuid() == 0 && ::chown((root_ / "here/dms_config.json").c_str(), 12345, 12345) != 0)
    GTEST_SKIP() << "skipped: this user namespace has no other user";
  sources_.user = ::geteuid() == 0 ? 0 : ::geteuid() + 1;
  const auto loaded = load(sources_);
  ASSERT_TRUE(loaded) << loaded.error().to_string();
  EXPECT_EQ(loaded->section<Rest>().port, 3) << "the next file of the search order";
  ASSERT_EQ(loaded->warnings.size(), 1U);
  EXPECT_NE(loaded->warnings[0].find((root_ / "here/dms_config.json").string()), std::string::npos);
  ASSERT_TRUE(set(sources_, "rest.port", "5"));
  EXPECT_EQ(*read_file(root_ / "here/dms_config.json", 4096), R"({"rest":{"port":4}})") << "set() leaves it alone";
  sources_.file = root_ / "here/dms_config.json";
  EXPECT_EQ(load(sources_)->section<Rest>().port, 4) << "a file given with --config is read";
}

TEST_F(ConfigFile, ALinkOfAnotherUserInTheWorkingFolderIsSkipped) {
  const fs::path link = root_ / "here/dms_config.json";
  write("home/.nunet", R"({"rest":{"port":3}})");
  write("elsewhere", R"({"rest":{"port":4}})");
  fs::create_directories(root_ / "here");
  fs::create_symlink(root_ / "elsewhere/dms_config.json", link);
  EXPECT_EQ(load(sources_)->section<Rest>().port, 4) << "a link of this user";
  if (::geteuid() != 0 || ::lchown(link.c_str(), 12345, 12345) != 0)
    GTEST_SKIP() << "skipped: only root can give a link to another user";
  const auto loaded = load(sources_);
  ASSERT_TRUE(loaded) << loaded.error().to_string();
  EXPECT_EQ(loaded->section<Rest>().port, 3) << "the next file of the search order";
  ASSERT_EQ(loaded->warnings.size(), 1U);
  EXPECT_NE(loaded->warnings[0].find("another user (12345)"), std::string::npos) << loaded->warnings[0];
}

TEST_F(ConfigFile, AFileInTheWorkingFolderThatOthersMayWriteIsRefused) {
  write("here", R"({"rest":{"port":4}})");
  for (const auto mode : {0620, 0602, 0666}) {
    fs::permissions(root_ / "here/dms_config.json", static_cast<fs::perms>(mode));
    EXPECT_NE(refusal().find("chmod go-w"), std::string::npos) << refusal();
    EXPECT_FALSE(set(sources_, "rest.port", "5"));
  }
  fs::permissions(root_ / "here/dms_config.json", static_cast<fs::perms>(0644));
  EXPECT_EQ(load(sources_)->section<Rest>().port, 4);
}

TEST_F(ConfigFile, SettingsWithoutEffectAreMarkedAndNamed) {
  EXPECT_TRUE(load(sources_)->set_without_effect().empty()) << "defaults are not named";
  write("here", R"({"profiler":{"port":1},"rest":{"port":1}})");
  variables_["DMS_PROFILER_ENABLED"] = "true";
  const auto loaded = load(sources_);
  ASSERT_TRUE(loaded) << loaded.error().to_string();
  EXPECT_EQ(loaded->set_without_effect(), (std::vector<std::string>{"profiler.enabled", "profiler.port"}));
  EXPECT_EQ(loaded->list("profiler").at(1).without_effect, "there is no profiler");
  EXPECT_EQ(loaded->list("rest").at(0).without_effect, "");
}

TEST(ConfigRegistry, SectionsStayTogetherAndKeysAreUnique) {
  const auto registry = test_registry();
  std::vector<std::string> keys;
  for (const auto& setting : registry->settings()) keys.push_back(setting.key);
  const auto port = std::ranges::find(keys, "general.port_available_range_from");
  EXPECT_EQ(std::ranges::find(keys, "rest.addr") - port, 2) << "declared behind rest, listed with general";
  EXPECT_THROW(Registry(std::vector{section<Rest>(), section<Rest>()}), std::logic_error);
}

TEST_F(ConfigFile, EveryKeyGoesThroughGetAndSet) {
  for (const auto& entry : load(sources_)->list()) {
    const auto changed = set(sources_, entry.key, entry.value);
    ASSERT_TRUE(changed) << entry.key << ": " << changed.error().to_string();
    EXPECT_EQ(*changed->get(entry.key), entry.value);
    EXPECT_EQ(changed->origin(entry.key), Origin::file);
  }
}

TEST(Suggest, FindsTheNearestWord) {
  constexpr std::string_view kWords[] = {"size", "clock_speed", "type"};
  EXPECT_EQ(nearest("sise", kWords), "size");
  EXPECT_EQ(nearest("clockspeed", kWords), "clock_speed");
  EXPECT_EQ(nearest("tpye", kWords), "type") << "swapped neighbours are one edit";
  EXPECT_EQ(nearest("model", kWords), "");
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3U);
}

TEST(ConfigText, ErrorsNameThePlace) {
  std::map<std::string, std::string> variables;
  Sources sources{.registry = test_registry()};
  sources.variable = [&](const std::string& name) -> std::optional<std::string> {
    const auto found = variables.find(name);
    return found == variables.end() ? std::nullopt : std::optional(found->second);
  };
  const auto place = [&](std::string_view text) { return parse(text, sources).error().place(); };
  EXPECT_EQ(place(R"({"rest":{"port":"many"}})"), "rest.port");
  EXPECT_EQ(place(R"({"rest":{"prot":1}})"), "rest.prot");
  EXPECT_EQ(place(R"({"p2p":{"listen_address":["/a",1]}})"), "p2p.listen_address[1]");
  EXPECT_EQ(place(R"({"general":{"port_available_range_to":70000}})"), "general.port_available_range_from");
  EXPECT_EQ(place("{\"rest\":}"), "byte 8");
  variables["DMS_P2P_FD"] = "-1";
  EXPECT_EQ(place("{}"), "p2p.fd") << "of the environment, which the message says";
  variables.clear();
  EXPECT_EQ(parse(R"({"rest":{"port":1}})", sources)->section<Rest>().port, 1);
}

}  // namespace
}  // namespace dms::config
