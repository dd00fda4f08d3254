// The engine's framed output from arbitrary bytes. Input in pieces must give the same output as in one piece.
#include <cstdlib>
#include <string>

#include "executor/docker/docker_stream.hpp"

namespace {
struct Seen {
  std::string out;
  std::string err;
  bool ok = true;
};

Seen read(dms::BytesView bytes, std::size_t piece) {
  using dms::executor::DockerDemux;
  Seen seen;
  DockerDemux demux([&](DockerDemux::Channel channel, dms::BytesView part, bool) {
    (channel == DockerDemux::Channel::out ? seen.out : seen.err).append(dms::as_text(part));
  });
  while (!bytes.empty() && seen.ok) {
    const std::size_t n = std::min(piece, bytes.size());
    seen.ok = demux.feed(bytes.first(n)).has_value();
    bytes = bytes.subspan(n);
  }
  return seen;
}
}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::size_t piece = 1 + data[0] % 16;
  const dms::BytesView bytes(data + 1, size - 1);
  const Seen whole = read(bytes, bytes.size() + 1);
  const Seen pieces = read(bytes, piece);
  if (whole.out != pieces.out || whole.err != pieces.err || whole.ok != pieces.ok) std::abort();
  if (whole.out.size() + whole.err.size() > size) std::abort();
  return 0;
}
