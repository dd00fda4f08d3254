// For tests of this module: a folder that is removed at the end, and bytes that differ at every place.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "base/file.hpp"
#include "base/random.hpp"
#include "base/remove_tree.hpp"
#include "transfer/files.hpp"

namespace dms::transfer::testing {

class TestFolder {
 public:
  TestFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "transfer-test-XXXXXX").string();
    EXPECT_NE(::mkdtemp(name.data()), nullptr);
    path_ = name;
  }
  TestFolder(const TestFolder&) = delete;
  TestFolder& operator=(const TestFolder&) = delete;
  ~TestFolder() { EXPECT_TRUE(remove_tree(path_)); }

  [[nodiscard]] const std::filesystem::path& path() const { return path_; }
  [[nodiscard]] std::filesystem::path operator/(const std::string& name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

inline std::string random_text(std::size_t size, std::uint64_t seed = 1) {
  SeededRandom random(seed);
  std::string text(size, '\0');
  random.fill({reinterpret_cast<std::uint8_t*>(text.data()), text.size()});
  return text;
}

inline std::string read(const std::filesystem::path& path) {
  const Result<std::string> text = read_file(path, std::size_t{1} << 30);
  return text ? *text : "(" + text.error().to_string() + ")";
}

}  // namespace dms::transfer::testing
