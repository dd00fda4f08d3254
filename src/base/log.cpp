#include "base/log.hpp"

#include <atomic>
#include <cstdio>
#include <memory>
#include <mutex>

namespace dms::log {
namespace {

std::atomic<Level> g_level{Level::warn};
std::mutex g_mutex;
std::shared_ptr<Sink> g_sink;  // guarded by g_mutex; null means standard error

}  // namespace

void set_sink(Sink sink) {
  auto next = sink ? std::make_shared<Sink>(std::move(sink)) : nullptr;
  std::lock_guard lock(g_mutex);
  g_sink = std::move(next);
}

void set_level(Level level) { g_level = level; }
bool enabled(Level level) { return level >= g_level.load(std::memory_order_relaxed); }

void write(Level level, std::string_view room, std::string_view text) {
  std::shared_ptr<Sink> sink;
  {
    std::lock_guard lock(g_mutex);
    sink = g_sink;
  }
  if (sink) return (*sink)(level, room, text);
  std::fprintf(stderr, "%.*s: %.*s\n", static_cast<int>(room.size()), room.data(), static_cast<int>(text.size()),
               text.data());
}

}  // namespace dms::log
