#include "protocol/table.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <set>

#include "base/file.hpp"
#include "protocol/allocation.hpp"
#include "ucan/capability.hpp"

namespace dms::protocol {
namespace {

TEST(BehaviourTable, EachPathIsDeclaredOnceAndIsACapability) {
  std::set<std::string_view> paths;
  for (const TableEntry& entry : behaviour_table()) {
    const Declaration& d = *entry.declaration;
    EXPECT_TRUE(paths.insert(d.path).second) << d.path;
    EXPECT_TRUE(ucan::Capability::parse(path_of(d, "e1"))) << d.path;
    EXPECT_FALSE(d.help.empty()) << d.path;
    EXPECT_GT(d.timeout, Duration(0)) << d.path;
    EXPECT_FALSE(entry.request.empty()) << d.path;
  }
}

TEST(BehaviourTable, ParametersOfABehaviourHaveDistinctNamesAndLetters) {
  for (const TableEntry& entry : behaviour_table()) {
    std::set<std::string_view> names;
    std::set<char> letters;
    for (const Parameter& parameter : entry.declaration->parameters) {
      EXPECT_TRUE(names.insert(parameter.name).second) << entry.declaration->path << " --" << parameter.name;
      if (parameter.letter != 0) {
        EXPECT_TRUE(letters.insert(parameter.letter).second) << entry.declaration->path << " -" << parameter.letter;
      }
      EXPECT_EQ(parameter.value.empty(), parameter.form == Form::flag) << entry.declaration->path;
    }
  }
}

TEST(BehaviourTable, ThePlaceholderOfAPathIsFilledInAndReadBack) {
  EXPECT_EQ(path_of(kAllocationLogs, "e1"), "/dms/ensemble/e1/allocation/logs");
  EXPECT_EQ(ensemble_in(kAllocationLogs, "/dms/ensemble/e1/allocation/logs"), "e1");
  EXPECT_EQ(ensemble_in(kAllocationLogs, "/dms/ensemble/e1/allocation/shutdown"), "");
  EXPECT_EQ(ensemble_in(kAllocationLogs, "/dms/ensemble//allocation/logs"), "");
  EXPECT_EQ(path_of(kCommit, "e1"), kCommit.path);
}

TEST(BehaviourTable, TheDocumentedTableIsUpToDate) {
  const std::filesystem::path file = DMS_SOURCE_DIR "/docs/behaviours.md";
  if (std::getenv("UPDATE_GOLDEN") != nullptr) {
    ASSERT_TRUE(write_file(file, behaviours_page()));
  }
  EXPECT_EQ(read_file(file, 1 << 20).value_or(""), behaviours_page()) << "UPDATE_GOLDEN=1 rewrites " << file;
}

}  // namespace
}  // namespace dms::protocol
