// What a sender writes, read as a receiver reads it; and what a receiver writes.
#include <cstdlib>
#include <filesystem>

#include "base/temporary_folder.hpp"
#include "simulation/scripted_stream.hpp"
#include "simulation/sim_world.hpp"
#include "transfer/fetch.hpp"
#include "transfer/wire.hpp"

namespace {

const std::filesystem::path& folder() {
  static const auto made = dms::TemporaryFolder::in_memory("transfer-fuzz");
  return made.path();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace dms::transfer;
  if (size >= kRequestSize) {
    const std::span<const std::uint8_t, kRequestSize> bytes(data, kRequestSize);
    const auto again = encode(decode_request(bytes));
    if (!std::equal(again.begin(), again.end(), bytes.begin())) std::abort();
  }
  if (const auto ticket = Ticket::parse({reinterpret_cast<const char*>(data), size});
      ticket && Ticket::parse(ticket->to_string()) != *ticket)
    std::abort();
  auto part = PartFile::open(folder() / "file");
  if (!part) std::abort();
  dms::SimWorld world(1);
  dms::SimNode& node = world.add_node("receiver");
  dms::ScriptedStream stream(dms::BytesView(data, size));
  FetchOptions options;
  options.max_bytes = 1 << 20;
  Remedy remedy = Remedy::retry;
  const auto got = world.run(node, receive(stream, Ticket(), *part, options, remedy));
  if (part->size() > options.max_bytes || (got && (got->size != part->size() || got->digest != part->digest())))
    std::abort();
  part->discard();
  return 0;
}
