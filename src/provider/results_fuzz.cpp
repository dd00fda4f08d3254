// An index of packed results of any content: what is offered of it has a ticket, and what cannot be read is packed anew.
#include <cstdlib>

#include "base/file.hpp"
#include "base/temporary_folder.hpp"
#include "network/memory_network.hpp"
#include "provider/results.hpp"
#include "simulation/sim_world.hpp"

namespace {

const std::filesystem::path& folder() {
  static const auto made = dms::TemporaryFolder::in_memory("results-fuzz");
  return made.path();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace dms;
  const std::string_view index(reinterpret_cast<const char*>(data), size);
  if (!write_file(folder() / "run" / "results" / "index.json", index)) std::abort();
  SimWorld world(1);
  SimNode& node = world.add_node("provider");
  Lane& lane = node.runtime().lane;
  const auto key = crypto::PrivateKey::generate(lane.random());
  const crypto::PeerId peer = crypto::PeerId::from(key.public_key());
  network::MemoryNetwork network(std::make_shared<network::MemorySubstrate>(), lane, peer);
  transfer::Server server(lane, network);
  provider::Results results(lane, server);
  provider::Results::Source source;
  source.work = folder() / "work";
  source.run = folder() / "run";
  const auto files = world.run(node, results.list(std::move(source), peer));
  if (files)
    for (const protocol::ResultFile& file : *files)
      if (file.error.empty() && !transfer::Ticket::parse(file.ticket)) std::abort();
  world.run(node, results.close());
  world.run(node, server.close());
  world.run(node, network.close());
  return 0;
}
