// The encrypted stream after a Noise handshake (noise.hpp, model 3).
#pragma once

#include "base/stream.hpp"
#include "libp2p/security/noise/handshake.hpp"

namespace dms::libp2p::noise {

class NoiseStream final : public ByteStream {
 public:
  static constexpr std::size_t kTag = crypto::ChaCha20Poly1305::kTagSize;
  static constexpr std::size_t kHeader = 2;
  static constexpr std::size_t kMaxPlain = kMaxMessage - kTag;
  static constexpr std::size_t kMessagesPerWrite = 4;

  NoiseStream(std::unique_ptr<ByteStream> raw, Handshake::Ciphers ciphers)
      : raw_(std::move(raw)), ciphers_(std::move(ciphers)), in_(4096) {}

  Task<Result<std::size_t>> read_some(MutableBytes into) override;
  Task<Result<void>> write(BytesView from) override;
  Task<Result<void>> close_write() override { return raw_->close_write(); }
  void abort() override { raw_->abort(); }

 private:
  std::size_t take_plain(MutableBytes into);
  /// True if a whole message was there and is now plain_.
  Result<bool> open_next();
  void make_room();
  Result<void> seal_into_out(BytesView text);

  std::unique_ptr<ByteStream> raw_;
  Handshake::Ciphers ciphers_;
  std::uint64_t sent_ = 0;
  std::uint64_t received_ = 0;
  Bytes in_;  ///< [begin_, end_) has arrived and is not decrypted
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  MutableBytes plain_;  ///< a part of in_ before begin_: decrypted, not yet read
  Bytes out_;
  bool broken_ = false;
};

}  // namespace dms::libp2p::noise
