#include "base/buffer_pool.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <optional>
#include <set>
#include <vector>

namespace dms {
namespace {

TEST(BufferPool, ReusesTheNewestIdleBuffer) {
  BufferPool pool(64, 2);
  std::uint8_t* first = nullptr;
  {
    const auto buffer = pool.take();
    EXPECT_EQ(buffer.bytes().size(), 64U);
    first = buffer.bytes().data();
    EXPECT_EQ(pool.in_use(), 1U);
  }
  EXPECT_EQ(pool.idle(), 1U);
  const auto again = pool.take();
  EXPECT_EQ(again.bytes().data(), first);
  EXPECT_EQ(pool.idle(), 0U);
}

TEST(BufferPool, AMovedHandleReturnsItsBufferOnce) {
  BufferPool pool(8, 4);
  {
    auto a = pool.take();
    auto b = std::move(a);
    auto c = pool.take();
    c = std::move(b);  // the buffer that c held is returned
    EXPECT_EQ(pool.in_use(), 2U);
  }
  EXPECT_EQ(pool.in_use(), 0U);
  EXPECT_EQ(pool.idle(), 2U);
}

TEST(BufferPool, AHandleMayOutliveItsPool) {
  std::optional<BufferPool> pool(std::in_place, 16, 1);
  const auto buffer = pool->take();
  pool.reset();
  std::ranges::fill(buffer.bytes(), std::uint8_t{7});
  EXPECT_EQ(buffer.bytes()[15], 7);
}

// Compared with a model: the buffers in use, each filled with a distinct pattern, and how many are idle.
RC_GTEST_PROP(BufferPool, GivesNoBufferTwiceAndKeepsAtMostTheLimit, ()) {
  const auto size = *rc::gen::inRange<std::size_t>(1, 300);
  const auto max_idle = *rc::gen::inRange<std::size_t>(0, 5);
  BufferPool pool(size, max_idle);
  struct Held {
    BufferPool::Buffer buffer;
    std::uint8_t pattern;
  };
  std::vector<Held> held;
  std::size_t idle = 0;
  const auto intact = [&] {
    for (const Held& h : held)
      RC_ASSERT(std::ranges::all_of(h.buffer.bytes(), [&](std::uint8_t byte) { return byte == h.pattern; }));
  };
  for (const bool take : *rc::gen::arbitrary<std::vector<bool>>()) {
    if (take || held.empty()) {
      held.push_back({pool.take(), static_cast<std::uint8_t>(*rc::gen::inRange(0, 256))});
      RC_ASSERT(held.back().buffer.bytes().size() == size);
      std::ranges::fill(held.back().buffer.bytes(), held.back().pattern);
      if (idle > 0) --idle;
    } else {
      held.erase(held.begin() + static_cast<std::ptrdiff_t>(*rc::gen::inRange<std::size_t>(0, held.size())));
      idle = std::min(idle + 1, max_idle);
    }
    intact();
    std::set<const std::uint8_t*> distinct;
    for (const Held& h : held) distinct.insert(h.buffer.bytes().data());
    RC_ASSERT(distinct.size() == held.size());
    RC_ASSERT(pool.in_use() == held.size());
    RC_ASSERT(pool.idle() == idle);
  }
}

}  // namespace
}  // namespace dms
