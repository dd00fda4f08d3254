#include "jobs/ensemble/work_path.hpp"

#include <gtest/gtest.h>

#include <string>

namespace dms::jobs {
namespace {

TEST(WorkPath, StaysBelowItsFolder) {
  for (const std::string_view path : {"a", "a/b", "out/", "...", "a b", "-rf", "ä", "a/.hidden"})
    EXPECT_TRUE(is_work_path(path)) << path;
  for (const std::string_view path : {"", "/", "/a", ".", "..", "a/..", "../a", "a/./b", "a//b", "a/b//", "a\nb"})
    EXPECT_FALSE(is_work_path(path)) << path;
  EXPECT_TRUE(is_work_path(std::string(255, 'x')));
  EXPECT_FALSE(is_work_path(std::string(256, 'x')));
  EXPECT_FALSE(is_work_path(std::string("a\0b", 3)));
}

TEST(WorkPath, FoldersOverlapWithWhatIsInThem) {
  EXPECT_TRUE(overlap("a", "a/"));
  EXPECT_TRUE(overlap("a/b", "a"));
  EXPECT_FALSE(overlap("a", "ab"));
  EXPECT_FALSE(overlap("a/b", "a/c"));
}

}  // namespace
}  // namespace dms::jobs
