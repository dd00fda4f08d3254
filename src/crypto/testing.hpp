// For tests: searches the memory of this process for a secret that should have been wiped.
#pragma once

#include <cstdio>
#include <cstring>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "base/bytes.hpp"

namespace dms::crypto::test {

/// True where freed memory is not used again for long, as under the address and the thread sanitizer.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool kMemoryIsHeldBack = true;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
inline constexpr bool kMemoryIsHeldBack = true;
#else
inline constexpr bool kMemoryIsHeldBack = false;
#endif
#else
inline constexpr bool kMemoryIsHeldBack = false;
#endif

/// A secret to search for, stored with every byte inverted, so that the search does not find this copy.
class Wanted {
 public:
  explicit Wanted(BytesView secret) {
    for (const std::uint8_t byte : secret) inverted_.push_back(static_cast<std::uint8_t>(~byte));
  }

  /// The number of copies in writable memory of this process, freed memory and stacks included. 0 also where /proc
  /// cannot be read: a test first searches for a secret that exists.
  [[nodiscard]] std::size_t count() const {
    const std::unique_ptr<std::FILE, decltype([](std::FILE* f) { std::fclose(f); })> memory(
        std::fopen("/proc/self/mem", "rb"));
    if (!memory) return 0;
    std::setvbuf(memory.get(), nullptr, _IONBF, 0);
    std::vector<std::uint8_t> block(1 << 20);
    std::ifstream maps("/proc/self/maps");
    std::size_t found = 0;
    for (std::string line; std::getline(maps, line);) {
      unsigned long begin = 0;
      unsigned long end = 0;
      char mode[5] = {};
      if (std::sscanf(line.c_str(), "%lx-%lx %4s", &begin, &end, mode) != 3) continue;
      if (mode[0] == 'r' && mode[1] == 'w' && end - begin <= kLargest)
        found += count_in(memory.get(), begin, end, block);
    }
    ::explicit_bzero(block.data(), block.size());  // it holds the secret where it was read from `inverted_`
    return found;
  }

 private:
  static constexpr unsigned long kLargest = 64UL << 20;  // excludes the shadow memory of sanitizers

  [[nodiscard]] std::size_t count_in(std::FILE* memory, unsigned long begin, unsigned long end,
                                     std::vector<std::uint8_t>& block) const {
    std::size_t found = 0;
    for (unsigned long at = begin; at < end;) {
      if (std::fseek(memory, static_cast<long>(at), SEEK_SET) != 0) break;
      const std::size_t size = std::fread(block.data(), 1, std::min<std::size_t>(block.size(), end - at), memory);
      for (std::size_t i = 0; i < size; ++i) block[i] = static_cast<std::uint8_t>(~block[i]);
      const std::uint8_t* from = block.data();
      while (const void* hit = ::memmem(from, static_cast<std::size_t>(block.data() + size - from), inverted_.data(),
                                        inverted_.size())) {
        // A hit inside `block` itself is the inverted text that was just made.
        const auto* place =
            reinterpret_cast<const std::uint8_t*>(at) + (static_cast<const std::uint8_t*>(hit) - block.data());
        if (place < block.data() || place >= block.data() + block.size()) ++found;
        from = static_cast<const std::uint8_t*>(hit) + 1;
      }
      if (size < inverted_.size()) break;
      at += size == end - at ? size : size - inverted_.size() + 1;
    }
    return found;
  }

  std::vector<std::uint8_t> inverted_;
};

}  // namespace dms::crypto::test
