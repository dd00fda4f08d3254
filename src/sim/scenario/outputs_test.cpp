// Whether what is collected is what runs have printed: files that an orchestrator has written, and others.
#include "sim/scenario/outputs.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>

#include "base/file.hpp"
#include "orchestrator/output/stream_file.hpp"

namespace dms::sim {
namespace {

using orchestrator::StreamFile;

constexpr const char* kOut = "1 one\n2 two\n3 three\n";
constexpr const char* kErr = "! trouble\n";

struct OutputsTest : testing::Test {
  OutputsTest() {
    std::string name = (std::filesystem::temp_directory_path() / "nunet-outputs-XXXXXX").string();
    if (::mkdtemp(name.data()) != nullptr) root = name;
    outputs.deploys("e", root);
    outputs.begins("e_a", "run-1", kOut, kErr);
    std::filesystem::create_directories(folder());
  }
  ~OutputsTest() override {
    std::error_code ignored;
    std::filesystem::remove_all(root, ignored);
  }
  [[nodiscard]] std::filesystem::path folder() const { return root / "deployments" / "e" / "a"; }
  void append(orchestrator::Stream stream, std::uint64_t offset, std::string_view text) const {
    const bool is_out = stream == orchestrator::Stream::out;
    std::ofstream(folder() / (is_out ? "stdout.log" : "stderr.log"), std::ios::app).close();  // as the store makes it
    const Bytes data = to_bytes(text);
    const Result<void> appended = StreamFile(folder(), stream).append(offset, data);
    EXPECT_TRUE(appended) << appended.error().to_string();
  }
  void out(std::uint64_t offset, std::string_view text) const { append(orchestrator::Stream::out, offset, text); }
  void err(std::uint64_t offset, std::string_view text) const { append(orchestrator::Stream::err, offset, text); }
  [[nodiscard]] std::vector<std::string> found() {
    std::vector<std::string> about;
    for (const auto& [what, wrong] : outputs.check(now)) about.push_back(what);
    return about;
  }
  using Found = std::vector<std::string>;

  std::filesystem::path root;
  SteadyTime now{100s};
  Outputs outputs;
};

TEST_F(OutputsTest, PartsOfWhatIsPrintedAreRight) {
  EXPECT_EQ(found(), Found{}) << "nothing is collected";
  out(0, "");
  EXPECT_EQ(found(), Found{});
  out(0, "1 one\n2 t");
  EXPECT_EQ(found(), Found{});
  out(9, "wo\n3 three\n");
  err(0, kErr);
  EXPECT_EQ(found(), Found{});
}

TEST_F(OutputsTest, WhatWasDroppedIsRightIfItIsSaid) {
  out(0, "1 one\n");
  out(12, "3 three\n");
  EXPECT_EQ(found(), Found{});
  err(2, "trouble\n");
  EXPECT_EQ(found(), Found{});
}

TEST_F(OutputsTest, WhatIsMissingWithoutAWordIsFound) {
  out(0, "1 one\n3 three\n");
  EXPECT_EQ(found(), Found{"e_a stdout"});
}

TEST_F(OutputsTest, BytesAtAnotherOffsetAreFound) {
  out(0, "1 one\n");
  out(13, "3 three\n");
  EXPECT_EQ(found(), Found{"e_a stdout"});
}

TEST_F(OutputsTest, MoreThanIsPrintedIsFound) {
  err(0, kErr);
  EXPECT_EQ(found(), Found{});
  err(std::string_view(kErr).size(), "!");
  EXPECT_EQ(found(), Found{"e_a stderr"});
}

TEST_F(OutputsTest, TheOtherStreamIsFound) {
  err(0, kOut);
  out(0, kErr);
  EXPECT_EQ(found(), (Found{"e_a stderr", "e_a stdout"}));
}

TEST_F(OutputsTest, TwoRunsInOneFileAreFound) {
  outputs.begins("e_a", "run-2", "second run, 1 one\n", "");
  out(0, "second run");
  EXPECT_EQ(found(), Found{});
  out(10, std::string_view(kOut).substr(10));
  EXPECT_EQ(found(), Found{"e_a stdout"});
}

TEST_F(OutputsTest, AChangeOfTheSameSizeIsFoundWhenTheDeploymentHasEnded) {
  out(0, "1 one\n");
  EXPECT_EQ(found(), Found{});
  ASSERT_TRUE(write_file(folder() / "stdout.log", "1 0ne\n"));
  outputs.has_ended("e", now);
  EXPECT_EQ(found(), Found{});
  now += Outputs::kLastLook;
  EXPECT_EQ(found(), Found{"e_a stdout"});
  EXPECT_EQ(outputs.size(), 0u) << "it is forgotten";
}

TEST_F(OutputsTest, WhatARunHadPrintedAtItsEndIsMissingUntilAllOfItIsHere) {
  EXPECT_FALSE(outputs.missing("run-1", folder())) << "it has not ended";
  outputs.ends("run-1", "1 one\n2 two\n", kErr);
  EXPECT_EQ(outputs.missing("run-1", folder()), "stdout has 0 of 12 bytes, stderr has 0 of 10 bytes");
  err(0, kErr);
  out(0, "1 one\n");
  EXPECT_EQ(outputs.missing("run-1", folder()), "stdout has 6 of 12 bytes");
  out(6, "2 two\n");
  EXPECT_EQ(outputs.missing("run-1", folder()), "");
  out(12, "3 three\n");
  EXPECT_EQ(outputs.missing("run-1", folder()), "stdout has 20 of 12 bytes");
}

TEST_F(OutputsTest, WhatWasDroppedIsNotMissingIfItIsSaid) {
  outputs.ends("run-1", kOut, kErr);
  out(6, "2 two\n3 three\n");
  ASSERT_TRUE(write_file(folder() / "stderr.log", "trouble\n"));
  EXPECT_EQ(outputs.missing("run-1", folder()), "stderr has 8 of 10 bytes");
}

TEST_F(OutputsTest, TheOutputOfAnotherRunIsNotThatOfTheLast) {
  out(0, kOut);
  outputs.ends("run-2", "1 two\n2 two\n3 three\n", "");
  EXPECT_EQ(outputs.missing("run-2", folder()), "stdout has 20 of 20 bytes, and others than it has printed");
  outputs.ends("run-3", "", "");
  EXPECT_EQ(outputs.missing("run-3", folder()), "") << "it has printed nothing";
}

TEST_F(OutputsTest, OneThatNobodyIsKnownToOrchestrateIsNotLookedAt) {
  outputs.begins("f_a", "run", "text", "");
  EXPECT_EQ(found(), Found{});
  EXPECT_EQ(outputs.size(), 2u);
}

}  // namespace
}  // namespace dms::sim
