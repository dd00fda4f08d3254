#include "capability/units.hpp"

#include <cctype>
#include <cmath>
#include <limits>

namespace dms::capability {
namespace {

struct Unit {
  std::string_view name;
  std::uint64_t factor;
};

constexpr std::uint64_t kK = 1000;
constexpr Unit kByteUnits[] = {
    {"b", 1},
    {"k", kK},
    {"kb", kK},
    {"ki", kKiB},
    {"kib", kKiB},
    {"m", kK* kK},
    {"mb", kK* kK},
    {"mi", kMiB},
    {"mib", kMiB},
    {"g", kK* kK* kK},
    {"gb", kK* kK* kK},
    {"gi", kGiB},
    {"gib", kGiB},
    {"t", kK* kK* kK* kK},
    {"tb", kK* kK* kK* kK},
    {"ti", kGiB << 10},
    {"tib", kGiB << 10},
    {"p", kK* kK* kK* kK* kK},
    {"pb", kK* kK* kK* kK* kK},
    {"pi", kGiB << 20},
    {"pib", kGiB << 20},
    {"e", kK* kK* kK* kK* kK* kK},
    {"eb", kK* kK* kK* kK* kK* kK},
    {"ei", kGiB << 30},
    {"eib", kGiB << 30},
};
constexpr Unit kHertzUnits[] = {{"hz", 1}, {"khz", kK},   {"mhz", kK* kK}, {"ghz", kGHz},  {"thz", kGHz* kK},
                                {"k", kK}, {"m", kK* kK}, {"g", kGHz},     {"t", kGHz* kK}};
constexpr Unit kCoreUnits[] = {{"m", 1}};

/// A decimal number as whole + fraction / 10^decimals: no rounding before the unit is known.
struct Decimal {
  unsigned __int128 whole = 0;
  std::uint64_t fraction = 0;
  std::uint64_t scale = 1;
  std::string_view rest;
};

constexpr std::size_t kMaxText = 64;
constexpr std::uint64_t kMaxScale = 1'000'000'000'000;  // later decimals are below every unit's rounding

Result<Decimal> read_decimal(std::string_view text, std::string_view what) {
  const auto refuse = [&]() {
    return fail(Errc::invalid_argument, "expected {}, found \"{}\"", what, text.substr(0, kMaxText));
  };
  if (text.size() > kMaxText) return refuse();
  Decimal number;
  std::size_t digits = 0;
  bool point = false;
  std::size_t i = 0;
  for (; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '.' && !point) {
      point = true;
      continue;
    }
    if (c < '0' || c > '9') break;
    ++digits;
    const auto digit = static_cast<std::uint64_t>(c - '0');
    if (!point) {
      if (number.whole > std::numeric_limits<std::uint64_t>::max()) return refuse();
      number.whole = number.whole * 10 + digit;
    } else if (number.scale < kMaxScale) {
      number.fraction = number.fraction * 10 + digit;
      number.scale *= 10;
    }
  }
  if (digits == 0) return refuse();
  while (i < text.size() && text[i] == ' ') ++i;
  number.rest = text.substr(i);
  return number;
}

Result<std::uint64_t> read_quantity(std::string_view text, std::span<const Unit> units, std::uint64_t bare,
                                    std::string_view what) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  TRY(Decimal number, read_decimal(text, what));
  std::uint64_t factor = bare;
  if (!number.rest.empty()) {
    std::string name;
    for (const char c : number.rest) name += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    const auto unit = std::find_if(units.begin(), units.end(), [&](const Unit& u) { return u.name == name; });
    if (unit == units.end()) return fail(Errc::invalid_argument, "expected {}, found \"{}\"", what, text);
    factor = unit->factor;
  }
  constexpr auto kMost = std::numeric_limits<std::uint64_t>::max();
  if (number.whole > kMost) return fail(Errc::limit_exceeded, "\"{}\" does not fit into 64 bits", text);
  const unsigned __int128 part = static_cast<unsigned __int128>(number.fraction) * factor;
  const unsigned __int128 value = number.whole * factor + (part + number.scale / 2) / number.scale;
  if (value > kMost) return fail(Errc::limit_exceeded, "\"{}\" does not fit into 64 bits", text);
  return static_cast<std::uint64_t>(value);
}

