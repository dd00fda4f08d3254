// What the store costs on the disk that holds the current folder, and in memory. Items are single operations.
#include <benchmark/benchmark.h>
#include <unistd.h>
#include <filesystem>

#include "db/store.hpp"

namespace dms::db {
namespace {

constexpr std::size_t kDocument = 1024;

/// Different each time: SQLite does not write an unchanged row.
std::string document() {
  static std::uint64_t number = 0;
  std::string text(kDocument, 'x');
  const std::string digits = std::to_string(++number);
  text.replace(0, digits.size(), digits);
  return text;
}

/// A store in a temporary folder, which the destructor removes.
class Disk {
 public:
  Disk() : folder_(std::filesystem::absolute("store_bench." + std::to_string(::getpid()))) {}
  ~Disk() {
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }
  [[nodiscard]] std::string path() const { return (folder_ / "nunet.db").string(); }

 private:
  std::filesystem::path folder_;
};
struct Memory {
  [[nodiscard]] std::string path() const { return std::string(Store::kMemory); }
};

template <class Place>
void put(benchmark::State& state) {
  const Place place;
  Store store = *Store::open(place.path());
  int i = 0;
  for (auto _ : state)
    if (!store.put("bench", std::to_string(++i % 100), document())) return state.SkipWithError("put failed");
}
BENCHMARK(put<Disk>)->UseRealTime();
BENCHMARK(put<Memory>);

/// Ten documents in one transaction, which waits for the disk once.
template <class Place>
void put_ten(benchmark::State& state) {
  const Place place;
  Store store = *Store::open(place.path());
  for (auto _ : state) {
    const auto done = store.transaction([&]() -> Result<void> {
      for (int i = 0; i < 10; ++i) TRY_VOID(store.put("bench", std::to_string(i), document()));
      return {};
    });
    if (!done) return state.SkipWithError("transaction failed");
  }
  state.SetItemsProcessed(state.iterations() * 10);
}
BENCHMARK(put_ten<Disk>)->UseRealTime();

template <class Place>
void get(benchmark::State& state) {
  const Place place;
  Store store = *Store::open(place.path());
  (void)store.put("bench", "1", std::string(kDocument, 'x'));
  for (auto _ : state) benchmark::DoNotOptimize(store.get("bench", "1"));
}
BENCHMARK(get<Disk>)->UseRealTime();

template <class Place>
void list_1000(benchmark::State& state) {
  const Place place;
  Store store = *Store::open(place.path());
  const auto filled = store.transaction([&]() -> Result<void> {
    for (int i = 0; i < 1000; ++i) TRY_VOID(store.put("bench", std::to_string(i), std::string(kDocument, 'x')));
    return {};
  });
  if (!filled) return state.SkipWithError("transaction failed");
  for (auto _ : state) benchmark::DoNotOptimize(store.list("bench"));
}
BENCHMARK(list_1000<Disk>)->UseRealTime();

}  // namespace
}  // namespace dms::db
