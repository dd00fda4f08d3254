// Commands run in-process, with command lines as a user types them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/client/daemon_lock.hpp"
#include "cli/client/session.hpp"
#include "cli/framework/fake_environment.hpp"

namespace dms::cli {
namespace {

using testing::HasSubstr;
using testing::Not;

std::string line(const CommandResult& result) { return result.out.substr(0, result.out.find('\n')); }

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

  CommandResult nunet(const std::vector<std::string>& words, const std::string& input = "") {
    return run_in(world, words, input);
  }
  std::string must(const std::vector<std::string>& words) {
    const auto result = nunet(words);
    EXPECT_EQ(result.code, 0) << result.err;
    return line(result);
  }
};

TEST_F(CliTest, HelpNamesEveryCommandAndItsFlags) {
  expect_golden("help", nunet({"--help"}).out, world.home);
  expect_golden("help_cap_grant", nunet({"cap", "grant", "--help"}).out, world.home);
  expect_golden("help_actor_cmd", nunet({"actor", "cmd", "-h"}).out, world.home);
  expect_golden("help_actor_tree", nunet({"actor", "tree", "-h"}).out, world.home);
  expect_golden("help_deploy", nunet({"deploy", "-h"}).out, world.home);
  expect_golden("help_deployment_cancel", nunet({"deployment", "cancel", "-h"}).out, world.home);
  expect_golden("help_init", nunet({"init", "-h"}).out, world.home);
  expect_golden("help_run", nunet({"run", "-h"}).out, world.home);
  expect_golden("help_status", nunet({"status", "-h"}).out, world.home);
  expect_golden("help_allocation", nunet({"allocation", "-h"}).out, world.home);
  expect_golden("help_allocation_logs", nunet({"allocation", "logs", "-h"}).out, world.home);
  expect_golden("help_allocation_stop", nunet({"allocation", "stop", "-h"}).out, world.home);
  EXPECT_EQ(nunet({}).code, 0);
}

TEST_F(CliTest, TheVersionIsAWordOrAFlag) {
  const auto version = nunet({"version"}).out;
  EXPECT_THAT(version, HasSubstr("Version: " DMS_VERSION));
  EXPECT_EQ(nunet({"--version"}).out, version);
  EXPECT_EQ(nunet({"-V"}).out, version);
  EXPECT_EQ(nunet({"--version=false", "key", "list"}).code, 0);
}

TEST_F(CliTest, HelpIsAWordOrAFlag) {
  EXPECT_EQ(nunet({"help"}).out, nunet({"--help"}).out);
  EXPECT_EQ(nunet({"help", "key", "new"}).out, nunet({"key", "new", "--help"}).out);
  EXPECT_EQ(nunet({"help", "deployment"}).code, 0);
  const auto wrong = nunet({"help", "key", "nwe"});
  EXPECT_EQ(wrong.code, 2);
  EXPECT_THAT(wrong.err, HasSubstr("did you mean new?"));
  EXPECT_THAT(nunet({"__complete", "--", "help", "deployment", "li"}).out, "list\n");
}

TEST_F(CliTest, JsonMayBeAskedForBeforeTheCommand) {
  must({"key", "new", "user"});
  EXPECT_EQ(nunet({"--json", "key", "list"}).out, nunet({"key", "list", "--json"}).out);
  EXPECT_EQ(nunet({"key", "--json", "list"}).out, nunet({"key", "list", "--json"}).out);
  const auto refused = nunet({"--json", "key", "did", "user"});
  EXPECT_EQ(refused.code, 2);
  EXPECT_THAT(refused.err, HasSubstr("`did` has no --json"));
  EXPECT_THAT(nunet({"__complete", "--", "key", "did", "--"}).out, Not(HasSubstr("--json")));
}

TEST_F(CliTest, AWrongCommandLineEndsWithTwoAndNamesItsHelp) {
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
    const auto result = nunet(words);
    EXPECT_EQ(result.code, 2) << words.front();
    EXPECT_FALSE(result.err.empty());
    EXPECT_EQ(result.out, "");
  }
}