/// A JSON number that counts something. Fractions are rounded, because the network's peers compute with floating point.
Result<std::uint64_t> read_count(const json::Value& value, std::string_view what) {
  if (value.is_uint64()) return value.get_uint64();
  if (value.is_int64() && value.get_int64() >= 0) return static_cast<std::uint64_t>(value.get_int64());
  if (value.is_double()) {
    const double number = std::round(value.get_double());
    if (number >= 0 && number < 18446744073709551616.0) return static_cast<std::uint64_t>(number);
  }
  if (value.is_number()) return fail(Errc::invalid_argument, "expected {} of at least 0 that fits 64 bits", what);
  return json::wrong_kind(what, value);
}

/// value/unit with at most two decimals, without trailing zeros.
std::string scaled(std::uint64_t value, std::uint64_t unit, std::string_view name) {
  std::string text = fmt::format("{:.2f}", static_cast<double>(value) / static_cast<double>(unit));
  text.erase(text.find_last_not_of('0') + 1);
  if (text.back() == '.') text.pop_back();
  return fmt::format("{} {}", text, name);
}

}  // namespace

Result<ByteSize> ByteSize::parse(std::string_view text, std::uint64_t bare_unit) {
  TRY(const auto bytes, read_quantity(text, kByteUnits, bare_unit, "a size such as 512MiB or 2 GiB"));
  return ByteSize{bytes};
}

std::string ByteSize::to_string() const {
  constexpr Unit kShown[] = {{"EiB", kGiB << 30}, {"PiB", kGiB << 20}, {"TiB", kGiB << 10},
                             {"GiB", kGiB},       {"MiB", kMiB},       {"KiB", kKiB}};
  for (const Unit& unit : kShown)
    if (bytes >= unit.factor) return scaled(bytes, unit.factor, unit.name);
  return fmt::format("{} B", bytes);
}

Result<ByteSize> ByteSize::from_json(const json::Value& value) {
  TRY(const auto bytes, read_count(value, "a number of bytes"));
  return ByteSize{bytes};
}

Result<Hertz> Hertz::parse(std::string_view text, std::uint64_t bare_unit) {
  TRY(const auto hertz, read_quantity(text, kHertzUnits, bare_unit, "a frequency such as 2400 MHz or 3.2GHz"));
  return Hertz{hertz};
}

std::string Hertz::to_string() const {
  constexpr Unit kShown[] = {{"GHz", kGHz}, {"MHz", kK * kK}, {"kHz", kK}};
  for (const Unit& unit : kShown)
    if (hertz >= unit.factor) return scaled(hertz, unit.factor, unit.name);
  return fmt::format("{} Hz", hertz);
}

Result<Hertz> Hertz::from_json(const json::Value& value) {
  TRY(const auto hertz, read_count(value, "a number of hertz"));
  return Hertz{hertz};
}

Result<Millicores> Millicores::parse(std::string_view text) {
  TRY(const auto millis, read_quantity(text, kCoreUnits, 1000, "a number of cores such as 2, 0.5 or 500m"));
  if (millis > kMaxMillicores) return fail(Errc::limit_exceeded, "\"{}\" is more cores than any machine has", text);
  return Millicores{millis};
}

Result<Millicores> Millicores::from_cores(double cores) {
  if (!(cores >= 0) || cores * 1000 > static_cast<double>(kMaxMillicores))
    return fail(Errc::invalid_argument, "expected a number of cores from 0 to {}, found {}", kMaxMillicores / 1000,
                cores);
  const auto millis = static_cast<std::uint64_t>(std::llround(cores * 1000));
  return Millicores{cores > 0 ? std::max<std::uint64_t>(millis, 1) : 0};
}

std::string Millicores::to_string() const { return fmt::format("{}", cores()); }

std::string Millicores::described() const { return fmt::format("{} core{}", to_string(), millis == 1000 ? "" : "s"); }

Result<Millicores> Millicores::from_json(const json::Value& value) {
  if (!value.is_number()) return json::wrong_kind("a number of cores", value);
  TRY(const double cores, json::from_value<double>(value));
  return from_cores(cores);
}

}  // namespace dms::capability
