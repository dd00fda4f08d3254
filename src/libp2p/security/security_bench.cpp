// A secured stream compared with the bare cipher: both ends in one thread, over a pipe in memory.
#include <benchmark/benchmark.h>
#include <openssl/evp.h>

#include <cstring>

#include "libp2p/security/noise/noise.hpp"
#include "libp2p/security/tls/tls.hpp"
#include "simulation/sim_world.hpp"

namespace dms::libp2p {
namespace {

constexpr std::size_t kTransfer = 16 << 20;
constexpr std::size_t kPiece = 64 << 10;

/// One direction of a pipe: holds at most kCapacity bytes.
struct Half {
  static constexpr std::size_t kCapacity = 512 << 10;
  Bytes bytes;
  std::size_t taken = 0;
  bool ended = false;
  Notify changed;
};

class End final : public ByteStream {
 public:
  End(std::shared_ptr<Half> in, std::shared_ptr<Half> out) : in_(std::move(in)), out_(std::move(out)) {}
  ~End() override { end(); }

  Task<Result<std::size_t>> read_some(MutableBytes into) override {
    while (in_->taken == in_->bytes.size()) {
      if (in_->ended) co_return std::size_t{0};
      CO_TRY_VOID(co_await in_->changed.wait());
    }
    const std::size_t count = std::min(into.size(), in_->bytes.size() - in_->taken);
    std::memcpy(into.data(), in_->bytes.data() + in_->taken, count);
    in_->taken += count;
    if (in_->taken == in_->bytes.size()) {
      in_->bytes.clear();
      in_->taken = 0;
      in_->changed.notify_all();
    }
    co_return count;
  }
  Task<Result<void>> write(BytesView from) override {
    while (!out_->bytes.empty() && out_->bytes.size() + from.size() > Half::kCapacity) {
      if (out_->ended) co_return fail(Errc::closed, "the pipe is closed");
      CO_TRY_VOID(co_await out_->changed.wait());
    }
    append(out_->bytes, from);
    out_->changed.notify_all();
    co_return Result<void>();
  }
  Task<Result<void>> close_write() override {
    end();
    co_return Result<void>();
  }
  void abort() override { end(); }

 private:
  void end() {
    out_->ended = true;
    out_->changed.notify_all();
  }
  std::shared_ptr<Half> in_;
  std::shared_ptr<Half> out_;
};

std::pair<std::unique_ptr<ByteStream>, std::unique_ptr<ByteStream>> make_pipe() {
  auto one = std::make_shared<Half>();
  auto two = std::make_shared<Half>();
  return {std::make_unique<End>(one, two), std::make_unique<End>(two, one)};
}

template <class T>
Task<void> keep(Task<T> task, std::optional<T>& into) {
  into.emplace(co_await std::move(task));
}

using Streams = std::pair<std::unique_ptr<ByteStream>, std::unique_ptr<ByteStream>>;

struct Bench {
  SimWorld world{1};
  SimNode& node = world.add_node("n");
  SeededRandom random{1};
  crypto::PrivateKey key = crypto::PrivateKey::generate(random);

