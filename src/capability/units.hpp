// Distinct types for units: bytes, hertz and thousandths of a core, parsed from and written as text and JSON.
//
// Model
//  1. Each unit is a whole number, so sums are exact whatever their order. Cores travel as decimal numbers (`0.5`) and
//     are held in thousandths; JSON numbers are rounded to the nearest thousandth, and a positive number never to zero.
//  2. Text is a decimal number and a unit in any letter case: `2GiB`, `1.5 GB`, `512mib`, `3.2 GHz`. KiB, MiB, GiB,
//     TiB, PiB, EiB (or Ki, Mi, ...) count in 1024s; KB, MB, ... (or K, M, ...) in 1000s. A bare number takes the unit
//     that the caller names.
//  3. Negative numbers, NaN and what does not fit are refused; nothing wraps around.
#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.hpp"
#include "encoding/json.hpp"

namespace dms::capability {

struct ByteSize {
  std::uint64_t bytes = 0;

  /// `bare_unit` multiplies a number without a unit: kGiB makes "2" two gibibytes.
  static Result<ByteSize> parse(std::string_view text, std::uint64_t bare_unit = 1);
  /// The largest binary unit, at most two decimals: "1.5 GiB".
  [[nodiscard]] std::string to_string() const;

  [[nodiscard]] bool empty() const { return bytes == 0; }
  void to_json(json::Writer& writer) const { writer.unsigned_integer(bytes); }
  static Result<ByteSize> from_json(const json::Value& value);
  friend auto operator<=>(const ByteSize&, const ByteSize&) = default;
};

struct Hertz {
  std::uint64_t hertz = 0;

  /// "3.2 GHz", "2400 MHz"; `bare_unit` as above.
  static Result<Hertz> parse(std::string_view text, std::uint64_t bare_unit = 1);
  [[nodiscard]] std::string to_string() const;

  [[nodiscard]] bool empty() const { return hertz == 0; }
  void to_json(json::Writer& writer) const { writer.unsigned_integer(hertz); }
  static Result<Hertz> from_json(const json::Value& value);
  friend auto operator<=>(const Hertz&, const Hertz&) = default;
};

struct Millicores {
  std::uint64_t millis = 0;

  /// "0.5", "2", "1500m".
  static Result<Millicores> parse(std::string_view text);
  static Result<Millicores> from_cores(double cores);
  [[nodiscard]] double cores() const { return static_cast<double>(millis) / 1000.0; }
  [[nodiscard]] std::string to_string() const;
  /// "1 core", "1.5 cores"
  [[nodiscard]] std::string described() const;

  [[nodiscard]] bool empty() const { return millis == 0; }
  void to_json(json::Writer& writer) const { writer.number(cores()); }
  static Result<Millicores> from_json(const json::Value& value);
  friend auto operator<=>(const Millicores&, const Millicores&) = default;
};

inline constexpr std::uint64_t kKiB = 1024;
inline constexpr std::uint64_t kMiB = 1024 * kKiB;
inline constexpr std::uint64_t kGiB = 1024 * kMiB;
inline constexpr std::uint64_t kGHz = 1'000'000'000;
/// No machine has more cores; a number beyond it is a mistake or an attack on arithmetic.
inline constexpr std::uint64_t kMaxMillicores = 1'000'000ULL * 1000;

}  // namespace dms::capability