TEST_F(CliTest, AnUnknownWordIsReportedWithTheNearestKnownOne) {
  const auto error = [&](const std::vector<std::string>& words) {
    const auto result = nunet(words);
    EXPECT_EQ(result.code, 2) << result.err;
    return result.err;
  };
  EXPECT_EQ(error({"deploy", "--fiel", "x.yaml"}),
            "nunet: unknown flag --fiel (did you mean --file?); see `nunet deploy --help`\n");
  EXPECT_EQ(error({"deploy", "--spec-fil=x"}),
            "nunet: unknown flag --spec-fil (did you mean --spec-file?); see `nunet deploy --help`\n");
  EXPECT_EQ(error({"cap", "list", "--nonsense", "value"}),
            "nunet: unknown flag --nonsense; see `nunet cap list --help`\n");
  EXPECT_EQ(error({"cap", "list", "--hepl"}),
            "nunet: unknown flag --hepl (did you mean --help?); see `nunet cap list --help`\n");
  EXPECT_EQ(error({"deploy", "-z"}), "nunet: unknown flag -z; see `nunet deploy --help`\n");
  EXPECT_EQ(error({"deploy", "-wz"}), "nunet: unknown flag -z; see `nunet deploy --help`\n");
  EXPECT_EQ(error({"deplyo"}), "nunet: unknown command \"deplyo\" (did you mean deploy?); see `nunet --help`\n");
  EXPECT_EQ(error({"key", "new", "a", "b"}), "nunet: unexpected argument \"b\"; see `nunet key new --help`\n");
  EXPECT_EQ(error({"key", "new"}), "nunet: <name> is missing; see `nunet key new --help`\n");
  EXPECT_EQ(error({"deploy", "-f"}), "nunet: --file needs a value, <file>; see `nunet deploy --help`\n");
  EXPECT_EQ(error({"--config"}), "nunet: --config needs a value, <file>; see `nunet --help`\n");
  EXPECT_EQ(error({"deploy", "-f", "a", "--file", "b"}), "nunet: --file is given twice; see `nunet deploy --help`\n");
  EXPECT_EQ(error({"deploy", "-f", ""}), "nunet: --file is empty, expected a file; see `nunet deploy --help`\n");
  EXPECT_EQ(error({"deployment", "update", "a", "--file="}),
            "nunet: --file is empty, expected a file; see `nunet deployment update --help`\n");
  EXPECT_EQ(error({"deployment", "results", "a", "b", "-o", ""}),
            "nunet: --output is empty, expected a folder; see `nunet deployment results --help`\n");
  EXPECT_EQ(error({"--config", "", "key", "list"}),
            "nunet: --config is empty, expected a file; see `nunet key list --help`\n");
  EXPECT_EQ(error({"key", "list", "--user-dir", ""}),
            "nunet: --user-dir is empty, expected a folder; see `nunet key list --help`\n");
  EXPECT_EQ(error({"deployment", "status", "a", "--id", "b"}),
            "nunet: only one of --id, <deployment> can be given; see `nunet deployment status --help`\n");
  EXPECT_EQ(error({"actor", "cmd", "/dms/node/peers/ping"}),
            "nunet: --host <peer> is required; see `nunet actor cmd /dms/node/peers/ping --help`\n");
}

TEST_F(CliTest, FlagsAreParsedInEveryForm) {
  must({"key", "new", "user"});
  must({"cap", "new", "user"});
  must({"cap", "new", "dms"});
  const auto listed = nunet({"cap", "list", "-c", "dms"}).out;
  for (const std::vector<std::string>& words : std::vector<std::vector<std::string>>{
           {"cap", "list", "-cdms"},
           {"cap", "list", "--context", "dms"},
           {"cap", "list", "--context=dms"},
           {"-c", "user", "cap", "list", "-c", "dms"},  // the inner command's flag counts
           {"cap", "--debug", "list", "--debug", "-cdms"}})
    EXPECT_EQ(nunet(words).out, listed) << words[2];
  const auto dms = must({"key", "did", "dms"});
  EXPECT_THAT(must({"cap", "grant", "--cap", "/a,/b", "--cap=/c", "--duration", "1h", dms}),
              HasSubstr(R"(["/a","/b","/c"])"));
  EXPECT_EQ(nunet({"cap", "anchor", "--root", "--require"}).code, 2) << "the next word is the value";
  EXPECT_EQ(nunet({"key", "new", "--", "run"}).code, 0);
  EXPECT_EQ(nunet({"key", "new", "--", "-f"}).code, 0) << "a name";
  EXPECT_EQ(nunet({"cap", "--nonsense", "grant", "-h"}).out, nunet({"cap", "grant", "--help"}).out)
      << "--help takes precedence";
}

