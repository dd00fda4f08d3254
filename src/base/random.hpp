// Randomness, provided by the Lane: the operating system's for a real node, seeded for a simulated one.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <limits>

#include "base/bytes.hpp"

namespace dms {

class Random {
 public:
  virtual ~Random() = default;

  /// Fills `out`. A real source is suitable for keys and nonces.
  virtual void fill(MutableBytes out) = 0;

  Bytes bytes(std::size_t count) {
    Bytes out(count);
    fill(out);
    return out;
  }
  std::uint64_t u64() {
    std::array<std::uint8_t, 8> raw;
    fill(raw);
    return std::bit_cast<std::uint64_t>(raw);
  }
  /// Uniform in [0, bound); bound > 0.
  std::uint64_t below(std::uint64_t bound) {
    const std::uint64_t limit =
        std::numeric_limits<std::uint64_t>::max() - std::numeric_limits<std::uint64_t>::max() % bound;
    for (;;)
      if (std::uint64_t x = u64(); x < limit) return x % bound;
  }

  // A standard uniform random bit generator, for std::shuffle.
  using result_type = std::uint64_t;
  static constexpr result_type min() { return 0; }
  static constexpr result_type max() { return std::numeric_limits<result_type>::max(); }
  result_type operator()() { return u64(); }
};

/// The operating system's randomness.
class SystemRandom final : public Random {
 public:
  void fill(MutableBytes out) override;
};

/// The same seed gives the same bytes. For simulations and tests only.
class SeededRandom final : public Random {
 public:
  explicit SeededRandom(std::uint64_t seed) : state_(seed) {}
  void fill(MutableBytes out) override;

 private:
  std::uint64_t state_;
};

}  // namespace dms
