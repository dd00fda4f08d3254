// Feeds every file of a corpus to a fuzz function. The name is printed first, so a crash is traced to its input.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <vector>

namespace dms {

inline void replay(const std::filesystem::path& corpus, int (*fuzz)(const std::uint8_t*, std::size_t)) {
  std::vector<std::filesystem::path> files;
  if (std::filesystem::is_directory(corpus))
    for (const auto& entry : std::filesystem::recursive_directory_iterator(corpus))
      if (entry.is_regular_file()) files.push_back(entry.path());
  ASSERT_FALSE(files.empty()) << corpus << " is empty: a fuzz target needs a corpus of valid and broken inputs";
  std::sort(files.begin(), files.end());
  std::printf("replaying the empty input, the first that libFuzzer tries\n");
  std::fflush(stdout);
  EXPECT_EQ(fuzz(std::vector<std::uint8_t>{}.data(), 0), 0);
  for (const auto& file : files) {
    std::printf("replaying %s\n", file.c_str());
    std::fflush(stdout);
    std::ifstream in(file, std::ios::binary);
    // Exactly as large as the input, so that a sanitizer sees a read beyond its end.
    const std::vector<std::uint8_t> bytes((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
    ASSERT_TRUE(in.good() || in.eof()) << "reading " << file;
    EXPECT_EQ(fuzz(bytes.data(), bytes.size()), 0) << file;
  }
}

}  // namespace dms
