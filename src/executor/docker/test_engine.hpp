// A scripted Docker engine, and the fixture of the tests that talk to it.
#pragma once

#include <unistd.h>

#include <deque>

#include "executor/docker/docker_stream.hpp"
#include "executor/docker/test_docker.hpp"
#include "simulation/sim_world.hpp"

namespace dms::executor {

/// At the end of an answer: the stream stays open, without more.
inline constexpr std::string_view kHangs = "<hangs>";

/// Replies with prepared bytes and records what is written.
class ScriptedStream final : public ByteStream {
 public:
  ScriptedStream(std::string answer, std::string& written) : answer_(std::move(answer)), written_(written) {}
  Task<Result<std::size_t>> read_some(MutableBytes into) override {
    while (answer_ == kHangs) CO_TRY_VOID(co_await never_.wait());
    const std::size_t left = answer_.size() - (answer_.ends_with(kHangs) ? kHangs.size() : 0);
    const std::size_t n = std::min({into.size(), left, std::size_t{7}});
    std::copy_n(answer_.begin(), n, into.begin());
    answer_.erase(0, n);
    co_return n;
  }
  Task<Result<void>> write(BytesView from) override {
    written_.append(as_text(from));
    co_return Result<void>();
  }
  Task<Result<void>> close_write() override { co_return Result<void>(); }
  void abort() override {}

 private:
  std::string answer_;
  std::string& written_;
  Notify never_;
};

class ScriptedNet final : public Net {
 public:
  std::deque<std::string> answers;
  std::string written;

  Result<std::unique_ptr<Listener>> listen_tcp(const IpEndpoint&) override {
    return fail(Errc::unsupported, "scripted");
  }
  Task<Result<Accepted>> connect_tcp(IpEndpoint) override { co_return fail(Errc::unsupported, "scripted"); }
  Task<Result<std::unique_ptr<ByteStream>>> connect_unix(std::string path) override {
    if (answers.empty()) co_return fail(Errc::not_found, "connect to {}: no such file", path);  // as real_net.cpp does
    std::unique_ptr<ByteStream> stream = std::make_unique<ScriptedStream>(std::move(answers.front()), written);
    answers.pop_front();
    co_return std::move(stream);
  }
  Result<std::vector<IpAddress>> interface_addresses() override { return fail(Errc::unsupported, "scripted"); }
};

inline std::string http(int status, std::string body) {
  return fmt::format("HTTP/1.1 {} X\r\nContent-Length: {}\r\n\r\n{}", status, body.size(), body);
}
inline std::string frame(char channel, std::string_view text) {
  std::string out{channel, 0, 0, 0, 0, 0, 0, static_cast<char>(text.size())};
  return out + std::string(text);
}
/// An entry of the engine's log, some seconds after a fixed time.
inline std::string entry(char channel, int second, std::string_view text) {
  return frame(channel, fmt::format("2026-11-28T10:00:{:02}.000000005Z {}", second, text));
}

class DockerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    dir_ = std::filesystem::temp_directory_path() / fmt::format("docker_test_{}_{}", ::getpid(), ++counter_);
    std::filesystem::create_directories(dir_);
  }
  void TearDown() override {
    net_.answers.clear();
    world_.run(node_, docker_.close());
    std::filesystem::remove_all(dir_);
  }
  template <class T>
  T run(Task<T> task) {
    return world_.run(node_, std::move(task));
  }

  static inline int counter_ = 0;
  std::filesystem::path dir_;
  ScriptedNet net_;
  SimWorld world_{1};
  SimNode& node_ = world_.add_node("node");
  Docker docker_{Runtime{node_.runtime().lane, net_}, DockerOptions{}};
};

}  // namespace dms::executor
