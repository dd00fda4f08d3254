#include "jobs/ensemble/references.hpp"

#include <gtest/gtest.h>

#include "jobs/ensemble/ensemble.hpp"

namespace dms::jobs {
namespace {

/// A machine with a few files and variables.
References machine() {
  return {.file = [](const std::string& path) -> Result<std::string> {
            static const std::map<std::string, std::string> kFiles = {{"/tmp/tok", "s3cret"},
                                                                      {"setup.sh", "#!/bin/sh\necho ${env:TOKEN}\n"},
                                                                      {"one-line.sh", "true"},
                                                                      {"binary", std::string("\x7f\xff\0", 3)},
                                                                      {"/home/alice/id.pub", "ssh-ed25519 AAAA\n"}};
            const auto found = kFiles.find(path);
            if (found == kFiles.end()) return fail(Errc::not_found, "{}: no such file", path);
            return found->second;
          },
          .variable = [](const std::string& name) -> std::optional<std::string> {
            if (name == "TOKEN") return "t";
            if (name == "HOME") return "/home/alice";
            if (name == "EMPTY") return "";
            return std::nullopt;
          }};
}

std::string resolved(std::string_view text) {
  json::Value value = boost::json::string(text);
  const auto outcome = resolve_references(value, machine());
  return outcome ? std::string(value.get_string()) : outcome.error().to_string();
}

TEST(References, AreFilledIn) {
  EXPECT_EQ(resolved("${file:/tmp/tok}"), "s3cret");
  EXPECT_EQ(resolved("a ${env:TOKEN}-${file:/tmp/tok} z"), "a t-s3cret z");
  EXPECT_EQ(resolved("${file:${env:HOME}/id.pub}"), "ssh-ed25519 AAAA\n") << "one inside the other";
  EXPECT_EQ(resolved("${file:setup.sh}"), "#!/bin/sh\necho ${env:TOKEN}\n") << "what is filled in is not read again";
}

TEST(References, ADefaultReplacesWhatIsMissing) {
  EXPECT_EQ(resolved("${env:NOPE:-d}"), "d");
  EXPECT_EQ(resolved("${env:EMPTY:-d}"), "d");
  EXPECT_EQ(resolved("${env:TOKEN:-d}"), "t");
  EXPECT_EQ(resolved("${file:nope:-}"), "");
  EXPECT_EQ(resolved("${env:NOPE:-${env:TOKEN}}"), "t");
}

TEST(References, ShellExpansionsAreKept) {
  for (const std::string_view text : {"${HOME}", "$HOME", "${x:-y}", "${file:-y}", "${env:=y}", "${file:0:3}",
                                      "${env:+x}", "${file:", "${env:}", "$", "${", "${}", "}", "{{ .Names }}"})
    EXPECT_EQ(resolved(text), text);
}

TEST(References, WhatIsNotClosedIsReadOnce) {
  std::string open;
  for (int i = 0; i < 200'000; ++i) open += "${env:";
  EXPECT_EQ(resolved(open), open);
  EXPECT_EQ(resolved(open + "TOKEN}"), open.substr(0, open.size() - 6) + "t");
  const std::string shell = "${x:-" + open + "}";
  EXPECT_EQ(resolved(shell), shell);
}

TEST(References, EveryMissingReferenceIsReportedWithItsPlace) {
  json::Value value = *json::parse(R"({"a":["${env:NOPE}","${env:EMPTY}"],"b":{"c":"x${file:nope}${file:binary}"}})");
  EXPECT_EQ(resolve_references(value, machine()).error().to_string(),
            "4 problems:\n"
            "  a[0]: ${env:NOPE}: the variable NOPE is not set\n"
            "  a[1]: ${env:EMPTY}: the variable EMPTY is not set\n"
            "  b.c: ${file:nope}: nope: no such file\n"
            "  b.c: ${file:binary}: not text in UTF-8");
}

TEST(References, NestingIsBounded) {
  std::string deep = "x";
  for (int i = 0; i < 100; ++i) deep = "${file:" + deep + "}";
  EXPECT_NE(resolved(deep).find("nested deeper"), std::string::npos) << resolved(deep);
  std::string open;
  for (int i = 0; i < 5'000; ++i) open += "${env:";
  EXPECT_EQ(resolved(open), open) << "an unclosed placeholder is cheap";
}

constexpr std::string_view kEnsemble = R"(
version: "V1"
scripts:
  named: setup.sh
  placed: "${file:one-line.sh}"
  binary: binary
  written: |
    echo ${env:TOKEN} ${HOME}
allocations:
  hello:
    executor: sandbox
    type: task
    resources: {cpu: {cores: "${env:CORES:-2}"}, ram: {size: 1}, disk: {size: 1}}
    execution: {type: sandbox, cmd: [sh, -c, "echo $A $B"], environment: {A: "${file:/tmp/tok}", B: "${env:TOKEN}"}}
    keys: [{type: ssh, file: /home/alice/id.pub}, "${file:${env:HOME}/id.pub}"]
nodes:
  here: {allocations: [hello]}
)";

TEST(References, AreResolvedWhileAnEnsembleIsRead) {
  const auto ensemble = Ensemble::parse_yaml(kEnsemble, machine());
  ASSERT_TRUE(ensemble) << ensemble.error().to_string();
  const Allocation& hello = ensemble->allocations.at("hello");
  EXPECT_EQ(json::write(*hello.execution.params.if_contains("environment")), R"(["A=s3cret","B=t"])");
  EXPECT_EQ(hello.resources.cpu.cores.millis, 2000U);
  EXPECT_EQ(hello.keys[0].file, "ssh-ed25519 AAAA\n");
  EXPECT_EQ(hello.keys[1].file, "ssh-ed25519 AAAA\n");
  EXPECT_EQ(as_text(ensemble->scripts.at("named")), "#!/bin/sh\necho ${env:TOKEN}\n");
  EXPECT_EQ(as_text(ensemble->scripts.at("placed")), "true") << "text, not the name of a file";
  EXPECT_EQ(as_text(ensemble->scripts.at("written")), "echo t ${HOME}\n");
  EXPECT_EQ(ensemble->scripts.at("binary").size(), 3U);
}

TEST(References, MissingFilesOfAnEnsembleAreReportedWithTheirPlaces) {
  const std::string text = fmt::format("{}metadata: {{a: \"${{file:gone}}\"}}\n", kEnsemble);
  References empty = machine();
  empty.file = [](const std::string& path) { return fail(Errc::not_found, "{}: no such file", path); };
  const auto ensemble = Ensemble::parse_yaml(text, empty);
  ASSERT_FALSE(ensemble);
  const std::string message = ensemble.error().to_string();
  for (const std::string_view part :
       {"scripts.named: setup.sh: no such file: expected a file, or the text itself in several lines",
        "allocations.hello.keys[0]: /home/alice/id.pub: no such file",
        "allocations.hello.execution.environment.A: ${file:/tmp/tok}: /tmp/tok: no such file",
        "metadata.a: ${file:gone}: gone: no such file"})
    EXPECT_NE(message.find(part), std::string::npos) << part << "\n" << message;
}

}  // namespace
}  // namespace dms::jobs
