// For tests: files of vectors, by their path under tests/vectors.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "base/file.hpp"
#include "base/result.hpp"

namespace dms::test {

#ifdef DMS_SOURCE_DIR  // which only test programs have
inline const std::filesystem::path kVectors = DMS_SOURCE_DIR "/tests/vectors";
#else
inline const std::filesystem::path kVectors = "tests/vectors";
#endif

inline std::string read_vectors(const std::string& name) {
  auto text = read_file(kVectors / name, std::size_t{4} << 20);
  EXPECT_TRUE(text) << text.error().to_string();
  return text.value_or("");
}

/// The rows after the first. A field has no comma; blanks before it and quotes around it do not belong to it.
inline std::vector<std::vector<std::string>> read_csv(const std::string& name) {
  std::vector<std::vector<std::string>> rows;
  const std::string whole = read_vectors(name);
  std::string_view text = whole;
  const auto cut = [](std::string_view& from, char at) {
    const std::string_view part = from.substr(0, from.find(at));
    from.remove_prefix(std::min(part.size() + 1, from.size()));
    return part;
  };
  while (!text.empty()) {
    std::string_view line = cut(text, '\n');
    std::vector<std::string> row;
    while (!line.empty()) {
      std::string_view field = cut(line, ',');
      while (field.starts_with(' ')) field.remove_prefix(1);
      if (field.size() > 1 && field.starts_with('"')) field = field.substr(1, field.size() - 2);
      row.emplace_back(field);
    }
    rows.push_back(std::move(row));
  }
  EXPECT_GT(rows.size(), 1U) << name;
  if (!rows.empty()) rows.erase(rows.begin());
  return rows;
}

}  // namespace dms::test