TEST_F(CliTest, MalformedValuesEndWithTwoAndMissingThingsWithOne) {
  must({"key", "new", "user"});
  must({"cap", "new", "user"});
  const std::string did = must({"key", "did", "user"});
  using Words = std::vector<std::string>;
  for (const Words& words : {Words{"key", "new", "../user"},
                             Words{"key", "did", "a/b"},
                             Words{"cap", "new", ".hidden"},
                             Words{"cap", "list", "-c", "a/b"},
                             Words{"run", "-c", "a/b"},
                             Words{"key", "ledger-alias", "set", "a:b", "1"},
                             Words{"key", "ledger-alias", "set", "a", "one"},
                             Words{"cap", "anchor", "--root", "nobody"},
                             Words{"cap", "anchor", "--require", "{}x"},
                             Words{"cap", "anchor", "--require", R"({"tok":[1]})"},
                             Words{"cap", "anchor", "--require", R"({"dms":{}})"},
                             Words{"cap", "revoke", R"({"dms":{}})"},
                             Words{"cap", "grant", "--cap", "dms", "--duration", "1h", did},
                             Words{"cap", "grant", "--cap", "/dms", "--duration", "soon", did},
                             Words{"cap", "grant", "--cap", "/dms", "--expiry", "soon", did},
                             Words{"cap", "grant", "--cap", "/dms", "--expiry", "2020-01-01", did},
                             Words{"cap", "grant", "--cap", "/dms", "--duration", "0s", did},
                             Words{"cap", "broadcast", "nonsense"},
                             Words{"cap", "grant", "--cap", "/dms", "--duration", "1h", "--depth", "-1", did},
                             Words{"config", "get", "rest.prot"},
                             Words{"config", "list", "nothing"},
                             Words{"config", "set", "rest.port", "many"},
                             Words{"config", "set", "rest.prot", "1"},
                             Words{"config", "get", "--rest-port", "many"},
                             Words{"--rest-addr", "nowhere", "actor", "cmd", "/public/hello"},
                             Words{"net", "dial", "nowhere"},
                             Words{"net", "ping", "/ip4/10.0.0.1/tcp/9000"},
                             Words{"net", "listen", "-a", "/ip4/10.0.0.1/tpc/9000"},
                             Words{"net", "dial", "--key", "a/b", "/ip4/10.0.0.1/tcp/9000"},
                             Words{"deploy", "-t", "soon"},
                             Words{"actor", "cmd", "-t", "soon", "/public/hello"},
                             Words{"actor", "cmd", "-e", "soon", "/public/hello"},
                             Words{"actor", "cmd", "-d", "nobody", "/public/hello"},
                             Words{"actor", "msg", "-t", "soon", "/public/hello"},
                             Words{"actor", "msg", "-d", "nobody", "/public/hello"},
                             Words{"deployment", "list", "--filter", "x"}})
    EXPECT_EQ(nunet(words).code, 2) << fmt::format("{}", fmt::join(words, " ")) << ": " << nunet(words).err;
  EXPECT_THAT(nunet({"config", "get", "--rest-port", "many"}).err, HasSubstr("--rest-port: "));
  EXPECT_THAT(nunet({"cap", "grant", "--cap", "/dms", "--expiry", "soon", did}).err, HasSubstr("--expiry: "));
  EXPECT_THAT(nunet({"deploy"}).err,
              HasSubstr("without --file the ensemble is ensemble.yaml: opening ensemble.yaml: "));
  for (const Words& words : {Words{"key", "did", "nobody"}, Words{"cap", "list", "-c", "nobody"},
                             Words{"key", "import", "a", "/no/such/file"}, Words{"deploy", "-f", "/no/such/file"},
                             Words{"--config", "/no/such/file", "config", "get"},
                             Words{"actor", "cmd", "/public/hello"}, Words{"cap", "remove", "--root", did}})
    EXPECT_EQ(nunet(words).code, 1) << fmt::format("{}", fmt::join(words, " "));
  world.variables["DMS_REST_PORT"] = "many";
  EXPECT_EQ(nunet({"config", "get"}).code, 1) << "the environment is not the command line";
  EXPECT_EQ(nunet({"config", "set", "rest.addr", "127.0.0.2"}).code, 1);
  world.variables.erase("DMS_REST_PORT");
  world.write("cap/user.cap", "{");
  EXPECT_EQ(nunet({"cap", "list"}).code, 1) << "a damaged context is not a refusal";
}

