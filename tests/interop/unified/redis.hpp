// A minimal Redis client for a test harness: one connection, one command at a time.
//
// Replies are read completely before they are interpreted: simple strings, errors (Errc::io), integers and bulk strings
// of at most kMaxReply bytes; arrays give their last element, which for BLPOP is the value.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "runtime/stream.hpp"

namespace dms::interop {

/// "host:port" as in REDIS_ADDR; resolves the host through the system, which may block.
Result<IpEndpoint> resolve(const std::string& address);

class Redis {
 public:
  static constexpr std::size_t kMaxReply = 64 * 1024;

  static Task<Result<std::unique_ptr<Redis>>> connect(Net& net, IpEndpoint at);

  Task<Result<void>> set(std::string key, std::string value);
  /// Nothing if there is no such key.
  Task<Result<std::optional<std::string>>> get(std::string key);
  /// Appends to the list at `key`; pop() takes its first element, and waits until there is one.
  Task<Result<void>> push(std::string key, std::string value);
  Task<Result<std::string>> pop(std::string key);
  Task<Result<std::optional<std::string>>> command(std::vector<std::string> words);

  explicit Redis(std::unique_ptr<ByteStream> stream) : stream_(std::move(stream)) {}

 private:
  Task<Result<std::string>> read_line();
  Task<Result<std::optional<std::string>>> read_bulk(std::size_t size);
  Task<Result<std::optional<std::string>>> read_reply(int depth);

  std::unique_ptr<ByteStream> stream_;
};

}  // namespace dms::interop
