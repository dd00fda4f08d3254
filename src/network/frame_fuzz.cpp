// The first byte chooses the size of the pieces; the rest is a stream. The decoder must agree with reading it at once.
#include <cstdlib>

#include "network/frame.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace dms::network;
  if (size == 0) return 0;
  const dms::BytesView stream(data + 1, size - 1);
  FrameDecoder whole;
  auto all = whole.feed(stream);

  FrameDecoder pieces;
  const std::size_t step = std::size_t{data[0]} + 1;
  std::size_t at = 0;
  bool failed = false;
  while (at < stream.size() && !failed) {
    auto taken = pieces.feed(stream.subspan(at, std::min(step, stream.size() - at)));
    if (!taken)
      failed = true;
    else if (*taken == 0)
      break;
    else
      at += *taken;
  }
  if (failed == all.has_value()) std::abort();
  if (failed) return 0;
  if (at != *all || whole.complete() != pieces.complete()) std::abort();
  if (!whole.complete()) return 0;
  const dms::Bytes message = whole.take();
  if (message != pieces.take()) std::abort();
  auto again = encode_frame(message);
  if (again && !std::equal(again->begin(), again->end(), stream.begin())) std::abort();
  return 0;
}
