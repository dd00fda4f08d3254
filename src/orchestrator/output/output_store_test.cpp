#include "orchestrator/output/output_store.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>

#include "base/file.hpp"
#include "encoding/testing.hpp"
#include "orchestrator/output/results.hpp"
#include "simulation/sim_world.hpp"

namespace dms::orchestrator {
namespace {

std::filesystem::path make_folder() {
  std::string name = (std::filesystem::temp_directory_path() / "nunet-output-XXXXXX").string();
  EXPECT_NE(::mkdtemp(name.data()), nullptr);
  return name;
}

struct OutputStoreTest : testing::Test {
  ~OutputStoreTest() override {
    std::error_code ignored;
    std::filesystem::remove_all(work_dir, ignored);
  }
  template <class T>
  T run(Task<T> task) {
    return world.run(node, std::move(task));
  }
  std::string text(const std::string& allocation, const char* file) {
    return read_file(store.folder("d1", allocation) / file, 1 << 20).value_or("nothing");
  }
  SimWorld world{1};
  SimNode& node = world.add_node("orchestrator");
  std::filesystem::path work_dir = make_folder();
  OutputStore store{work_dir};
};

TEST_F(OutputStoreTest, OutputIsReplacedWhole) {
  EXPECT_TRUE(run(store.find("d1", "web")).error().is(Errc::not_found));
  ASSERT_TRUE(run(store.write("d1", "web", to_bytes("a long first output"), to_bytes("error"))));
  ASSERT_TRUE(run(store.write("d1", "web", to_bytes("short"), {})));
  EXPECT_EQ(run(store.find("d1", "web")).value(), work_dir / "deployments/d1/web");
  EXPECT_EQ(text("web", "stdout.log"), "short");
  EXPECT_EQ(text("web", "stderr.log"), "");
}

TEST_F(OutputStoreTest, AStreamGrowsByPagesFromWhereItEnds) {
  ASSERT_TRUE(run(store.begin("d1", "web", "")));
  EXPECT_EQ(run(store.position("d1", "web", Stream::out)).value(), 0u);
  ASSERT_TRUE(run(store.append("d1", "web", Stream::out, 0, to_bytes("one\n"))));
  ASSERT_TRUE(run(store.append("d1", "web", Stream::out, 4, to_bytes("two\n"))));
  EXPECT_EQ(run(store.position("d1", "web", Stream::out)).value(), 8u);
  EXPECT_EQ(run(store.position("d1", "web", Stream::err)).value(), 0u);
  EXPECT_EQ(text("web", "stdout.log"), "one\ntwo\n");
  EXPECT_FALSE(run(store.append("d1", "web", Stream::out, 4, to_bytes("two\n")))) << "what is stored is not repeated";
  ASSERT_TRUE(run(store.begin("d1", "web", "")));
  EXPECT_EQ(text("web", "stdout.log"), "") << "another run";
}

TEST_F(OutputStoreTest, WhatTheRunBeforeHasWrittenIsSetAside) {
  const std::string before = std::string("web") + std::string(OutputStore::kPrevious);
  ASSERT_TRUE(run(store.begin("d1", "web", "")));
  EXPECT_TRUE(run(store.previous_run("d1", "web")).error().is(Errc::not_found)) << "there is nothing yet";
  ASSERT_TRUE(run(store.append("d1", "web", Stream::out, 5, to_bytes("first\n"))));
  EXPECT_TRUE(run(store.has_output("d1", "web")).value());
  ASSERT_TRUE(run(store.begin("d1", "web", "run1")));
  EXPECT_EQ(run(store.previous_run("d1", "web")).value(), "run1");
  EXPECT_FALSE(run(store.has_output("d1", "web")).value());
  EXPECT_EQ(run(store.position("d1", "web", Stream::out)).value(), 0u);
  const StoredPage page = run(store.read("d1", before, Stream::out, 0, 100)).value();
  EXPECT_EQ(page.offset, 5u) << "with its gaps";
  EXPECT_EQ(as_text(page.data), "first\n");
  ASSERT_TRUE(run(store.begin("d1", "web", "run2")));
  EXPECT_EQ(run(store.previous_run("d1", "web")).value(), "run1") << "a run without output leaves what is set aside";
  ASSERT_TRUE(run(store.append("d1", "web", Stream::err, 0, to_bytes("third\n"))));
  ASSERT_TRUE(run(store.begin("d1", "web", "run3")));
  EXPECT_EQ(run(store.previous_run("d1", "web")).value(), "run3");
  EXPECT_EQ(as_text(run(store.read("d1", before, Stream::err, 0, 100)).value().data), "third\n");
  EXPECT_EQ(text("web/previous", "stdout.log"), "") << "of the run before only";
}

TEST_F(OutputStoreTest, WhatIsSetAsideIsWholeWhereverItIsInterrupted) {
  const std::filesystem::path folder = store.folder("d1", "web");
  const std::filesystem::path next = folder / "previous.new";
  for (int moved = 0; moved <= 3; ++moved) {
    ASSERT_TRUE(run(store.begin("d1", "web", "")));
    ASSERT_TRUE(run(store.append("d1", "web", Stream::out, 5, to_bytes("out\n"))));
    ASSERT_TRUE(run(store.append("d1", "web", Stream::err, 0, to_bytes("err\n"))));
    std::filesystem::create_directory(next);
    ASSERT_TRUE(write_file(next / "run", fmt::format("run{}", moved)));
    const char* const files[] = {"stdout.log", "stdout.gaps", "stderr.log"};
    for (int i = 0; i < moved; ++i) std::filesystem::rename(folder / files[i], next / files[i]);
    ASSERT_TRUE(run(store.begin("d1", "web", fmt::format("run{}", moved))));
    EXPECT_EQ(run(store.previous_run("d1", "web")).value(), fmt::format("run{}", moved));
    EXPECT_EQ(text("web/previous", "stdout.log"), "[5 bytes were dropped here]\nout\n");
    EXPECT_EQ(text("web/previous", "stderr.log"), "err\n");
    EXPECT_FALSE(run(store.has_output("d1", "web")).value());
    EXPECT_FALSE(std::filesystem::exists(next));
  }
}

TEST_F(OutputStoreTest, WhatIsLeftOfAnotherRunIsNotMixedIn) {
  const std::filesystem::path next = store.folder("d1", "web") / "previous.new";
  ASSERT_TRUE(run(store.begin("d1", "web", "")));
  ASSERT_TRUE(run(store.append("d1", "web", Stream::out, 0, to_bytes("run2\n"))));
  std::filesystem::create_directory(next);
  ASSERT_TRUE(write_file(next / "run", "run1"));
  ASSERT_TRUE(write_file(next / "stderr.log", "run1\n"));
  ASSERT_TRUE(run(store.begin("d1", "web", "run2")));
  EXPECT_EQ(run(store.previous_run("d1", "web")).value(), "run2");
  EXPECT_EQ(text("web/previous", "stderr.log"), "");
}

TEST_F(OutputStoreTest, BytesThatWereDroppedAreMarkedAndOffsetsStayThoseOfTheStream) {
  ASSERT_TRUE(run(store.begin("d1", "web", "")));
  ASSERT_TRUE(run(store.append("d1", "web", Stream::out, 0, to_bytes("begin"))));
  ASSERT_TRUE(run(store.append("d1", "web", Stream::out, 105, to_bytes("middle\n"))));
  ASSERT_TRUE(run(store.append("d1", "web", Stream::out, 200, to_bytes("end"))));
  EXPECT_EQ(text("web", "stdout.log"),
            "begin\n[100 bytes were dropped here]\nmiddle\n[88 bytes were dropped here]\nend");
  EXPECT_EQ(run(store.position("d1", "web", Stream::out)).value(), 203u);
  const auto page = [&](std::uint64_t offset, std::size_t most = 100) {
    const StoredPage read = run(store.read("d1", "web", Stream::out, offset, most)).value();
    EXPECT_EQ(read.total_size, 203u);
    return fmt::format("{}:{}", read.offset, as_text(read.data));
  };
  EXPECT_EQ(page(0), "0:begin");
  EXPECT_EQ(page(2, 2), "2:gi");
  EXPECT_EQ(page(5), "105:middle\n");
  EXPECT_EQ(page(107, 3), "107:ddl");
  EXPECT_EQ(page(150), "200:end");
  EXPECT_EQ(page(202), "202:d");
  EXPECT_EQ(page(203), "203:");
  EXPECT_EQ(page(9999), "203:");
}

TEST_F(OutputStoreTest, FilesOfAnEarlierReleaseAreReadAndContinued) {
  const std::filesystem::path folder = store.folder("d1", "web");
  std::filesystem::create_directories(folder.parent_path());
  std::filesystem::copy(test::kVectors / "records/output", folder, std::filesystem::copy_options::recursive);
  EXPECT_TRUE(run(store.has_output("d1", "web")).value());
  EXPECT_EQ(run(store.position("d1", "web", Stream::out)).value(), 19u);
  EXPECT_EQ(run(store.position("d1", "web", Stream::err)).value(), 0u);
  ASSERT_TRUE(run(store.append("d1", "web", Stream::out, 19, to_bytes("more\n"))));
  StoredPage page = run(store.read("d1", "web", Stream::out, 0, 100)).value();
  EXPECT_EQ(as_text(page.data), "begin\n1\n");
  EXPECT_EQ(page.total_size, 24u);
  page = run(store.read("d1", "web", Stream::out, 8, 100)).value();
  EXPECT_EQ(page.offset, 13u);
  EXPECT_EQ(as_text(page.data), "4\nend\nmore\n");
  const std::string before = std::string("web") + std::string(OutputStore::kPrevious);
  EXPECT_EQ(run(store.previous_run("d1", "web")).value(), "5d1e6bfae92f43f0a0a9c2f7a8a0f6e1");
  EXPECT_EQ(as_text(run(store.read("d1", before, Stream::out, 0, 100)).value().data), "begin\n1\n2\n");
  EXPECT_EQ(as_text(run(store.read("d1", before, Stream::err, 0, 100)).value().data), "warning\n");
  const auto results = run(stored_results(folder));
  ASSERT_TRUE(results) << results.error().to_string();
  ASSERT_EQ(results->size(), 1u);
  EXPECT_EQ(results->at(0).name, "word");
  EXPECT_EQ(results->at(0).size, 6u);
  protocol::DeploymentLogsRequest request;
  request.stream = "result:word";
  const auto result = run(result_page(folder, request));
  ASSERT_TRUE(result) << result.error().to_string();
  EXPECT_EQ(as_text(result->data), "whole\n");
}

TEST_F(OutputStoreTest, AStreamAboveItsLimitKeepsItsNewestHalf) {
  OutputStore small(work_dir, 200);
  ASSERT_TRUE(run(small.begin("d1", "web", "")));
  const auto letter = [](std::uint64_t offset) { return static_cast<char>('a' + offset / 10 % 26); };
  std::uint64_t offset = 0;
  for (int i = 0; i < 100; ++i) {
    if (i % 7 == 6) offset += 5;  // the provider has dropped some
    ASSERT_TRUE(run(small.append("d1", "web", Stream::out, offset, to_bytes(std::string(10, letter(offset))))));
    offset += 10;
    EXPECT_EQ(run(small.position("d1", "web", Stream::out)).value(), offset);
    EXPECT_LE(text("web", "stdout.log").size(), 300u);
  }
  EXPECT_TRUE(text("web", "stdout.log").starts_with("["));
  const StoredPage newest = run(small.read("d1", "web", Stream::out, offset - 10, 10)).value();
  EXPECT_EQ(as_text(newest.data), std::string(10, letter(offset - 10)));
  std::uint64_t kept = 0;
  for (std::uint64_t at = 0; at < offset;) {
    const StoredPage page = run(small.read("d1", "web", Stream::out, at, 10)).value();
    ASSERT_FALSE(page.data.empty());
    kept += page.data.size();
    at = page.offset + page.data.size();
  }
  EXPECT_GE(kept, 30u);
  EXPECT_LE(kept, 200u);
}

TEST_F(OutputStoreTest, AStreamThatIsShortenedIsTheOldOrTheNewOneWhereverItIsKilled) {
  OutputStore small(work_dir, 200);
  const std::filesystem::path log = store.folder("d1", "web") / "stdout.log";
  const std::filesystem::path gaps = store.folder("d1", "web") / "stdout.gaps";
  const auto next = [](std::filesystem::path path) { return path += ".new"; };
  const auto content = [](const std::filesystem::path& path) { return read_file(path, 1 << 20).value(); };
  const auto letters = [](std::uint64_t offset) { return std::string(10, static_cast<char>('a' + offset / 10 % 26)); };
  std::uint64_t offset = 0;
  std::string old_log;
  std::string old_gaps;
  const auto append = [&] { return run(small.append("d1", "web", Stream::out, offset, to_bytes(letters(offset)))); };
  // Up to the append that shortens it, behind a gap that stays and one that goes.
  ASSERT_TRUE(run(small.begin("d1", "web", "")));
  for (int i = 0;; ++i) {
    if (i == 2 || i == 8) offset += 100;
    if (i > 8) {
      old_log = content(log);
      old_gaps = content(gaps);
    }
    ASSERT_TRUE(append());
    if (i > 8 && content(gaps) != old_gaps) break;
    offset += 10;
  }
  const std::string new_gaps = content(gaps);
  std::string new_log = content(log);
  new_log.resize(new_log.size() - 10);  // without what was appended behind
  const auto text_of = [&] {
    std::string text;
    for (std::uint64_t at = offset - 30; at < offset + 10;) {
      const StoredPage page = run(small.read("d1", "web", Stream::out, at, 100)).value();
      if (page.data.empty()) break;
      text += as_text(page.data);
      at = page.offset + page.data.size();
    }
    return text;
  };
  const std::string newest = letters(offset - 30) + letters(offset - 20) + letters(offset - 10) + letters(offset);
  struct State {
    std::string log, gaps, next_log, next_gaps;
  };
  const State killed[] = {{old_log, old_gaps, new_log.substr(0, 20), ""},
                          {old_log, old_gaps, new_log, ""},
                          {old_log, old_gaps, new_log, new_gaps},
                          {new_log, old_gaps, "", new_gaps},
                          {new_log, new_gaps, "", ""},
                          {old_log, old_gaps, new_log.substr(0, 20), new_gaps}};  // killed twice
  for (const State& state : killed) {
    for (const auto& [path, text] : {std::pair(log, state.log), std::pair(gaps, state.gaps),
                                     std::pair(next(log), state.next_log), std::pair(next(gaps), state.next_gaps)}) {
      std::filesystem::remove(path);
      if (text.empty()) continue;
      ASSERT_TRUE(write_file(path, text));
    }
    EXPECT_EQ(run(small.position("d1", "web", Stream::out)).value(), offset) << "nothing is fetched anew";
    ASSERT_TRUE(append());
    EXPECT_EQ(text_of(), newest);
    EXPECT_EQ(content(log), new_log + letters(offset));
    EXPECT_EQ(content(gaps), new_gaps);
  }
  // A shortening that was interrupted is finished before the stream is set aside.
  std::filesystem::remove(next(log));
  ASSERT_TRUE(write_file(log, new_log));
  ASSERT_TRUE(write_file(gaps, old_gaps));
  ASSERT_TRUE(write_file(next(gaps), new_gaps));
  ASSERT_TRUE(run(small.begin("d1", "web", "run")));
  EXPECT_EQ(content(store.folder("d1", "web") / "previous/stdout.gaps"), new_gaps);
  std::ofstream(next(log)) << "left";
  ASSERT_TRUE(run(small.begin("d1", "web", "")));
  EXPECT_FALSE(std::filesystem::exists(next(log))) << "another run leaves nothing of this one";
}

TEST_F(OutputStoreTest, GapsWithoutEndStayReadable) {
  const std::filesystem::path folder = store.folder("d1", "web");
  ASSERT_TRUE(run(store.begin("d1", "web", "")));
  std::string list;
  std::string log;
  std::uint64_t offset = 1'000'000'000'000;
  for (int i = 0; i < 8192; ++i) {
    list += fmt::format("{}{{\"at\":{},\"mark\":2,\"offset\":{}}}", i == 0 ? "[" : ",", log.size(), offset);
    log += "[]x";
    offset += 10;
  }
  ASSERT_TRUE(write_file(folder / "stdout.gaps", list + "]"));
  ASSERT_TRUE(write_file(folder / "stdout.log", log));
  for (int i = 0; i < 3; ++i, offset += 10)
    ASSERT_TRUE(run(store.append("d1", "web", Stream::out, offset, to_bytes("y"))));
  EXPECT_EQ(run(store.position("d1", "web", Stream::out)).value(), offset - 9);
  EXPECT_EQ(as_text(run(store.read("d1", "web", Stream::out, offset - 10, 10)).value().data), "y");
  EXPECT_LT(text("web", "stdout.gaps").size(), list.size());
}

TEST_F(OutputStoreTest, AMarkThatACrashHasCutShortIsWrittenAnew) {
  for (std::size_t cut = 0; cut <= 8; ++cut) {
    ASSERT_TRUE(run(store.begin("d1", "web", "")));
    ASSERT_TRUE(run(store.append("d1", "web", Stream::out, 0, to_bytes("begin\n"))));
    ASSERT_TRUE(run(store.append("d1", "web", Stream::out, 100, to_bytes("end"))));
    const auto file = store.folder("d1", "web") / "stdout.log";
    std::filesystem::resize_file(file, 6 + cut);
    EXPECT_EQ(run(store.position("d1", "web", Stream::out)).value(), 6u);
    ASSERT_TRUE(run(store.append("d1", "web", Stream::out, 100, to_bytes("end"))));
    EXPECT_EQ(text("web", "stdout.log"), "begin\n[94 bytes were dropped here]\nend");
  }
}

TEST_F(OutputStoreTest, RemovingADeploymentLeavesTheOthers) {
  ASSERT_TRUE(run(store.write("d1", "web", to_bytes("1"), {})));
  ASSERT_TRUE(run(store.write("d2", "web", to_bytes("2"), {})));
  ASSERT_TRUE(run(store.remove("d1")));
  ASSERT_TRUE(run(store.remove("d1"))) << "removing nothing is no error";
  EXPECT_FALSE(run(store.find("d1", "web")));
  EXPECT_TRUE(run(store.find("d2", "web")));
}

TEST_F(OutputStoreTest, AFolderThatCannotBeMadeIsAnErrorThatNamesIt) {
  ASSERT_TRUE(write_file(work_dir / "deployments", "a file is in the way"));
  const Result<void> written = run(store.write("d1", "web", to_bytes("1"), {}));
  ASSERT_FALSE(written);
  EXPECT_NE(written.error().to_string().find("deployments"), std::string::npos) << written.error().to_string();
}

}  // namespace
}  // namespace dms::orchestrator
