// A capability: a path such as /dms/node/peers/list, which includes itself and every path below it.
//
// Model
//  1. A implies B if A equals B, A is "/", or B begins with A followed by "/". This is a partial order with "/" on top.
//  2. A Capability that exists begins with "/", has at most kMaxCapability bytes and holds only printable ASCII.
//     (The reference takes any string, and takes the empty one to imply every path: here it is not a capability.)
//  3. Topics of broadcasts follow the same rules and are written the same way.
#pragma once

#include <compare>
#include <string>
#include <string_view>
#include <vector>

#include "encoding/json.hpp"
#include "ucan/error.hpp"

namespace dms::ucan {

inline constexpr std::size_t kMaxCapability = 256;

class Capability {
 public:
  static Result<Capability> parse(std::string_view path);
  /// "/": everything.
  static Capability root();

  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] bool implies(const Capability& other) const;

  void to_json(json::Writer& writer) const { writer.string(path_); }
  static Result<Capability> from_json(const json::Value& value);

  friend bool operator==(const Capability&, const Capability&) = default;
  friend auto operator<=>(const Capability&, const Capability&) = default;

 private:
  explicit Capability(std::string path) : path_(std::move(path)) {}
  std::string path_;
};

using Capabilities = std::vector<Capability>;

Result<Capabilities> parse_capabilities(const std::vector<std::string>& paths);
/// True if some member of `held` implies `wanted`.
[[nodiscard]] bool any_implies(const Capabilities& held, const Capability& wanted);
/// The first of `wanted` that no member of `held` implies; null if all are.
[[nodiscard]] const Capability* first_uncovered(const Capabilities& held, const Capabilities& wanted);
/// "[/a, /b]", for messages.
[[nodiscard]] std::string to_string(const Capabilities& capabilities);

inline namespace literals {
/// A capability literal; a malformed one aborts the program.
Capability operator""_cap(const char* path, std::size_t size);
}  // namespace literals

}  // namespace dms::ucan