/// Every command and option of the tree is completed, and every completion is accepted.
void expect_offered(CliTest& test, const Command& command, std::vector<std::string> words) {
  const auto offered = [&](const std::string& last) {
    std::vector<std::string> line{"__complete", "--"};
    line.insert(line.end(), words.begin(), words.end());
    line.push_back(last);
    const auto result = test.nunet(line);
    EXPECT_EQ(result.err, "");
    return "\n" + result.out;
  };
  const std::string flags = offered("--");
  for (const auto& option : command.options) EXPECT_THAT(flags, HasSubstr("\n--" + option.name + "\n"));
  const std::string names = offered("");
  for (const auto& child : command.children) {
    if (child.hidden) continue;
    EXPECT_THAT(names, HasSubstr("\n" + child.name + "\n"));
    words.push_back(child.name);
    expect_offered(test, child, words);
    auto with_help = words;
    with_help.emplace_back("--help");
    EXPECT_EQ(test.nunet(with_help).code, 0);
    words.pop_back();
  }
}

TEST_F(CliTest, CompletionFollowsTheWholeTree) { expect_offered(*this, command_tree(), {}); }

TEST_F(CliTest, ANameMayEqualACommand) {
  EXPECT_EQ(nunet({"key", "new", "config"}).code, 0);
  EXPECT_EQ(nunet({"key", "new", "run"}).code, 0);
  EXPECT_EQ(world.ran, "");
}

TEST_F(CliTest, AKeyIsCreatedShownAndListed) {
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
  world.at_terminal = true;
  EXPECT_EQ(nunet({"key", "new", "user"}, "n\n").code, 1);
  EXPECT_EQ(nunet({"key", "new", "user"}, "").code, 1);
  EXPECT_EQ(must({"key", "did", "user"}), did);
  EXPECT_EQ(nunet({"key", "new", "user"}, "y\n").code, 0);
  EXPECT_NE(must({"key", "did", "user"}), did);
}

TEST_F(CliTest, ANewPassphraseIsPromptedTwiceAndMustMatch) {
  world.variables.erase("DMS_PASSPHRASE");
  EXPECT_THAT(nunet({"key", "new", "user"}).err, HasSubstr("DMS_PASSPHRASE")) << "there is no terminal";
  world.secrets = {"one", "two"};
  EXPECT_EQ(nunet({"key", "new", "user"}).code, 1);
  world.secrets = {"one", "one"};
  EXPECT_EQ(nunet({"key", "new", "user"}).code, 0);
  world.secrets = {"two"};
  EXPECT_EQ(nunet({"key", "did", "user"}).code, 1);
  world.secrets = {"one"};
  EXPECT_EQ(nunet({"key", "did", "user"}).code, 0);
  world.at_terminal = true;
  EXPECT_EQ(nunet({"key", "did", "user"}).code, 130) << "cancelled at the prompt";
}

TEST_F(CliTest, NamesCannotContainAPath) {
  for (const auto* name : {"../user", "/tmp/user", "", ".hidden", "a/b"})
    EXPECT_EQ(nunet({"key", "new", name}).code, 2) << name;
  EXPECT_EQ(nunet({"cap", "new", "../user"}).code, 2);
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
  EXPECT_EQ(nunet({"cap", "remove", "-c", "dms", "--root", user}).code, 1) << "it was removed";
  must({"cap", "remove", "-c", "dms", "--require", token});
  EXPECT_THAT(nunet({"cap", "list", "-c", "dms"}).out, Not(HasSubstr(user)));
}

