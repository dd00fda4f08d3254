#include "base/log.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <memory>
#include <mutex>

namespace dms::log {
namespace {

std::atomic<Level> g_level{Level::warn};
std::mutex g_mutex;
std::shared_ptr<Sink> g_sink;  // guarded by g_mutex; null means standard error

bool is_control(char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }

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
  for (const char c : text) {
    if (c == '"' || c == '\\')
      out += {'\\', c};
    else
      out += printable({&c, 1});
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
  const std::string text = fmt::format("{}: {}{}\n", line.room, printable(line.text), to_text(line.fields));
  std::fwrite(text.data(), 1, text.size(), stderr);
}

std::string printable(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    if (is_control(c))
      out += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    else
      out += c;
  }
  return out;
}

std::string to_text(Fields fields) {
  std::string out;
  for (const Field& field : fields) {
    out += fmt::format(" {}=", field.name());
    std::visit([&out](const auto& value) { append_value(out, value); }, field.value());
  }
  return out;
}

}  // namespace dms::log
