#include <charconv>

#include "cli/client/session.hpp"

namespace dms::cli {
namespace {

struct Unit {
  std::string_view name;
  double nanos;
};
constexpr Unit kUnits[] = {{"ns", 1}, {"us", 1e3}, {"ms", 1e6}, {"s", 1e9}, {"m", 60e9}, {"h", 3600e9}, {"d", 86400e9}};
constexpr double kLongest = 100.0 * 365 * 86400e9;

bool take_number(std::string_view& text, std::size_t digits, int& into) {
  if (text.size() < digits) return false;
  const auto [end, error] = std::from_chars(text.data(), text.data() + digits, into);
  if (error != std::errc() || end != text.data() + digits) return false;
  text.remove_prefix(digits);
  return true;
}
bool take(std::string_view& text, char expected) {
  if (text.empty() || text.front() != expected) return false;
  text.remove_prefix(1);
  return true;
}

/// "Z", "+02:00", or nothing (UTC); in minutes.
bool take_offset(std::string_view& text, int& minutes) {
  minutes = 0;
  if (text.empty() || take(text, 'Z')) return true;
  const bool negative = text.front() == '-';
  if (!take(text, '+') && !take(text, '-')) return false;
  int hour = 0;
  int minute = 0;
  if (!take_number(text, 2, hour) || !take(text, ':') || !take_number(text, 2, minute) || hour > 23 || minute > 59)
    return false;
  minutes = (negative ? -1 : 1) * (hour * 60 + minute);
  return true;
}

}  // namespace

Result<Duration> parse_duration(std::string_view what, std::string_view text, Duration least) {
  const auto wrong = [&] {
    return fail(Errc::usage, "{}: expected a number and a unit, such as 90s, 30m, 24h or 7d, found \"{}\"", what, text);
  };
  std::string_view rest = text;
  double total = 0;
  while (!rest.empty()) {
    double number = 0;
    const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), number);
    if (error != std::errc() || !(number >= 0)) return wrong();
    rest.remove_prefix(static_cast<std::size_t>(end - rest.data()));
    const auto length = std::min(rest.find_first_of("0123456789."), rest.size());
    std::string_view name = rest.substr(0, length);
    if (name.empty() && total == 0) name = "s";
    const auto* unit = std::ranges::find(kUnits, name, &Unit::name);
    if (unit == std::end(kUnits)) return wrong();
    total += number * unit->nanos;
    rest.remove_prefix(length);
  }
  if (text.empty() || total > kLongest) return wrong();
  if (total < static_cast<double>(least.count()))
    return fail(Errc::usage, "{}: expected {}, such as 90s, 30m, 24h or 7d, found \"{}\"", what,
                least > Duration(1) ? fmt::format("at least {} s", least / 1s) : "a time above zero", text);
  return Duration(static_cast<std::int64_t>(total));
}

Result<UnixTime> parse_time(std::string_view what, std::string_view text) {
  const auto wrong = [&] {
    return fail(Errc::usage, "{}: expected a time such as 2026-12-31 or 2026-12-31T18:00:00Z, found \"{}\"", what,
                text);
  };
  std::string_view rest = text;
  int year = 0;
  int month = 0;
  int day = 0;
  int hour = 0;
  int minute = 0;
  int second = 0;
  int offset = 0;
  if (!take_number(rest, 4, year) || !take(rest, '-') || !take_number(rest, 2, month) || !take(rest, '-') ||
      !take_number(rest, 2, day))
    return wrong();
  if (!rest.empty()) {
    if (!take(rest, 'T') && !take(rest, ' ')) return wrong();
    if (!take_number(rest, 2, hour) || !take(rest, ':') || !take_number(rest, 2, minute)) return wrong();
    if (take(rest, ':') && !take_number(rest, 2, second)) return wrong();
    if (!take_offset(rest, offset)) return wrong();
  }
  const std::chrono::year_month_day date{std::chrono::year(year), std::chrono::month(static_cast<unsigned>(month)),
                                         std::chrono::day(static_cast<unsigned>(day))};
  if (!rest.empty() || !date.ok() || year < 1970 || year > 2500 || hour > 23 || minute > 59 || second > 60)
    return wrong();
  const auto instant = std::chrono::sys_days(date) + std::chrono::hours(hour) + std::chrono::minutes(minute - offset) +
                       std::chrono::seconds(second);
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(instant.time_since_epoch()).count();
  if (seconds < 0) return wrong();
  return UnixTime{static_cast<std::uint64_t>(seconds) * 1'000'000'000};
}

std::string format_time(UnixTime time) {
  const std::chrono::sys_seconds instant{std::chrono::seconds(static_cast<std::int64_t>(time.seconds()))};
  const auto day = std::chrono::floor<std::chrono::days>(instant);
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss clock(instant - day);
  return fmt::format("{:04}-{:02}-{:02} {:02}:{:02}:{:02} UTC", static_cast<int>(date.year()),
                     static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()), clock.hours().count(),
                     clock.minutes().count(), clock.seconds().count());
}

}  // namespace dms::cli
