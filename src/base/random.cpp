#include "base/random.hpp"

#include <sys/random.h>

#include <cerrno>
#include <system_error>

#include "base/assert.hpp"

namespace dms {

void SystemRandom::fill(MutableBytes out) {
  while (!out.empty()) {
    const ssize_t got = ::getrandom(out.data(), out.size(), 0);
    // Fatal although the system fails: without randomness no key or nonce that follows could be trusted.
    DMS_ASSERT(got >= 0 || errno == EINTR, "getrandom: {}", std::generic_category().message(errno));
    if (got < 0) continue;
    out = out.subspan(static_cast<std::size_t>(got));
  }
}

void SeededRandom::fill(MutableBytes out) {
  // SplitMix64 (Steele, Lea, Flood 2014): one addition and three mixing steps a word.
  std::size_t at = 0;
  while (at < out.size()) {
    std::uint64_t z = (state_ += 0x9e3779b97f4a7c15ULL);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    z ^= z >> 31;
    for (int i = 0; i < 8 && at < out.size(); ++i, ++at, z >>= 8) out[at] = static_cast<std::uint8_t>(z);
  }
}

}  // namespace dms
