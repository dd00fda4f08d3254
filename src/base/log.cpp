#include "base/log.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <memory>
#include <mutex>

#include "base/text.hpp"

namespace dms::log {
namespace {

std::atomic<Level> g_level{Level::warn};
std::mutex g_mutex;
std::shared_ptr<Sink> g_sink;  // guarded by g_mutex; null means standard error

/// Characters of ids, addresses, paths and times, none of which can end a value.
bool is_plain(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         std::string_view("-_.:/@+%#").find(c) != std::string_view::npos;
}

void append_value(std::string& out, std::string_view text) {
  if (!text.empty() && std::ranges::all_of(text, is_plain)) {
    out += text;
    return;
  }
  out += '"';
  for (;;) {
    const auto special = std::min(text.find_first_of("\"\\"), text.size());
    out += printable(text.substr(0, special));
    if (special == text.size()) break;
    out += {'\\', text[special]};
    text.remove_prefix(special + 1);
  }
  out += '"';
}
void append_value(std::string& out, std::int64_t value) { out += fmt::to_string(value); }
void append_value(std::string& out, std::uint64_t value) { out += fmt::to_string(value); }
void append_value(std::string& out, bool value) { out += value ? "true" : "false"; }
void append_value(std::string& out, Duration value) {
  out += fmt::format("{}s", std::chrono::duration<double>(value).count());
}

}  // namespace

void set_sink(Sink sink) {
  auto next = sink ? std::make_shared<Sink>(std::move(sink)) : nullptr;
  std::lock_guard lock(g_mutex);
  g_sink = std::move(next);
}

void set_level(Level level) { g_level = level; }
bool enabled(Level level) { return level >= g_level.load(std::memory_order_relaxed); }

void write(const Line& line) {
  std::shared_ptr<Sink> sink;
  {
    std::lock_guard lock(g_mutex);
    sink = g_sink;
  }
  if (sink) return (*sink)(line);
  const std::string text = fmt::format("{}: {}{}\n", line.module, printable(line.text), to_text(line.fields));
  std::fwrite(text.data(), 1, text.size(), stderr);
}

std::string printable(std::string_view text) { return dms::printable(text); }

std::string to_text(Fields fields) {
  std::string out;
  for (const Field& field : fields) {
    out += fmt::format(" {}=", field.name());
    std::visit([&out](const auto& value) { append_value(out, value); }, field.value());
  }
  return out;
}

}  // namespace dms::log
