// What an engine sends, from arbitrary bytes: framed output, and what it tells of an image. Input in pieces must give
// the same as in one piece.
#include <algorithm>
#include <cstdlib>
#include <optional>
#include <string>

#include "executor/docker/docker_stream.hpp"
#include "executor/docker/image_stream.hpp"

namespace {
using dms::executor::ImageProgress;
using dms::executor::ImageStream;

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

struct Told {
  std::optional<ImageProgress> progress;
  std::string said;
  bool ok = true;
  friend bool operator==(const Told&, const Told&) = default;
};

Told read_image(dms::BytesView bytes, std::size_t piece, ImageProgress::Phase first) {
  ImageStream stream("fuzz", first, 1000);
  Told told;
  while (!bytes.empty() && told.ok) {
    const std::size_t n = std::min(piece, bytes.size());
    told.ok = stream.feed(bytes.first(n)).has_value();
    bytes = bytes.subspan(n);
    const auto progress = stream.progress();
    if (progress && progress->done > progress->total) std::abort();
  }
  told.ok = told.ok && stream.end().has_value();
  told.progress = stream.progress();
  told.said = stream.said();
  return told;
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
  using Phase = ImageProgress::Phase;
  const Phase first = data[0] < 128 ? Phase::pulling : Phase::loading;
  if (read_image(bytes, bytes.size() + 1, first) != read_image(bytes, piece, first)) std::abort();
  return 0;
}
