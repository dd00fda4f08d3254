// Commands run in-process, as a user would type them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/client/daemon_lock.hpp"
#include "cli/framework/fake_environment.hpp"
#include "cli/client/session.hpp"

namespace dms::cli {
namespace {

using testing::HasSubstr;
using testing::Not;

std::string line(const Said& said) { return said.out.substr(0, said.out.find('\n')); }

/// Compares with tests/golden/cli/<name>.txt; UPDATE_GOLDEN=1 writes it instead.
void expect_golden(const std::string& name, std::string text, const std::filesystem::path& home) {
  for (auto at = text.find(home.string()); at != std::string::npos; at = text.find(home.string()))
    text.replace(at, home.string().size(), "HOME");
  const auto file = std::filesystem::path(DMS_SOURCE_DIR) / "tests/golden/cli" / (name + ".txt");
  if (std::getenv("UPDATE_GOLDEN") != nullptr) {
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file) << text;
  }
  EXPECT_EQ(text, read_file(file, 1 << 20).value_or("(there is no such file)"))
      << file << "; UPDATE_GOLDEN=1 rewrites it";
}

struct CliTest : testing::Test {
  FakeEnvironment world;

  Said nunet(const std::vector<std::string>& words, const std::string& input = "") { return say(world, words, input); }
  std::string must(const std::vector<std::string>& words) {
    const auto said = nunet(words);
    EXPECT_EQ(said.code, 0) << said.err;
    return line(said);
  }
};

TEST_F(CliTest, HelpNamesEveryCommandAndItsFlags) {
  expect_golden("help", nunet({"--help"}).out, world.home);
  expect_golden("help_cap_grant", nunet({"cap", "grant", "--help"}).out, world.home);
  expect_golden("help_actor_cmd", nunet({"actor", "cmd", "-h"}).out, world.home);
  expect_golden("help_deploy", nunet({"deploy", "-h"}).out, world.home);
  EXPECT_EQ(nunet({}).code, 0);
}

TEST_F(CliTest, WhatIsNotUnderstoodIsTwoAndSaysWhereHelpIs) {
  for (const std::vector<std::string>& words :
       std::vector<std::vector<std::string>>{{"nonsense"},
                                             {"key"},
                                             {"key", "new"},
                                             {"key", "new", "a", "b"},
                                             {"cap", "anchor"},
                                             {"cap", "grant", "did:key:z6Mk"},
                                             {"cap", "list", "--nonsense"},
                                             {"actor", "cmd", "/no/such"},
                                             {"completion", "csh"},
                                             {"actor", "cmd", "/dms/node/peers/ping"},
                                             {"cap", "anchor", "--root", "did:key:a", "--revoke", "x"}}) {
    const auto said = nunet(words);
    EXPECT_EQ(said.code, 2) << words.front();
    EXPECT_FALSE(said.err.empty());
    EXPECT_EQ(said.out, "");
  }
}

TEST_F(CliTest, ANameThatIsAlsoACommandIsAName) {
  EXPECT_EQ(nunet({"key", "new", "config"}).code, 0);
  EXPECT_EQ(nunet({"key", "new", "run"}).code, 0);
  EXPECT_EQ(world.ran, "");
}

TEST_F(CliTest, AKeyIsMadeShownAndListed) {
  const auto did = must({"key", "new", "user"});
  EXPECT_THAT(did, HasSubstr("did:key:z6Mk"));
  EXPECT_EQ(must({"key", "did", "user"}), did);
  must({"key", "new", "dms"});
  expect_golden("key_list", nunet({"key", "list"}).out, world.home);
  expect_golden("key_list_json", nunet({"key", "list", "--json"}).out, world.home);
}

TEST_F(CliTest, AKeyIsReplacedOnlyOnRequest) {
  const auto did = must({"key", "new", "user"});
  const auto refused = nunet({"key", "new", "user"});
  EXPECT_EQ(refused.code, 1);
  EXPECT_THAT(refused.err, HasSubstr("--force"));
  world.somebody = true;
  EXPECT_EQ(nunet({"key", "new", "user"}, "n\n").code, 1);
  EXPECT_EQ(nunet({"key", "new", "user"}, "").code, 1);
  EXPECT_EQ(must({"key", "did", "user"}), did);
  EXPECT_EQ(nunet({"key", "new", "user"}, "y\n").code, 0);
  EXPECT_NE(must({"key", "did", "user"}), did);
}

TEST_F(CliTest, PassphrasesAreAskedForTwiceAndMustAgree) {
  world.variables.erase("DMS_PASSPHRASE");
  EXPECT_THAT(nunet({"key", "new", "user"}).err, HasSubstr("DMS_PASSPHRASE")) << "nobody can be asked";
  world.secrets = {"one", "two"};
  EXPECT_EQ(nunet({"key", "new", "user"}).code, 1);
  world.secrets = {"one", "one"};
  EXPECT_EQ(nunet({"key", "new", "user"}).code, 0);
  world.secrets = {"two"};
  EXPECT_EQ(nunet({"key", "did", "user"}).code, 1);
  world.secrets = {"one"};
  EXPECT_EQ(nunet({"key", "did", "user"}).code, 0);
  world.somebody = true;
  EXPECT_EQ(nunet({"key", "did", "user"}).code, 130) << "given up at the question";
}

TEST_F(CliTest, NamesCannotLeaveTheirFolder) {
  for (const auto* name : {"../user", "/tmp/user", "", ".hidden", "a/b"})
    EXPECT_EQ(nunet({"key", "new", name}).code, 1) << name;
  EXPECT_EQ(nunet({"cap", "new", "../user"}).code, 1);
}

TEST_F(CliTest, AnchorsAreAddedListedAndRemovedWithoutAPassphrase) {
  const auto user = must({"key", "new", "user"});
  must({"cap", "new", "dms"});
  const auto dms = must({"key", "did", "dms"});
  must({"cap", "new", "user"});
  const auto token =
      must({"cap", "grant", "--cap", "/dms,/public", "--topic", "/nunet", "--duration", "24h", "--depth", "2", dms});
  world.variables.erase("DMS_PASSPHRASE");
  must({"cap", "anchor", "-c", "dms", "--root", user});
  EXPECT_EQ(nunet({"cap", "anchor", "-c", "dms", "--require", "-"}, token).code, 0);
  expect_golden("cap_list", nunet({"cap", "list", "-c", "dms"}).out, world.home);
  expect_golden("cap_list_json", nunet({"cap", "list", "-c", "dms", "--json"}).out, world.home);
  must({"cap", "remove", "-c", "dms", "--root", user});
  EXPECT_EQ(nunet({"cap", "remove", "-c", "dms", "--root", user}).code, 1) << "there is none any more";
  must({"cap", "remove", "-c", "dms", "--require", token});
  EXPECT_THAT(nunet({"cap", "list", "-c", "dms"}).out, Not(HasSubstr(user)));
}

TEST_F(CliTest, TokensThatAreWrongAreNotAnchored) {
  must({"cap", "new", "user"});
  must({"cap", "new", "dms"});
  auto token = must({"cap", "grant", "--cap", "/dms/node", "--duration", "1h", must({"key", "did", "dms"})});
  token.replace(token.find("/dms/node"), 9, "/dms");
  const auto tampered = nunet({"cap", "anchor", "-c", "dms", "--require", token});
  EXPECT_EQ(tampered.code, 3);
  EXPECT_THAT(tampered.err, HasSubstr("signature"));
  const auto old = must({"cap", "grant", "--cap", "/dms", "--expiry", "2020-01-01", must({"key", "did", "dms"})});
  EXPECT_THAT(nunet({"cap", "anchor", "-c", "dms", "--require", old}).err, HasSubstr("expired"));
  EXPECT_EQ(nunet({"cap", "anchor", "-c", "dms", "--require", "nonsense"}).code, 2);
}

TEST_F(CliTest, WhatWasGivenIsPassedOnAndRevoked) {
  must({"cap", "new", "org"});
  must({"cap", "new", "user"});
  must({"cap", "new", "guest"});
  const auto guest = must({"key", "did", "guest"});
  EXPECT_EQ(nunet({"cap", "delegate", "--cap", "/dms", "--duration", "1h", guest}).code, 3) << "nothing was given";
  const auto given =
      must({"cap", "grant", "-c", "org", "--cap", "/dms", "--duration", "24h", must({"key", "did", "user"})});
  must({"cap", "anchor", "--provide", given});
  EXPECT_THAT(must({"cap", "delegate", "--cap", "/dms/node", "--auto-expire", guest}), HasSubstr("chain"));
  EXPECT_EQ(nunet({"cap", "delegate", "--cap", "/public", "--auto-expire", guest}).code, 3) << "wider than given";
  EXPECT_THAT(must({"cap", "revoke", "-c", "org", given}), HasSubstr("\"revoke\""));
  EXPECT_EQ(nunet({"cap", "revoke", "-c", "user", given}).code, 3) << "not the issuer";
}

TEST_F(CliTest, SettingsAreShownWithTheirOriginAndChanged) {
  world.variables.erase("DMS_GENERAL_WORK_DIR");
  expect_golden("config_list", nunet({"config", "list", "rest"}).out, world.home);
  EXPECT_EQ(must({"config", "get", "rest.port"}), "9999");
  must({"config", "set", "rest.port", "9998"});
  EXPECT_EQ(must({"config", "get", "rest.port"}), "9998");
  EXPECT_EQ(must({"config", "get", "rest.port", "--rest-port", "7"}), "7");
  EXPECT_EQ(nunet({"config", "set", "rest.port", "many"}).code, 1);
  EXPECT_THAT(nunet({"config", "get", "rest.prot"}).err, HasSubstr("rest.port"));
  EXPECT_EQ(must({"config", "get", "rest.port"}), "9998");
}

TEST_F(CliTest, FlagsWeighMoreThanTheEnvironmentAndThatMoreThanTheFile) {
  EXPECT_EQ(must({"config", "get", "rest.port"}), "9999");
  must({"config", "set", "rest.port", "1"});
  EXPECT_EQ(must({"config", "get", "rest.port"}), "1");
  world.variables["DMS_REST_PORT"] = "2";
  EXPECT_EQ(must({"config", "get", "rest.port"}), "2");
  EXPECT_EQ(must({"config", "get", "rest.port", "--rest-port", "3"}), "3");
  EXPECT_THAT(nunet({"config", "set", "rest.port", "4"}).err, HasSubstr("DMS_REST_PORT or a flag weighs more"));
  ASSERT_TRUE(write_file(world.home / "named.json", R"({"rest":{"port":5}})"));
  world.variables.erase("DMS_REST_PORT");
  EXPECT_EQ(must({"--config", (world.home / "named.json").string(), "config", "get", "rest.port"}), "5");
  world.variables["DMS_REST_PORT"] = "many";
  EXPECT_THAT(nunet({"config", "get"}).err, HasSubstr("DMS_REST_PORT"));
  EXPECT_THAT(nunet({"config", "set", "rest.prot", "1"}).err, HasSubstr("did you mean rest.port?"));
}

TEST_F(CliTest, EditedSettingsCountOnlyIfTheyAreUnderstood) {
  const auto file = world.home / ".nunet/dms_config.json";
  const auto copy = world.home / ".nunet/dms_config.json.edit";
  world.edited = R"({"rest":{"port":1234}})";
  must({"config", "edit"});
  EXPECT_EQ(must({"config", "get", "rest.port"}), "1234");
  EXPECT_FALSE(std::filesystem::exists(copy));
  const std::string wrong = R"({"rest":{"prot":1}})";
  world.edited = wrong;
  const auto refused = nunet({"config", "edit"});
  EXPECT_EQ(refused.code, 1);
  EXPECT_THAT(refused.err, HasSubstr("did you mean rest.port?"));
  EXPECT_THAT(refused.err, HasSubstr(".edit"));
  EXPECT_EQ(must({"config", "get", "rest.port"}), "1234");
  EXPECT_EQ(read_file(copy, 4096).value(), wrong) << "what was written is not lost";
  world.edited = R"({"rest":{"port":1235}})";
  EXPECT_THAT(nunet({"config", "edit"}).err, HasSubstr("Going on with what was written before"));
  EXPECT_EQ(world.opened, wrong);
  EXPECT_EQ(must({"config", "get", "rest.port"}), "1235");
  EXPECT_FALSE(std::filesystem::exists(copy));

  world.edited = "";
  EXPECT_THAT(nunet({"config", "edit"}).err, HasSubstr("the editor failed"));
  EXPECT_FALSE(std::filesystem::exists(copy)) << "nothing was written, so nothing is kept";
  ASSERT_TRUE(write_file(file, "{"));
  EXPECT_EQ(nunet({"config", "get"}).code, 1);
  world.edited = "{}";
  must({"config", "edit"});
  EXPECT_EQ(world.opened, "{") << "a broken file can be mended";
  EXPECT_EQ(must({"config", "get", "rest.port"}), "9999");
}

TEST_F(CliTest, WithoutADaemonTheNextStepIsNamed) {
  must({"cap", "new", "user"});
  const auto said = nunet({"actor", "cmd", "/dms/node/peers/list"});
  EXPECT_EQ(said.code, 1);
  EXPECT_THAT(said.err, HasSubstr("nunet run"));
  EXPECT_EQ(world.called->to_string(), "127.0.0.1:9999");
  nunet({"actor", "cmd", "/dms/node/peers/list", "--rest-port", "7000", "--rest-addr", "127.0.0.2"});
  EXPECT_EQ(world.called->to_string(), "127.0.0.2:7000");
}

TEST_F(CliTest, RunUsesTheDaemonsKey) {
  EXPECT_EQ(nunet({"run"}).code, 1) << "no key yet";
  must({"key", "new", "dms"});
  EXPECT_EQ(nunet({"run"}).code, 0);
  EXPECT_EQ(world.ran, "dms");
}

TEST_F(CliTest, ShellsAreHelpedToComplete) {
  EXPECT_EQ(nunet({"__complete", "--", "ke"}).out, "key\n");
  EXPECT_EQ(nunet({"__complete", "--", "key", ""}).out, "did\nexport\nimport\nledger-alias\nlist\nnew\n");
  EXPECT_THAT(nunet({"__complete", "--", "deploy", "--"}).out, HasSubstr("--wait\n"));
  EXPECT_THAT(nunet({"__complete", "--", "actor", "cmd", "/dms/node/onb"}).out,
              HasSubstr("/dms/node/onboarding/onboard\n"));
  for (const auto* shell : {"bash", "zsh", "fish"}) {
    EXPECT_THAT(nunet({"completion", shell}).out, HasSubstr("nunet __complete")) << shell;
    EXPECT_EQ(nunet({"autocomplete", shell}).code, 0);
  }
}

TEST_F(CliTest, ShellsAreOfferedWhatIsThere) {
  must({"key", "new", "user"});
  must({"cap", "new", "dms"});
  const auto dms = must({"key", "did", "dms"});
  const auto offered = [&](std::vector<std::string> words) {
    words.insert(words.begin(), {"__complete", "--"});
    return nunet(words).out;
  };
  world.variables.erase("DMS_PASSPHRASE");
  EXPECT_EQ(offered({"key", "did", ""}), "dms\nuser\n");
  EXPECT_EQ(offered({"cap", "list", "-c", ""}), "dms\n");
  EXPECT_EQ(offered({"cap", "list", "--context=d"}), "--context=dms\n");
  EXPECT_EQ(offered({"-c", "d"}), "dms\n");
  EXPECT_EQ(offered({"cap", "grant", "--cap", "/public", "did:key:"}), dms + "\n");
  EXPECT_EQ(offered({"cap", "grant", "--cap", "/public", dms, ""}), "");
  EXPECT_EQ(offered({"cap", "anchor", "-c", "dms", "--root", "did:"}), dms + "\n");
  EXPECT_EQ(offered({"cap", "delegate", "--self-sign", ""}), "also\nno\nonly\n");
  EXPECT_EQ(offered({"config", "get", "rest."}), "rest.addr\nrest.port\n");
  EXPECT_EQ(offered({"completion", ""}), "bash\nfish\nzsh\n");
  EXPECT_EQ(offered({"autocomplete", "z"}), "zsh\n");
  EXPECT_EQ(offered({"--user-dir", (world.home / "other").string(), "key", "did", ""}), "")
      << "another folder has none";
  EXPECT_EQ(offered({"key", "did", "no", "such"}), "");
  EXPECT_EQ(world.asked.size(), 0U);
}

TEST_F(CliTest, ASwitchIsTurnedOffInWords) {
  world.variables["DMS_GENERAL_DEBUG"] = "true";
  EXPECT_EQ(must({"config", "get", "general.debug"}), "true");
  EXPECT_EQ(must({"--debug=false", "config", "get", "general.debug"}), "false");
  EXPECT_EQ(must({"config", "get", "profiler.enabled", "--profiler-enabled"}), "true");
  EXPECT_EQ(must({"config", "get", "profiler.port", "--profiler-port", "6061"}), "6061");
  must({"key", "new", "user"});
  EXPECT_EQ(nunet({"key", "new", "user", "--force=false"}).code, 1);
  EXPECT_EQ(nunet({"key", "new", "user", "--force=perhaps"}).code, 2);
  EXPECT_EQ(nunet({"key", "new", "user", "--force=true"}).code, 0);
}

TEST_F(CliTest, TheVersionStandsOnALineOfItsOwn) {
  EXPECT_THAT(nunet({"version"}).out, HasSubstr("\nVersion: " DMS_VERSION "\n"));
}

TEST(TimeText, DurationsAndDates) {
  EXPECT_EQ(parse_duration("24h").value(), 24h);
  EXPECT_EQ(parse_duration("1h30m").value(), 90min);
  EXPECT_EQ(parse_duration("1.5s").value(), 1500ms);
  EXPECT_EQ(parse_duration("90").value(), 90s);
  EXPECT_EQ(parse_duration("7d").value(), 168h);
  for (const auto* bad : {"", "h", "-1h", "1x", "1h30", "nan", "inf", "1e30h", "0s"})
    EXPECT_FALSE(parse_duration(bad)) << bad;
  EXPECT_EQ(format_time(parse_time("2026-12-31").value()), "2026-12-31 00:00:00 UTC");
  EXPECT_EQ(format_time(parse_time("2026-12-31T18:30:05Z").value()), "2026-12-31 18:30:05 UTC");
  EXPECT_EQ(format_time(parse_time("2026-12-31T18:30+02:00").value()), "2026-12-31 16:30:00 UTC");
  for (const auto* bad :
       {"", "2026", "2026-02-30", "2026-12-31T25:00", "2026-12-31Tx", "1969-12-31", "2026-12-31T18:30Zz"})
    EXPECT_FALSE(parse_time(bad)) << bad;
}

TEST(DaemonLockTest, OneDaemonPerFolderAndItCanBeFound) {
  FakeEnvironment world;
  EXPECT_FALSE(running_daemon(world.home));
  {
    auto lock = DaemonLock::take(world.home);
    ASSERT_TRUE(lock) << lock.error().to_string();
    EXPECT_EQ(running_daemon(world.home), ::getpid());
    EXPECT_TRUE(DaemonLock::take(world.home).error().is(dms::Errc::already_exists));
  }
  EXPECT_FALSE(running_daemon(world.home));
  EXPECT_TRUE(DaemonLock::take(world.home));
}

}  // namespace
}  // namespace dms::cli