  /// A secured pipe; none if the handshake failed.
  std::optional<Streams> handshake(Security& security) {
    auto [left, right] = make_pipe();
    std::optional<Result<Secured>> a, b;
    Nursery nursery(node.runtime().lane, "handshake");
    nursery.spawn(keep(security.secure(std::move(left), Side::dialer, {}, {"/yamux/1.0.0"}), a));
    nursery.spawn(keep(security.secure(std::move(right), Side::listener, {}, {"/yamux/1.0.0"}), b));
    world.run(node, nursery.join());
    if (!a || !b || !*a || !*b) return std::nullopt;
    return Streams{std::move((*a)->stream), std::move((*b)->stream)};
  }
};

template <class S>
S make(Bench& bench);
template <>
noise::Noise make<noise::Noise>(Bench& bench) {
  return {bench.key, bench.random};
}
template <>
tls::Tls make<tls::Tls>(Bench& bench) {
  return {bench.key, bench.world.unix_now()};
}

Task<Result<void>> send(ByteStream& stream, BytesView piece) {
  for (std::size_t sent = 0; sent < kTransfer; sent += piece.size()) CO_TRY_VOID(co_await stream.write(piece));
  co_return Result<void>();
}

Task<Result<void>> receive(ByteStream& stream, MutableBytes into) {
  for (std::size_t got = 0; got < kTransfer;) {
    CO_TRY(std::size_t count, co_await stream.read_some(into));
    if (count == 0) co_return fail(Errc::closed, "ended early");
    got += count;
  }
  co_return Result<void>();
}

void transfer(benchmark::State& state, Bench& bench, Streams& streams) {
  const Bytes piece(kPiece, 7);
  Bytes into(kPiece);
  for (auto _ : state) {
    std::optional<Result<void>> sent, received;
    Nursery nursery(bench.node.runtime().lane, "transfer");
    nursery.spawn(keep(send(*streams.first, piece), sent));
    nursery.spawn(keep(receive(*streams.second, into), received));
    bench.world.run(bench.node, nursery.join());
    if (!*sent || !*received) state.SkipWithError("the transfer failed");
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * kTransfer));
}

void bare_pipe(benchmark::State& state) {
  Bench bench;
  Streams streams = make_pipe();
  transfer(state, bench, streams);
}
BENCHMARK(bare_pipe);

template <class S>
void stream(benchmark::State& state) {
  Bench bench;
  S security = make<S>(bench);
  auto streams = bench.handshake(security);
  if (!streams) return state.SkipWithError("the handshake failed");
  transfer(state, bench, *streams);
}
BENCHMARK(stream<noise::Noise>)->Name("noise_stream");
BENCHMARK(stream<tls::Tls>)->Name("tls_stream");

template <class S>
void handshake(benchmark::State& state) {
  Bench bench;
  S security = make<S>(bench);
  for (auto _ : state)
    if (!bench.handshake(security)) state.SkipWithError("the handshake failed");
}
BENCHMARK(handshake<noise::Noise>)->Name("noise_handshake");
BENCHMARK(handshake<tls::Tls>)->Name("tls_handshake");

/// Seals and opens messages of 16 KiB in place, as both ends together do.
void bare_cipher(benchmark::State& state, const EVP_CIPHER* cipher) {
  using Context = std::unique_ptr<EVP_CIPHER_CTX, decltype(&EVP_CIPHER_CTX_free)>;
  const Context seal(EVP_CIPHER_CTX_new(), EVP_CIPHER_CTX_free);
  const Context open(EVP_CIPHER_CTX_new(), EVP_CIPHER_CTX_free);
  Bytes text(16 << 10), key(32), nonce(12), tag(16);
  EVP_EncryptInit_ex(seal.get(), cipher, nullptr, key.data(), nonce.data());
  EVP_DecryptInit_ex(open.get(), cipher, nullptr, key.data(), nonce.data());
  int size = 0;
  for (auto _ : state) {
    ++nonce[0];
    EVP_EncryptInit_ex(seal.get(), nullptr, nullptr, nullptr, nonce.data());
    EVP_EncryptUpdate(seal.get(), text.data(), &size, text.data(), static_cast<int>(text.size()));
    EVP_EncryptFinal_ex(seal.get(), tag.data(), &size);
    EVP_CIPHER_CTX_ctrl(seal.get(), EVP_CTRL_AEAD_GET_TAG, 16, tag.data());
    EVP_DecryptInit_ex(open.get(), nullptr, nullptr, nullptr, nonce.data());
    EVP_CIPHER_CTX_ctrl(open.get(), EVP_CTRL_AEAD_SET_TAG, 16, tag.data());
    EVP_DecryptUpdate(open.get(), text.data(), &size, text.data(), static_cast<int>(text.size()));
    if (EVP_DecryptFinal_ex(open.get(), tag.data(), &size) != 1) state.SkipWithError("the tag does not fit");
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * text.size()));
}
BENCHMARK_CAPTURE(bare_cipher, chacha20_poly1305, EVP_chacha20_poly1305());
BENCHMARK_CAPTURE(bare_cipher, aes_128_gcm, EVP_aes_128_gcm());
BENCHMARK_CAPTURE(bare_cipher, aes_256_gcm, EVP_aes_256_gcm());

}  // namespace
}  // namespace dms::libp2p
