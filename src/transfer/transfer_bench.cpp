// One file between two nodes over libp2p on the loopback, each on a thread of its own, as between two daemons.
// TRANSFER_BENCH_BYTES sets its size, TRANSFER_BENCH_FOLDER where it lies.
#include <benchmark/benchmark.h>

#include <fstream>
#include <future>
#include <thread>

#include "base/random.hpp"
#include "base/temporary_folder.hpp"
#include "network/libp2p_network.hpp"
#include "runtime/real_runtime.hpp"
#include "transfer/fetch.hpp"
#include "transfer/server.hpp"

namespace dms::transfer {
namespace {

std::string variable(const char* name, std::string otherwise) {
  const char* value = std::getenv(name);
  return value != nullptr ? value : std::move(otherwise);
}

crypto::PrivateKey make_key(std::uint64_t seed) {
  SeededRandom random(seed);
  return crypto::PrivateKey::generate(random);
}

struct Files {
  Files() {
    SeededRandom random(1);
    std::ofstream file(folder / "source", std::ios::binary);
    for (std::uint64_t left = std::stoull(variable("TRANSFER_BENCH_BYTES", "268435456")); left > 0;) {
      const Bytes block = random.bytes(std::min<std::uint64_t>(left, 1 << 20));
      file.write(reinterpret_cast<const char*>(block.data()), static_cast<std::streamsize>(block.size()));
      left -= block.size();
    }
  }
  TemporaryFolder made = TemporaryFolder::make("transfer-bench", variable("TRANSFER_BENCH_FOLDER", "")).value();
  std::filesystem::path folder = made.path();
};

/// The sender, on a thread of its own until the end.
class Sender {
 public:
  Sender(const std::filesystem::path& file, crypto::PeerId receiver) {
    content = content_of(file).value();
    std::promise<void> ready;
    std::future<void> is_ready = ready.get_future();
    thread_ = std::thread([this, &ready, file, receiver] {
      RealRuntime world;
      network::Libp2pNetwork network(world.runtime(), make_key(1));
      Server server(world.runtime().lane, network);
      if (!network.listen("/ip4/127.0.0.1/tcp/0") || !server.open()) std::abort();
      address = network.listen_addresses().front();
      ticket = server.offer(receiver, file, content, 1h).value();
      peer = network.self();
      lane_ = &world.runtime().lane;
      ready.set_value();
      world.run(until_stopped());
      world.run(close(server, network));
    });
    is_ready.wait();
  }
  ~Sender() {
    lane_->post([this] {
      stopped_ = true;
      stop_.notify_all();
    });
    thread_.join();
  }
  std::string address;
  std::optional<crypto::PeerId> peer;
  Ticket ticket;
  Content content;

 private:
  Task<void> until_stopped() {
    while (!stopped_) (void)co_await stop_.wait();
  }
  static Task<void> close(Server& server, network::Network& network) {
    co_await server.close();
    co_await network.close();
  }
  std::thread thread_;
  Lane* lane_ = nullptr;
  bool stopped_ = false;
  Notify stop_;
};

void fetch_over_loopback(benchmark::State& state) {
  const Files files;
  RealRuntime world;
  network::Libp2pNetwork network(world.runtime(), make_key(2));
  Sender sender(files.folder / "source", network.self());
  if (!world.run(network.connect(sender.address))) return state.SkipWithError("connecting failed");
  for (auto unused : state) {
    (void)unused;
    const auto got = world.run(fetch(network, *sender.peer, sender.ticket, files.folder / "got"));
    if (!got || *got != sender.content) state.SkipWithError(got ? "another content" : got.error().to_string().c_str());
    state.PauseTiming();
    std::filesystem::remove(files.folder / "got");
    state.ResumeTiming();
  }
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(sender.content.size));
  world.run(network.close());
}
BENCHMARK(fetch_over_loopback)->UseRealTime()->Unit(benchmark::kMillisecond)->MinTime(1);

}  // namespace
}  // namespace dms::transfer
