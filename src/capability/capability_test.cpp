#include "capability/capability.hpp"

#include <gtest/gtest.h>

#include "base/random.hpp"

namespace dms::capability {
namespace {

Resources make(std::uint64_t millis, std::uint64_t ram, std::uint64_t disk, std::vector<std::uint64_t> vram = {}) {
  Resources r;
  r.cpu.cores = {millis};
  r.ram.size = {ram};
  r.disk.size = {disk};
  for (std::size_t i = 0; i < vram.size(); ++i) {
    Gpu gpu;
    gpu.index = static_cast<std::int64_t>(i);
    gpu.vram = {vram[i]};
    r.gpus.push_back(gpu);
  }
  return r;
}

Cpu cpu(std::uint64_t millis, std::uint64_t hertz, std::string architecture = "") {
  Cpu c;
  c.cores = {millis};
  c.clock_speed = {hertz};
  c.architecture = std::move(architecture);
  return c;
}

TEST(Comparison, ConjunctionFollowsTheTable) {
  using enum Comparison;
  const Comparison order[] = {better, worse, equal, none};
  const Comparison table[4][4] = {{better, worse, better, none},
                                  {worse, worse, worse, none},
                                  {better, worse, equal, none},
                                  {none, none, none, none}};
  for (int i = 0; i < 4; ++i)
    for (int j = 0; j < 4; ++j) EXPECT_EQ(both(order[i], order[j]), table[i][j]) << i << " " << j;
}

TEST(Compare, CoresMustSufficeEvenIfTheProductDoes) {
  // One fast core does not replace four slow ones, unlike in the existing network.
  EXPECT_EQ(compare(cpu(1000, 5 * kGHz), cpu(4000, kGHz)), Comparison::worse);
  EXPECT_EQ(compare(cpu(4000, kGHz), cpu(4000, 2 * kGHz)), Comparison::worse);
  EXPECT_EQ(compare(cpu(4000, kGHz), cpu(4000, kGHz)), Comparison::equal);
  EXPECT_EQ(compare(cpu(4000, 2 * kGHz), cpu(4000, kGHz)), Comparison::better);
  EXPECT_EQ(compare(cpu(2000, 2 * kGHz), cpu(4000, 0)), Comparison::worse) << "without a clock, cores count";
}

TEST(Compare, ArchitectureOnlyMattersIfAsked) {
  EXPECT_EQ(compare(cpu(2000, 0, "x86_64"), cpu(1000, 0)), Comparison::better);
  EXPECT_EQ(compare(cpu(2000, 0, "x86_64"), cpu(1000, 0, "amd64")), Comparison::better);
  EXPECT_EQ(compare(cpu(2000, 0, "x86_64"), cpu(1000, 0, "arm64")), Comparison::none);
}

TEST(Compare, ANarrowRequirementIsNotStarvedByAWideOne) {
  Resources offered = make(0, 0, 0, {8, 16});
  Resources required = make(0, 0, 0, {8, 8});
  offered.gpus[0].vendor = {GpuVendor::nvidia};
  offered.gpus[1].vendor = {GpuVendor::amd};
  required.gpus[1].vendor = {GpuVendor::nvidia};
  EXPECT_EQ(compare(offered.gpus, required.gpus), Comparison::better);
  auto assigned = assign_gpus(offered.gpus, required.gpus);
  ASSERT_TRUE(assigned);
  EXPECT_EQ((*assigned)[0].index, 1);
  EXPECT_EQ((*assigned)[1].index, 0);
  EXPECT_EQ((*assigned)[0].vram.bytes, 8U) << "only the required memory is taken";
}

TEST(Compare, ModelIsFoundByPartOfItsName) {
  Resources offered = make(0, 0, 0, {8});
  Resources required = make(0, 0, 0, {8});
  offered.gpus[0].model = "NVIDIA GeForce RTX 3080";
  required.gpus[0].model = "rtx3080";
  EXPECT_EQ(compare(offered.gpus, required.gpus), Comparison::equal);
  required.gpus[0].model = "rtx3090";
  EXPECT_EQ(compare(offered.gpus, required.gpus), Comparison::worse);
}

TEST(Compare, GpusAgreeWithTryingEveryAssignment) {
  SeededRandom random(7);
  for (int round = 0; round < 2000; ++round) {
    const auto card = [&](std::uint64_t kinds) {
      Gpu gpu;
      gpu.vram = {random.below(4)};
      gpu.vendor = {static_cast<GpuVendor::Kind>(random.below(kinds))};
      return gpu;
    };
    std::vector<Gpu> pool;
    std::vector<Gpu> required;
    for (auto n = random.below(5); n > 0; --n) pool.push_back(card(4));
    for (auto n = random.below(5); n > 0; --n) required.push_back(card(3));
    std::vector<std::size_t> order(pool.size());
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
    bool fits = false;
    do {
      bool all = required.size() <= pool.size();
      for (std::size_t r = 0; all && r < required.size(); ++r) {
        const Gpu& own = pool[order[r]];
        all = own.vram >= required[r].vram &&
              (required[r].vendor.kind == GpuVendor::unspecified || own.vendor == required[r].vendor);
      }
      fits = fits || all;
    } while (!fits && std::next_permutation(order.begin(), order.end()));
    const Comparison found = compare(pool, required);
    EXPECT_EQ(found != Comparison::worse, fits) << "round " << round;
    EXPECT_EQ(assign_gpus(pool, required).has_value(), fits);
  }
}

TEST(Arithmetic, SubtractNamesTheField) {
  const auto message = [](const Resources& a, const Resources& b) { return subtract(a, b).error().message(); };
  EXPECT_EQ(message(make(500, 1, 1), make(1000, 1, 1)), "cpu.cores: 1 cannot be taken from 0.5");
  EXPECT_EQ(message(make(1, kGiB, 1), make(1, 2 * kGiB, 1)), "ram.size: 2 GiB cannot be taken from 1 GiB");
  EXPECT_EQ(message(make(1, 1, 0), make(1, 1, 1)), "disk.size: 1 B cannot be taken from 0 B");
  EXPECT_EQ(message(make(1, 1, 1, {4}), make(1, 1, 1, {5})), "gpus[0].vram: 5 B cannot be taken from 4 B");
  EXPECT_EQ(message(make(1, 1, 1), make(1, 1, 1, {5})), "gpus[0]: there is no card with this index");
}

TEST(Arithmetic, SumsThatDoNotFitAreRefused) {
  EXPECT_FALSE(add(make(1, UINT64_MAX, 1), make(1, 1, 1)));
  EXPECT_FALSE(add(make(1, 1, 1, {UINT64_MAX}), make(1, 1, 1, {1})));
}

TEST(Arithmetic, RandomSumsAgreeWithANaiveModelAndAreReversible) {
  struct Naive {
    std::map<std::string, std::int64_t> amounts;
  };
  const auto naive = [](const Resources& r) {
    Naive n{{{"cores", r.cpu.cores.millis}, {"ram", r.ram.size.bytes}, {"disk", r.disk.size.bytes}}};
    for (const Gpu& gpu : r.gpus)
      n.amounts["gpu" + std::to_string(gpu.index)] += static_cast<std::int64_t>(gpu.vram.bytes);
    return n;
  };
  SeededRandom random(3);
  const auto any = [&] {
    std::vector<std::uint64_t> cards(random.below(3));
    for (auto& card : cards) card = random.below(5);
    return make(random.below(10), random.below(10), random.below(10), cards);
  };
  for (int round = 0; round < 5000; ++round) {
    const Resources a = any();
    const Resources b = any();
    auto total = add(a, b);
    ASSERT_TRUE(total);
    Naive expected = naive(a);
    for (const auto& [name, amount] : naive(b).amounts) expected.amounts[name] += amount;
    EXPECT_EQ(naive(*total).amounts, expected.amounts);
    auto back = subtract(*total, b);
    ASSERT_TRUE(back) << back.error().to_string();
    for (auto [name, amount] : naive(*back).amounts) EXPECT_EQ(amount, naive(a).amounts[name]) << name;

    bool possible = true;
    Naive rest = naive(a);
    for (const auto& [name, amount] : naive(b).amounts)
      possible = possible && rest.amounts.contains(name) && rest.amounts[name] >= amount;
    EXPECT_EQ(subtract(a, b).has_value(), possible) << json::encode(a) << " - " << json::encode(b);
    if (b.gpus.empty()) {
      EXPECT_EQ(covers(a, b), possible);
    }
  }
}

TEST(Arithmetic, RequirementsAreListedSideBySide) {
  auto total = add_requirement(make(1000, 1, 1, {8}), make(500, 1, 1, {4}));
  ASSERT_TRUE(total);
  EXPECT_EQ(total->gpus.size(), 2U);
  Resources intel = make(1, 1, 1);
  intel.cpu.architecture = "x86_64";
  Resources arm = make(1, 1, 1);
  arm.cpu.architecture = "arm64";
  EXPECT_FALSE(add_requirement(intel, arm));
}

TEST(Shortage, NamesWhatIsMissing) {
  EXPECT_EQ(explain_shortage(make(1000, kGiB, kGiB), make(2000, 4 * kGiB, kGiB)),
            "cpu.cores: 2 required, 1 available; ram.size: 4 GiB required, 1 GiB available");
  EXPECT_EQ(explain_shortage(make(1000, 1, 1), make(1000, 1, 1)), "");
}

TEST(Json, HasTheNamesOfTheNetwork) {
  Resources r = make(1500, 2 * kGiB, kGiB, {8});
  r.cpu.clock_speed = {3'200'000'000};
  r.gpus[0].vendor = {GpuVendor::amd};
  const std::string text = json::encode(r);
  EXPECT_EQ(
      text,
      R"({"cpu":{"clock_speed":3200000000,"cores":1.5},"gpus":[{"index":0,"vendor":"AMD/ATI","pci_address":"","model":"",)"
      R"("vram":8,"uuid":""}],"ram":{"size":2147483648},"disk":{"size":1073741824}})");
  auto back = json::decode<Resources>(text);
  ASSERT_TRUE(back) << back.error().to_string();
  EXPECT_EQ(*back, r);
}

TEST(Json, ReadsNumbersOfPeersThatComputeInFloatingPoint) {
  auto r = json::decode<Resources>(
      R"({"cpu":{"clock_speed":2.9e9,"cores":0.3333333},"ram":{"size":1073741824.0},"disk":{"size":0}})");
  ASSERT_TRUE(r) << r.error().to_string();
  EXPECT_EQ(r->cpu.cores.millis, 333U);
  EXPECT_EQ(r->cpu.clock_speed.hertz, 2'900'000'000U);
  EXPECT_EQ(r->ram.size.bytes, kGiB);
}

TEST(Json, RefusesImpossibleValues) {
  const auto error = [](std::string_view text) {
    auto r = json::decode<Resources>(text);
    return r ? std::string("accepted") : r.error().message();
  };
  EXPECT_NE(error(R"({"cpu":{"cores":-1}})").find("cpu.cores"), std::string::npos);
  EXPECT_NE(error(R"({"cpu":{"cores":1e300}})").find("cpu.cores"), std::string::npos);
  EXPECT_NE(error(R"({"ram":{"size":-1}})").find("ram.size"), std::string::npos);
  EXPECT_NE(error(R"({"ram":{"size":1e30}})").find("ram.size"), std::string::npos);
  EXPECT_NE(error(R"({"ram":{"size":"2"}})").find("ram.size"), std::string::npos);
}

}  // namespace
}  // namespace dms::capability