TEST_F(CliTest, InvalidTokensAreNotAnchored) {
  must({"cap", "new", "user"});
  must({"cap", "new", "dms"});
  auto token = must({"cap", "grant", "--cap", "/dms/node", "--duration", "1h", must({"key", "did", "dms"})});
  token.replace(token.find("/dms/node"), 9, "/dms");
  const auto tampered = nunet({"cap", "anchor", "-c", "dms", "--require", token});
  EXPECT_EQ(tampered.code, 3);
  EXPECT_THAT(tampered.err, HasSubstr("signature"));
  const auto old = must({"cap", "grant", "--cap", "/dms", "--duration", "1h", must({"key", "did", "dms"})});
  world.time = world.time + Duration(2h);
  EXPECT_THAT(nunet({"cap", "anchor", "-c", "dms", "--require", old}).err, HasSubstr("expired"));
  EXPECT_EQ(nunet({"cap", "anchor", "-c", "dms", "--require", "nonsense"}).code, 2);
}

TEST_F(CliTest, GrantedCapabilitiesAreDelegatedAndRevoked) {
  must({"cap", "new", "org"});
  must({"cap", "new", "user"});
  must({"cap", "new", "guest"});
  const auto guest = must({"key", "did", "guest"});
  EXPECT_EQ(nunet({"cap", "delegate", "--cap", "/dms", "--duration", "1h", guest}).code, 3) << "nothing was granted";
  const auto given =
      must({"cap", "grant", "-c", "org", "--cap", "/dms", "--duration", "24h", must({"key", "did", "user"})});
  must({"cap", "anchor", "--provide", given});
  EXPECT_THAT(must({"cap", "delegate", "--cap", "/dms/node", "--auto-expire", guest}), HasSubstr("chain"));
  EXPECT_EQ(nunet({"cap", "delegate", "--cap", "/public", "--auto-expire", guest}).code, 3) << "wider than granted";
  EXPECT_THAT(must({"cap", "revoke", "-c", "org", given}), HasSubstr("\"revoke\""));
  EXPECT_EQ(nunet({"cap", "revoke", "-c", "user", given}).code, 3) << "not the issuer";
}

TEST_F(CliTest, SettingsAreChangedAndShownWithTheirOrigin) {
  world.variables.erase("DMS_GENERAL_WORK_DIR");
  expect_golden("config_list", nunet({"config", "list", "rest"}).out, world.home);
  EXPECT_EQ(must({"config", "get", "rest.port"}), "9999");
  must({"config", "set", "rest.port", "9998"});
  EXPECT_EQ(must({"config", "get", "rest.port"}), "9998");
  EXPECT_EQ(must({"config", "get", "rest.port", "--rest-port", "7"}), "7");
  EXPECT_EQ(nunet({"config", "set", "rest.port", "many"}).code, 2);
  EXPECT_THAT(nunet({"config", "get", "rest.prot"}).err, HasSubstr("rest.port"));
  EXPECT_EQ(must({"config", "get", "rest.port"}), "9998");
}

/// A device that is full.
struct FullDisk : std::streambuf {
  int sync() override { return -1; }
};

TEST_F(CliTest, OutputThatCannotBeWrittenIsAFailure) {
  must({"cap", "new", "user"});
  const auto code = [&](const std::vector<std::string>& words) {
    FullDisk full;
    std::istringstream in;
    std::ostream out(&full);
    std::ostringstream err;
    const int ended = run(words, {in, out, err}, world);
    EXPECT_THAT(err.str(), HasSubstr("standard output could not be written"));
    return ended;
  };
  const std::vector<std::string> grant{
      "cap", "grant", "--cap", "/public", "--duration", "1h", must({"key", "did", "user"})};
  for (const auto& words : std::vector<std::vector<std::string>>{
           grant, {"key", "did", "user"}, {"config", "list", "--json"}, {"version"}, {"--help"}, {"__complete", "con"}})
    EXPECT_EQ(code(words), 1) << words.front();
  EXPECT_EQ(code({"config", "set", "rest.prot", "1"}), 2) << "the command reports its own failure";
}

TEST_F(CliTest, SettingsWithoutEffectAreMarked) {
  EXPECT_THAT(nunet({"config", "list", "profiler"}).out, HasSubstr("6060   (no effect: there is no profiler)"));
  const auto listed = json::parse(nunet({"config", "list", "--json"}).out).value();
  EXPECT_FALSE(listed.at("profiler.port").at("effect").as_bool());
  EXPECT_TRUE(listed.at("rest.port").at("effect").as_bool());
  const auto result = nunet({"config", "set", "profiler.port", "1"});
  EXPECT_EQ(result.code, 0);
  EXPECT_THAT(result.err, HasSubstr("profiler.port has no effect: there is no profiler"));
}

