// What an engine tells while it pulls or loads an image: a JSON object a line.
//
// Model
//  1. feed() takes the bytes as they come, cut anywhere. A line that is no JSON object is skipped, and so are members
//     of another kind than expected. An object with `error` is the error of feed(): nothing follows it.
//  2. progress() sums the layers whose size the engine has told: its `total` may grow. A pull is `pulling` until all
//     layers are here, then `extracting`; what is loaded is `extracting` from its first layer on, and its `total` is at
//     least the size of the archive. What the engine had before does not count.
//  3. said() is the text of the engine about the result.
//
// Threads: a value. Failure: Errc::not_found with the engine's words; limit_exceeded beyond the bounds: kMaxLine bytes
// in a line, kMaxSaid bytes of text. Layers beyond kMaxLayers do not count, and sizes are at most kMaxLayer: what an
// image of a stranger makes the engine tell is bounded, and a sum does not wrap around.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.hpp"
#include "encoding/json.hpp"
#include "executor/executor.hpp"

namespace dms::executor {

class ImageStream {
 public:
  static constexpr std::size_t kMaxLine = 64 * 1024;
  static constexpr std::size_t kMaxSaid = 64 * 1024;
  static constexpr std::size_t kMaxLayers = 256;
  static constexpr std::size_t kMaxLayerId = 128;
  static constexpr std::uint64_t kMaxLayer = std::uint64_t{1} << 50;

  /// `what` begins errors. `first`: pulling, or loading an archive of `size` bytes.
  ImageStream(std::string what, ImageProgress::Phase first, std::uint64_t size = 0)
      : what_(std::move(what)), first_(first), size_(size) {}

  Result<void> feed(BytesView bytes);
  /// Nothing more comes; the last line may lack its end.
  Result<void> end() { return feed(as_bytes("\n")); }

  /// Nothing before the engine has told of a layer.
  [[nodiscard]] std::optional<ImageProgress> progress() const;
  [[nodiscard]] const std::string& said() const { return said_; }

 private:
  struct Layer {
    bool here = false;  ///< it need not be fetched any more
    std::uint64_t total = 0;
    std::uint64_t fetched = 0;
    std::uint64_t extracted = 0;
  };
  Result<void> take(std::string_view line);
  void count(const json::Value& line);
  /// Null if it is not known and there is no room for it.
  Layer* find_layer(const std::string& id);

  std::string what_;
  ImageProgress::Phase first_;
  std::uint64_t size_;
  std::string pending_;  ///< of the line that has not ended
  std::string said_;
  std::map<std::string, Layer> layers_;
};

}  // namespace dms::executor
