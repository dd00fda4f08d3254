// What a sender writes, read as a receiver reads it; and what a receiver writes.
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

#include "simulation/scripted_stream.hpp"
#include "simulation/sim_world.hpp"
#include "transfer/fetch.hpp"
#include "transfer/wire.hpp"

namespace {

const std::filesystem::path& folder() {
  static const std::filesystem::path made = [] {
    std::error_code ignored;
    const bool in_memory = std::filesystem::is_directory("/dev/shm", ignored);
    std::string name = (in_memory ? std::filesystem::path("/dev/shm") : std::filesystem::temp_directory_path()) /
                       "transfer-fuzz-XXXXXX";
    if (::mkdtemp(name.data()) == nullptr) std::abort();
    std::atexit([] { std::filesystem::remove_all(folder()); });
    return std::filesystem::path(name);
  }();
  return made;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace dms::transfer;
  if (size >= kRequestSize) {
    const std::span<const std::uint8_t, kRequestSize> bytes(data, kRequestSize);
    const auto again = encode(decode_request(bytes));
    if (!std::equal(again.begin(), again.end(), bytes.begin())) std::abort();
  }
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