TEST_F(CliTest, FlagsOverrideTheEnvironmentWhichOverridesTheFile) {
  EXPECT_EQ(must({"config", "get", "rest.port"}), "9999");
  must({"config", "set", "rest.port", "1"});
  EXPECT_EQ(must({"config", "get", "rest.port"}), "1");
  world.variables["DMS_REST_PORT"] = "2";
  EXPECT_EQ(must({"config", "get", "rest.port"}), "2");
  EXPECT_EQ(must({"config", "get", "rest.port", "--rest-port", "3"}), "3");
  EXPECT_THAT(nunet({"config", "set", "rest.port", "4"}).err, HasSubstr("DMS_REST_PORT or a flag overrides it"));
  ASSERT_TRUE(write_file(world.home / "named.json", R"({"rest":{"port":5}})"));
  world.variables.erase("DMS_REST_PORT");
  EXPECT_EQ(must({"--config", (world.home / "named.json").string(), "config", "get", "rest.port"}), "5");
  world.variables["DMS_REST_PORT"] = "many";
  EXPECT_THAT(nunet({"config", "get"}).err, HasSubstr("DMS_REST_PORT"));
  EXPECT_THAT(nunet({"config", "set", "rest.prot", "1"}).err, HasSubstr("did you mean rest.port?"));
}

TEST_F(CliTest, AnEditThatAnotherUserMayHavePlantedIsRefused) {
  const auto copy = world.home / ".nunet/dms_config.json.edit";
  const auto elsewhere = world.home / "elsewhere";
  ASSERT_TRUE(write_file(elsewhere, R"({"rest":{"port":6666}})"));
  std::filesystem::create_directories(copy.parent_path());
  world.edited = R"({"rest":{"port":1234}})";
  const auto expect_refused = [&] {
    const auto refused = nunet({"config", "edit"});
    EXPECT_EQ(refused.code, 1);
    EXPECT_THAT(refused.err, HasSubstr(copy.string() + " is not an earlier edit"));
    EXPECT_EQ(world.opened, "");
    EXPECT_EQ(read_file(elsewhere, 4096).value(), R"({"rest":{"port":6666}})");
  };
  std::filesystem::create_symlink(elsewhere, copy);
  expect_refused();
  std::filesystem::remove(copy);
  ASSERT_TRUE(write_file(copy, "{}", 0666));
  expect_refused();
  std::filesystem::remove(copy);
  must({"config", "edit"});
  EXPECT_EQ(must({"config", "get", "rest.port"}), "1234");
}
TEST_F(CliTest, EditedSettingsReplaceTheFileOnlyIfValid) {
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
  EXPECT_EQ(read_file(copy, 4096).value(), wrong) << "the edit is kept";
  world.edited = R"({"rest":{"port":1235}})";
  EXPECT_THAT(nunet({"config", "edit"}).err, HasSubstr("Continuing with the earlier edit"));
  EXPECT_EQ(world.opened, wrong);
  EXPECT_EQ(must({"config", "get", "rest.port"}), "1235");
  EXPECT_FALSE(std::filesystem::exists(copy));

  world.edited = "";
  EXPECT_THAT(nunet({"config", "edit"}).err, HasSubstr("the editor failed"));
  EXPECT_FALSE(std::filesystem::exists(copy)) << "there is no edit to keep";
  ASSERT_TRUE(write_file(file, "{"));
  EXPECT_EQ(nunet({"config", "get"}).code, 1);
  world.edited = "{}";
  must({"config", "edit"});
  EXPECT_EQ(world.opened, "{") << "an invalid file can be edited";
  EXPECT_EQ(must({"config", "get", "rest.port"}), "9999");
}

TEST_F(CliTest, WithoutADaemonTheErrorNamesTheNextStep) {
  must({"cap", "new", "user"});
  const auto result = nunet({"actor", "cmd", "/dms/node/peers/list"});
  EXPECT_EQ(result.code, 1);
  EXPECT_THAT(result.err, HasSubstr("nunet run"));
  EXPECT_EQ(world.called->rest.to_string(), "127.0.0.1:9999");
  nunet({"actor", "cmd", "/dms/node/peers/list", "--rest-port", "7000", "--rest-addr", "127.0.0.2"});
  EXPECT_EQ(world.called->rest.to_string(), "127.0.0.2:7000");
}

