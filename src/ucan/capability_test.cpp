#include "ucan/capability.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

namespace dms::ucan {
namespace {

TEST(Capability, ImpliesItselfAndPathsBelow) {
  EXPECT_TRUE("/dms/node"_cap.implies("/dms/node"_cap));
  EXPECT_TRUE("/dms/node"_cap.implies("/dms/node/peers/list"_cap));
  EXPECT_TRUE("/"_cap.implies("/anything"_cap));
  EXPECT_FALSE("/dms/node"_cap.implies("/dms/nodes"_cap));
  EXPECT_FALSE("/dms/node"_cap.implies("/dms"_cap));
  EXPECT_FALSE("/dms/node"_cap.implies("/"_cap));
  EXPECT_FALSE("/dms/node/"_cap.implies("/dms/node"_cap));
}

TEST(Capability, IsAPath) {
  for (std::string_view text : {"", "dms", "/a b", "/a\n", "/\x7f", "/\xc3\xa9"})
    EXPECT_FALSE(Capability::parse(text)) << text;
  EXPECT_TRUE(Capability::parse("/" + std::string(kMaxCapability - 1, 'a')));
  EXPECT_FALSE(Capability::parse("/" + std::string(kMaxCapability, 'a')));
}

using Path = std::vector<std::uint8_t>;

/// Reference model: a path is a list of names, and implies every path of which it is a prefix.
Capability of(const Path& path) {
  std::string text;
  for (std::uint8_t name : path) text += fmt::format("/{}", name % 3);
  return Capability::parse(text.empty() ? "/" : text).value();
}
bool is_prefix(const Path& a, const Path& b) {
  return a.size() <= b.size() &&
         std::equal(a.begin(), a.end(), b.begin(), [](auto x, auto y) { return x % 3 == y % 3; });
}

RC_GTEST_PROP(Capability, AgreesWithThePrefixModel, (const Path& a, const Path& b)) {
  const Path left(a.begin(), a.begin() + static_cast<std::ptrdiff_t>(std::min<std::size_t>(a.size(), 4)));
  const Path right(b.begin(), b.begin() + static_cast<std::ptrdiff_t>(std::min<std::size_t>(b.size(), 6)));
  RC_ASSERT(of(left).implies(of(right)) == is_prefix(left, right));
}

}  // namespace
}  // namespace dms::ucan
