// Uploads of inputs to a daemon that keeps what it is sent.
#include "cli/client/upload.hpp"

#include <gmock/gmock.h>

#include "cli/commands/test_daemon.hpp"
#include "encoding/multibase.hpp"
#include "protocol/transfer.hpp"
#include "transfer/archive.hpp"
#include "transfer/local_pages.hpp"

namespace dms::cli {
namespace {

using actor::Envelope;
using testing::HasSubstr;

struct UploadTest : DaemonTest {
  std::map<std::string, Bytes> received;  ///< by digest
  std::size_t takes = transfer::kLocalPage;
  std::size_t pages = 0;
  std::size_t most_pages = 100;
  std::optional<std::size_t> ticket_ends;  ///< after so many pages, once
  std::function<void()> on_page = [] {};
  jobs::Ensemble ensemble;
  std::filesystem::path folder = world.home / "project";

  UploadTest() {
    answer = [this](const Envelope& e) { return json::encode(state(e)); };
    world.daemon = [this](const HttpRequest& r) { return r.path().starts_with(api::kFilePath) ? take(r) : serve(r); };
  }

  /// The ticket of a file is its digest.
  protocol::DeploymentInputReply state(const Envelope& e) {
    const auto asked = json::decode<protocol::DeploymentInputRequest>(e.message).value();
    EXPECT_TRUE(asked.local);
    const Bytes& file = received[asked.digest];
    protocol::DeploymentInputReply reply;
    reply.offset = file.size();
    reply.complete = file.size() == asked.size && encode(Base::hex, crypto::sha256(file)) == asked.digest;
    if (!reply.complete) reply.ticket = asked.digest;
    return reply;
  }
  HttpResponse take(const HttpRequest& request) {
    if (ticket_ends == pages) {
      ticket_ends.reset();
      return {404, R"({"error":"no file is open under this ticket"})"};
    }
    if (pages == most_pages) return {409, R"({"error":"the disk is full"})"};
    ++pages;
    Bytes& file = received.at(std::string(request.path().substr(api::kFilePath.size())));
    EXPECT_EQ(request.query("offset"), std::to_string(file.size()));
    const BytesView page = as_bytes(request.body).first(std::min(takes, request.body.size()));
    file.insert(file.end(), page.begin(), page.end());
    on_page();
    return {200, fmt::format(R"({{"offset":{}}})", file.size())};
  }
  jobs::Input& add(const std::string& file, const std::string& to = "in") {
    ensemble.allocations["work"].inputs.push_back({.to = to, .file = file});
    return ensemble.allocations["work"].inputs.back();
  }
  Result<void> upload() {
    std::istringstream in;
    Session session({in, out, err}, world, command_tree(), {});
    TRY(auto client, Client::open(session, "user"));
    return upload_inputs(session, client, ensemble, EnsembleFiles(folder, false));
  }
  std::ostringstream out;
  std::ostringstream err;
};

TEST_F(UploadTest, AFileIsSentInPagesUnderItsDigest) {
  const std::string text(2'500'000, 'x');
  ASSERT_TRUE(write_file(folder / "data.bin", text));
  jobs::Input& input = add("data.bin");
  const auto done = upload();
  ASSERT_TRUE(done) << done.error().to_string();
  EXPECT_EQ(input.size, text.size());
  EXPECT_FALSE(input.folder);
  EXPECT_TRUE(as_text(received.at(input.digest)) == text);
  EXPECT_EQ(pages, 3U);
  EXPECT_TRUE(upload());
  EXPECT_EQ(pages, 3U) << "it is there already";
}

TEST_F(UploadTest, AnInterruptedUploadContinues) {
  ASSERT_TRUE(write_file(folder / "data.bin", std::string(2'500'000, 'x')));
  const jobs::Input& input = add("data.bin");
  most_pages = 2;
  EXPECT_THAT(upload().error().to_string(), HasSubstr("the disk is full"));
  most_pages = 100;
  pages = 0;
  EXPECT_TRUE(upload());
  EXPECT_EQ(received.at(input.digest).size(), input.size);
  EXPECT_EQ(pages, 1U);
}

TEST_F(UploadTest, AnInterruptEndsIt) {
  ASSERT_TRUE(write_file(folder / "data.bin", std::string(2'500'000, 'x')));
  add("data.bin");
  on_page = [&] { world.interrupt_call = true; };  // the next one
  const auto done = upload();
  ASSERT_FALSE(done);
  EXPECT_TRUE(done.error().is(dms::Errc::cancelled)) << done.error().to_string();
  EXPECT_EQ(pages, 1U);
}

TEST_F(UploadTest, AnInterruptEndsItWhileItReadsAndPacks) {
  ASSERT_TRUE(write_file(folder / "data/a", "A"));
  ASSERT_TRUE(write_file(folder / "data.bin", "data"));
  world.time_limit = Duration(0);
  for (const char* input : {"data/", "data.bin"}) {
    ensemble = {};
    add(input);
    const auto done = upload();
    ASSERT_FALSE(done) << input;
    EXPECT_TRUE(done.error().is(dms::Errc::cancelled)) << done.error().to_string();
  }
  EXPECT_EQ(pages, 0U);
  world.time_limit = 1h;
  EXPECT_TRUE(upload());
}

TEST_F(UploadTest, ATicketThatEndsMeanwhileIsReplaced) {
  ASSERT_TRUE(write_file(folder / "data.bin", std::string(2'500'000, 'x')));
  const jobs::Input& input = add("data.bin");
  for (const std::size_t after : {std::size_t{0}, std::size_t{2}}) {
    received.clear();
    pages = 0;
    ticket_ends = after;
    const auto done = upload();
    EXPECT_TRUE(done) << done.error().to_string();
    EXPECT_FALSE(ticket_ends);
    EXPECT_EQ(received.at(input.digest).size(), input.size);
    EXPECT_EQ(pages, 3U) << "nothing is sent twice";
  }
}

TEST_F(UploadTest, WhatTheDaemonTakesOfAPageIsItsOwn) {
  const std::string text(300'000, 'x');
  ASSERT_TRUE(write_file(folder / "data.bin", text));
  const jobs::Input& input = add("data.bin");
  takes = 100'000;
  EXPECT_TRUE(upload());
  EXPECT_TRUE(as_text(received.at(input.digest)) == text);
  EXPECT_EQ(pages, 3U);
}

TEST_F(UploadTest, AFolderIsSentAsAnArchive) {
  ASSERT_TRUE(write_file(folder / "data/a", "A"));
  ASSERT_TRUE(write_file(folder / "data/deep/b", "B"));
  const jobs::Input& input = add("data/");
  const auto done = upload();
  ASSERT_TRUE(done) << done.error().to_string();
  EXPECT_TRUE(input.folder);
  ASSERT_TRUE(write_file(world.home / "data.tar", as_text(received.at(input.digest))));
  ASSERT_TRUE(transfer::unpack(world.home / "data.tar", true, world.home, "again", {}));
  EXPECT_EQ(read_file(world.home / "again/deep/b", 10).value_or(""), "B");
}

TEST_F(UploadTest, AFileNeedsNoTemporaryFolderAndWhatAKilledCommandHasLeftIsRemoved) {
  const char* before = ::getenv("TMPDIR");
  const std::optional<std::string> restored = before == nullptr ? std::nullopt : std::optional<std::string>(before);
  const auto left = world.home / "tmp/nunet-inputs-abcdef";
  ASSERT_TRUE(write_file(left / "0.tar", "packed"));
  std::filesystem::last_write_time(left, std::filesystem::file_time_type::clock::now() - std::chrono::hours(1));
  ASSERT_TRUE(write_file(folder / "data.bin", "data"));
  add("data.bin");
  ::setenv("TMPDIR", (world.home / "tmp").c_str(), 1);
  EXPECT_TRUE(upload());
  EXPECT_FALSE(std::filesystem::exists(left));
  ::setenv("TMPDIR", (world.home / "nothing").c_str(), 1);
  EXPECT_TRUE(upload());
  ASSERT_TRUE(write_file(folder / "data/a", "A"));
  add("data/");
  EXPECT_THAT(upload().error().to_string(), HasSubstr("set TMPDIR"));
  if (restored)
    ::setenv("TMPDIR", restored->c_str(), 1);
  else
    ::unsetenv("TMPDIR");
}

TEST_F(UploadTest, TheSameContentIsSentOnce) {
  ASSERT_TRUE(write_file(folder / "a", "same"));
  ASSERT_TRUE(write_file(folder / "b", "same"));
  add("a", "x");
  add("b", "y");
  EXPECT_TRUE(upload());
  EXPECT_EQ(pages, 1U);
}

TEST_F(UploadTest, AnEmptyFileIsSent) {
  ASSERT_TRUE(write_file(folder / "empty", ""));
  const jobs::Input& input = add("empty");
  EXPECT_TRUE(upload());
  EXPECT_EQ(input.size, 0U);
}

TEST_F(UploadTest, FailuresNameTheInput) {
  add("nothing");
  auto done = upload();
  ASSERT_FALSE(done);
  EXPECT_THAT(done.error().to_string(), HasSubstr("allocations.work.inputs[0].file: "));
  ensemble = {};
  ASSERT_TRUE(write_file(folder / "data.bin", "data"));
  add("data.bin");
  takes = 0;
  EXPECT_THAT(upload().error().to_string(), HasSubstr("does not take what is sent"));
  always(R"({"offset":0,"complete":false,"Error":"the disk is full"})");
  EXPECT_THAT(upload().error().to_string(), HasSubstr("the disk is full"));
  always(R"({"offset":0,"complete":false})");
  EXPECT_THAT(upload().error().to_string(), HasSubstr("of another version"));
  always(R"({"offset":99,"complete":false})");
  EXPECT_THAT(upload().error().to_string(), HasSubstr("behind the end"));
}

}  // namespace
}  // namespace dms::cli