TEST_F(CliTest, RunUsesTheDaemonsKey) {
  EXPECT_EQ(nunet({"run"}).code, 1) << "there is no key";
  must({"key", "new", "dms"});
  EXPECT_EQ(nunet({"run"}).code, 0);
  EXPECT_EQ(world.ran, "dms");
}

TEST_F(CliTest, CommandsAndFlagsAreCompleted) {
  EXPECT_EQ(nunet({"__complete", "--", "ke"}).out, "key\n");
  EXPECT_EQ(nunet({"__complete", "--", "key", ""}).out, "did\nexport\nimport\nledger-alias\nlist\nnew\n");
  EXPECT_THAT(nunet({"__complete", "--", "deploy", "--"}).out, HasSubstr("--wait\n"));
  const auto behaviours = nunet({"__complete", "--", "actor", "cmd", "/"}).out;
  EXPECT_THAT(behaviours, HasSubstr("/dms/node/onboarding/onboard\n"));
  for (const char* unserved : {"subnet", "volume", "score", "peers/dht", "tokenomics"})
    EXPECT_THAT(behaviours, Not(HasSubstr(unserved)));
  for (const auto* shell : {"bash", "zsh", "fish"}) {
    EXPECT_THAT(nunet({"completion", shell}).out, HasSubstr("nunet __complete")) << shell;
    EXPECT_EQ(nunet({"autocomplete", shell}).code, 0);
  }
}

TEST_F(CliTest, ExistingKeysContextsDidsAndSettingsAreCompleted) {
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
  EXPECT_EQ(offered({"config", "get", "rest.p"}), "rest.port\n");
  EXPECT_EQ(offered({"completion", ""}), "bash\nfish\nzsh\n");
  EXPECT_EQ(offered({"autocomplete", "z"}), "zsh\n");
  EXPECT_EQ(offered({"--user-dir", (world.home / "other").string(), "key", "did", ""}), "")
      << "another folder has none";
  EXPECT_EQ(offered({"key", "did", "no", "such"}), "");
  EXPECT_EQ(world.prompts.size(), 0U);
}

TEST_F(CliTest, ASwitchIsTurnedOffByAValue) {
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

TEST_F(CliTest, TheVersionIsOnItsOwnLine) {
  EXPECT_THAT(nunet({"version"}).out, HasSubstr("\nVersion: " DMS_VERSION "\n"));
}

TEST(TimeText, DurationsAndDates) {
  EXPECT_EQ(parse_duration("t", "24h").value(), 24h);
  EXPECT_EQ(parse_duration("t", "1h30m").value(), 90min);
  EXPECT_EQ(parse_duration("t", "1.5s").value(), 1500ms);
  EXPECT_EQ(parse_duration("t", "90").value(), 90s);
  EXPECT_EQ(parse_duration("t", "7d").value(), 168h);
  for (const auto* bad : {"", "h", "-1h", "1x", "1h30", "nan", "inf", "1e30h", "0s"})
    EXPECT_FALSE(parse_duration("t", bad)) << bad;
  EXPECT_EQ(parse_duration("t", "0s", Duration(0)).value(), 0s);
  EXPECT_FALSE(parse_duration("t", "", Duration(0)));
  EXPECT_EQ(parse_duration("t", "0s").error().message(),
            "t: expected a time above zero, such as 90s, 30m, 24h or 7d, found \"0s\"");
  EXPECT_EQ(parse_duration("t", "59s", 60s).error().message(),
            "t: expected at least 60 s, such as 90s, 30m, 24h or 7d, found \"59s\"");
  EXPECT_EQ(format_time(parse_time("t", "2026-12-31").value()), "2026-12-31 00:00:00 UTC");
  EXPECT_EQ(format_time(parse_time("t", "2026-12-31T18:30:05Z").value()), "2026-12-31 18:30:05 UTC");
  EXPECT_EQ(format_time(parse_time("t", "2026-12-31T18:30+02:00").value()), "2026-12-31 16:30:00 UTC");
  for (const auto* bad :
       {"", "2026", "2026-02-30", "2026-12-31T25:00", "2026-12-31Tx", "1969-12-31", "2026-12-31T18:30Zz"})
    EXPECT_FALSE(parse_time("t", bad)) << bad;
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
