#include "sim/scenario/file_work.hpp"

#include <fmt/format.h>

#include <charconv>
#include <filesystem>
#include <fstream>

#include "base/file.hpp"
#include "base/random.hpp"
#include "crypto/hash.hpp"
#include "encoding/multibase.hpp"

namespace dms::sim {
namespace {

constexpr std::string_view kRead = "SIM_READ=";
constexpr std::string_view kWrite = "SIM_WRITE=";
constexpr std::size_t kMaxFile = 1 << 30;

std::string digest_of(std::string_view text) {
  const crypto::Digest256 digest = crypto::sha256(as_bytes(text));
  return encode(Base::hex, digest);
}

/// What is behind the last '=', which is removed with it.
std::string_view take_last(std::string_view& text) {
  const std::size_t at = text.rfind('=');
  if (at == std::string_view::npos) return {};
  const std::string_view last = text.substr(at + 1);
  text = text.substr(0, at);
  return last;
}

std::uint64_t number(std::string_view text) {
  std::uint64_t value = 0;
  (void)std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

void read(FileWork& done, const std::filesystem::path& folder, std::string_view entry) {
  const std::string_view digest = take_last(entry);
  const Result<std::string> found = read_file(folder / entry, kMaxFile);
  if (found && digest_of(*found) == digest)
    ++done.read;
  else
    done.faults.push_back(found ? fmt::format("the input {} has another content, of {} bytes", entry, found->size())
                                : fmt::format("the input {}: {}", entry, found.error().to_string()));
}

void write(FileWork& done, const std::filesystem::path& folder, std::string_view entry) {
  File file;
  file.size = number(take_last(entry));
  file.seed = number(take_last(entry));
  const std::filesystem::path path = folder / entry;
  std::error_code failed;
  std::filesystem::create_directories(path.parent_path(), failed);
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  out << file.content();
  out.close();
  if (!out) done.faults.push_back(fmt::format("the result {} cannot be written", entry));
}

}  // namespace

std::string File::content() const {
  SeededRandom random(seed);
  const Bytes bytes = random.bytes(size);
  return std::string(as_text(bytes));
}

std::string File::digest() const { return digest_of(content()); }

std::string reads(const std::string& path, const File& file) {
  return fmt::format("{}{}={}", kRead, path, file.digest());
}

std::string writes(const std::string& path, const File& file) {
  return fmt::format("{}{}={}={}", kWrite, path, file.seed, file.size);
}

FileWork do_file_work(const executor::Request& request) {
  FileWork done;
  for (const std::string_view entry : request.engine.params.environment) {
    if (entry.starts_with(kRead)) read(done, request.work_dir, entry.substr(kRead.size()));
    if (entry.starts_with(kWrite)) write(done, request.work_dir, entry.substr(kWrite.size()));
  }
  return done;
}

}  // namespace dms::sim
