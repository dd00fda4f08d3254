#include "executor/docker/image_archive.hpp"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "base/text.hpp"
#include "crypto/hash.hpp"
#include "encoding/json.hpp"
#include "encoding/multibase.hpp"
#include "executor/docker/docker_api.hpp"
#include "hardware/machine.hpp"
#include "runtime/process.hpp"

namespace dms::executor {
namespace fs = std::filesystem;

namespace {

constexpr std::size_t kMaxEntries = 100'000;
constexpr std::size_t kMaxDocument = 4 * 1024 * 1024;
constexpr std::size_t kMaxLayers = 512;
constexpr std::size_t kMaxName = 4096;
constexpr std::size_t kBlock = 1024 * 1024;
constexpr int kMaxLinks = 8;
constexpr int kMaxIndexes = 4;
constexpr std::size_t kMaxNamed = 8;
constexpr std::string_view kExpected = "expected a tar archive of one image, as `docker save` writes it";

struct FreeReader {
  void operator()(archive* a) const { archive_read_free(a); }
};
struct FreeWriter {
  void operator()(archive* a) const { archive_write_free(a); }
};
struct FreeEntry {
  void operator()(archive_entry* e) const { archive_entry_free(e); }
};

template <class... Args>
std::unexpected<Error> wrong(fmt::format_string<Args...> text, Args&&... args) {
  return fail(Errc::invalid_argument, "execution.image_archive: {}", fmt::format(text, std::forward<Args>(args)...));
}

std::string in_quotes(std::string_view name) { return fmt::format("\"{}\"", printable(name.substr(0, 128))); }

std::string text_of(archive* a) {
  const char* text = archive_error_string(a);
  return printable(std::string_view(text != nullptr ? text : "libarchive failed").substr(0, 256));
}

/// A name as the documents of the archive write it; empty for one that leaves the archive.
std::string inner_name(const fs::path& name) {
  const std::string normal = name.lexically_normal().string();
  return name.is_absolute() || normal.starts_with("..") || normal.size() > kMaxName ? std::string() : normal;
}

/// What the file is compressed by, as its first bytes say; empty if it is not.
std::string_view compression_of(const Fd& file) {
  using namespace std::string_view_literals;
  constexpr std::pair<std::string_view, std::string_view> kKinds[] = {{"\x1f\x8b"sv, "gzip"},
                                                                      {"\x28\xb5\x2f\xfd"sv, "zstd"},
                                                                      {"\xfd"
                                                                       "7zXZ"sv,
                                                                       "xz"},
                                                                      {"BZh"sv, "bzip2"}};
  std::array<char, 8> begin{};
  const ssize_t got = ::pread(file.get(), begin.data(), begin.size(), 0);
  for (const auto& [magic, name] : kKinds)
    if (std::string_view(begin.data(), static_cast<std::size_t>(std::max<ssize_t>(got, 0))).starts_with(magic))
      return name;
  return {};
}

/// Calls `use` with each entry; it returns false to end.
using Visit = std::function<Result<bool>(archive*, archive_entry*, std::string name)>;
Result<void> visit(const fs::path& path, const Visit& use) {
  const Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) return wrong("{}; {}", std::strerror(errno), kExpected);
  const std::unique_ptr<archive, FreeReader> reader(archive_read_new());
  if (!reader || archive_read_support_format_tar(reader.get()) != ARCHIVE_OK)
    return fail(Errc::internal, "libarchive cannot read tar archives");
  if (const std::string_view compression = compression_of(file); !compression.empty())
    return wrong("the archive is compressed by {0}; send what `{0} -d` makes of it (its layers may be compressed)",
                 compression);
  if (archive_read_open_fd(reader.get(), file.get(), kBlock) != ARCHIVE_OK)
    return wrong("{}; {}", text_of(reader.get()), kExpected);
  for (std::size_t entries = 0;; ++entries) {
    if (entries > kMaxEntries) return fail(Errc::limit_exceeded, "execution.image_archive: too many entries");
    archive_entry* entry = nullptr;
    const int outcome = archive_read_next_header(reader.get(), &entry);
    if (outcome == ARCHIVE_EOF) return {};
    if (outcome != ARCHIVE_OK && outcome != ARCHIVE_WARN) return wrong("{}; {}", text_of(reader.get()), kExpected);
    const char* name = archive_entry_pathname(entry);
    if (name == nullptr) continue;
    TRY(const bool more, use(reader.get(), entry, inner_name(name)));
    if (!more) return {};
  }
}

Result<std::string> read_document(archive* a, std::string_view name) {
  std::string text;
  std::string block(64 * 1024, '\0');
  for (;;) {
    const la_ssize_t got = archive_read_data(a, block.data(), block.size());
    if (got < 0) return wrong("{}: {}", in_quotes(name), text_of(a));
    if (got == 0) return text;
    text.append(block.data(), static_cast<std::size_t>(got));
    if (text.size() > kMaxDocument) return fail(Errc::limit_exceeded, "execution.image_archive: {} is too large", name);
  }
}

/// The entries of an archive: the first of a name counts.
class Entries {
 public:
  static Result<Entries> read(const fs::path& path) {
    Entries made(path);
    TRY_VOID(visit(path, [&](archive*, archive_entry* entry, std::string name) -> Result<bool> {
      const char* link = archive_entry_symlink(entry);
      std::string target;
      if (link != nullptr) target = inner_name(fs::path(name).parent_path() / link);
      if (const char* hard = archive_entry_hardlink(entry); hard != nullptr) target = inner_name(hard);
      const bool is_link = link != nullptr || archive_entry_hardlink(entry) != nullptr;
      if (!name.empty() && (is_link || archive_entry_filetype(entry) == AE_IFREG))
        made.targets_.try_emplace(std::move(name), is_link ? std::optional(target) : std::nullopt);
      return true;
    }));
    return made;
  }

  /// The entry that has the content: of a link, its target.
  [[nodiscard]] Result<std::string> find(const std::string& given) const {
    std::string name = inner_name(given);
    for (int i = 0; i < kMaxLinks; ++i) {
      const auto found = targets_.find(name);
      if (name.empty() || found == targets_.end()) break;
      if (!found->second) return name;
      name = *found->second;
    }
    return wrong("{} is missing", in_quotes(given));
  }
  [[nodiscard]] bool has(const std::string& name) const { return targets_.contains(name); }

  [[nodiscard]] Result<std::string> document(const std::string& given) const {
    TRY(const std::string name, find(given));
    std::string text;
    TRY_VOID(visit(path_, [&](archive* a, archive_entry* entry, const std::string& at) -> Result<bool> {
      if (at != name || archive_entry_filetype(entry) != AE_IFREG) return true;
      TRY(text, read_document(a, name));
      return false;
    }));
    return text;
  }
  [[nodiscard]] Result<json::Value> json(const std::string& name) const {
    TRY(const std::string text, document(name));
    Result<json::Value> value = json::parse(text);
    if (!value) return wrong("{}: {}", in_quotes(name), value.error().to_string());
    return value;
  }

 private:
  explicit Entries(fs::path path) : path_(std::move(path)) {}
  fs::path path_;
  std::map<std::string, std::optional<std::string>> targets_;
};

/// What an image consists of: names of entries.
struct Parts {
  std::string config;
  std::vector<std::string> layers;
};

const json::Array* list_at(const json::Value& value, std::string_view name) {
  const json::Value* found = json_at(value, {name});
  return found == nullptr ? nullptr : found->if_array();
}

Result<Parts> of_docker(const Entries& entries) {
  TRY(const json::Value manifest, entries.json("manifest.json"));
  const json::Array* images = manifest.if_array();
  if (images == nullptr || images->size() != 1)
    return wrong("manifest.json lists {} images; save one", images == nullptr ? 0 : images->size());
  const json::Array* layers = list_at(images->front(), "Layers");
  if (layers == nullptr) return wrong("manifest.json: Layers: expected a list");
  Parts parts;
  parts.config = json_text(images->front(), {"Config"});
  for (const json::Value& layer : *layers) {
    const auto* name = layer.if_string();
    if (name == nullptr) return wrong("manifest.json: Layers: expected names");
    parts.layers.emplace_back(name->data(), name->size());
  }
  return parts;
}

Result<std::string> blob_of(const json::Value& descriptor) {
  constexpr std::string_view kAlgorithm = "sha256:";
  const std::string digest = json_text(descriptor, {"digest"});
  const bool usable = digest.size() == kAlgorithm.size() + 64 && digest.starts_with(kAlgorithm) &&
                      digest.find_first_not_of("0123456789abcdef", kAlgorithm.size()) == std::string::npos;
  if (!usable) return wrong("the digest {}: expected sha256:<hex>", in_quotes(digest));
  return "blobs/sha256/" + digest.substr(kAlgorithm.size());
}

/// The architecture of this machine as images name it.
std::string this_architecture() {
  static const std::map<std::string_view, std::string_view> kNames = {
      {"x86_64", "amd64"}, {"aarch64", "arm64"}, {"i686", "386"}, {"armv7l", "arm"}};
  const std::string name = hardware::architecture();
  const auto known = kNames.find(name);
  return known == kNames.end() ? name : std::string(known->second);
}

std::string platform_of(const json::Value& descriptor) {
  const std::string os = json_text(descriptor, {"platform", "os"});
  return os.empty() ? os : fmt::format("{}/{}", os, json_text(descriptor, {"platform", "architecture"}));
}

/// The image of an index that this machine runs. One image alone is taken whatever its platform is said to be; what belongs
/// to no platform, such as signatures, is none.
Result<json::Value> choose(const json::Value& index, std::string_view document) {
  constexpr std::string_view kNoPlatform = "unknown/unknown";
  const json::Array* listed = list_at(index, "manifests");
  if (listed == nullptr) return wrong("{}: manifests: expected a list", in_quotes(document));
  std::vector<json::Value> images;
  for (const json::Value& descriptor : *listed)
    if (platform_of(descriptor) != kNoPlatform) images.push_back(descriptor);
  if (images.empty()) return wrong("{} lists no image", in_quotes(document));
  if (images.size() == 1) return images.front();
  const std::string wanted = "linux/" + this_architecture();
  const auto is_wanted = [&](const json::Value& image) { return platform_of(image) == wanted; };
  const auto fitting = std::ranges::count_if(images, is_wanted);
  if (fitting == 1) return *std::ranges::find_if(images, is_wanted);
  std::vector<std::string> platforms;
  for (const json::Value& image : images) {
    const std::string platform = platform_of(image);
    platforms.push_back(platform.empty() ? "of no platform" : in_quotes(platform));
  }
  if (platforms.size() > kMaxNamed) platforms.resize(kMaxNamed);
  return wrong("{} lists {} images ({}), {} of them for this machine, {}; write one", in_quotes(document),
               images.size(), fmt::join(platforms, ", "), fitting, wanted);
}

Result<Parts> of_oci(const Entries& entries) {
  std::string name = "index.json";
  TRY(json::Value manifest, entries.json(name));
  for (int depth = 0; name == "index.json" || json_at(manifest, {"manifests"}) != nullptr; ++depth) {
    if (depth == kMaxIndexes) return wrong("{}: an index of indexes of indexes", in_quotes(name));
    TRY(const json::Value chosen, choose(manifest, name));
    TRY(name, blob_of(chosen));
    TRY(manifest, entries.json(name));
  }
  const json::Value* config = json_at(manifest, {"config"});
  const json::Array* layers = list_at(manifest, "layers");
  if (config == nullptr || layers == nullptr) return wrong("{} is not the manifest of an image", in_quotes(name));
  Parts parts;
  TRY(parts.config, blob_of(*config));
  for (const json::Value& layer : *layers) {
    TRY(std::string blob, blob_of(layer));
    parts.layers.push_back(std::move(blob));
  }
  return parts;
}

/// As entries of the archive that have content.
Result<Parts> find_parts(const Entries& entries) {
  const bool docker = entries.has("manifest.json");
  if (!docker && !entries.has("index.json"))
    return wrong("it has neither manifest.json (docker save) nor index.json (OCI layout)");
  TRY(Parts named, docker ? of_docker(entries) : of_oci(entries));
  if (named.layers.empty() || named.layers.size() > kMaxLayers)
    return wrong("{} layers; expected 1 to {}", named.layers.size(), kMaxLayers);
  Parts parts;
  TRY(parts.config, entries.find(named.config));
  for (const std::string& layer : named.layers) {
    TRY(std::string entry, entries.find(layer));
    parts.layers.push_back(std::move(entry));
  }
  return parts;
}

class Writer {
 public:
  explicit Writer(fs::path path) : path_(std::move(path)) {}
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;
  ~Writer() {
    archive_.reset();
    std::error_code ignored;
    if (!kept_) fs::remove(path_, ignored);
  }

  Result<void> open() {
    archive_.reset(archive_write_new());
    entry_.reset(archive_entry_new());
    if (!archive_ || !entry_ || archive_write_set_format_pax_restricted(archive_.get()) != ARCHIVE_OK)
      return fail(Errc::internal, "libarchive cannot write pax archives");
    if (archive_write_open_filename(archive_.get(), path_.c_str()) != ARCHIVE_OK) return broken();
    return {};
  }
  Result<void> begin(const std::string& name, std::int64_t size) {
    archive_entry_clear(entry_.get());
    archive_entry_set_pathname(entry_.get(), name.c_str());
    archive_entry_set_filetype(entry_.get(), AE_IFREG);
    archive_entry_set_perm(entry_.get(), 0600);
    archive_entry_set_size(entry_.get(), size);
    return archive_write_header(archive_.get(), entry_.get()) == ARCHIVE_OK ? Result<void>() : broken();
  }
  Result<void> write(std::string_view data) {
    const la_ssize_t put = archive_write_data(archive_.get(), data.data(), data.size());
    return put == static_cast<la_ssize_t>(data.size()) ? Result<void>() : broken();
  }
  Result<void> add(const std::string& name, std::string_view content) {
    TRY_VOID(begin(name, static_cast<std::int64_t>(content.size())));
    return write(content);
  }
  Result<void> finish() {
    if (archive_write_close(archive_.get()) != ARCHIVE_OK) return broken();
    kept_ = true;
    return {};
  }

 private:
  [[nodiscard]] Result<void> broken() const {
    return fail(Errc::io, "writing {}: {}", path_.string(), text_of(archive_.get()));
  }
  fs::path path_;
  std::unique_ptr<archive, FreeWriter> archive_;
  std::unique_ptr<archive_entry, FreeEntry> entry_;
  bool kept_ = false;
};

Result<void> copy_layers(const fs::path& from, std::map<std::string, std::string> wanted, Writer& writer) {
  std::string block(kBlock, '\0');
  std::error_code ec;
  std::int64_t left = static_cast<std::int64_t>(fs::file_size(from, ec));
  if (ec) return fail(Errc::io, "{}: {}", from.string(), ec.message());
  TRY_VOID(visit(from, [&](archive* a, archive_entry* entry, const std::string& name) -> Result<bool> {
    const auto found = wanted.find(name);
    if (found == wanted.end() || archive_entry_filetype(entry) != AE_IFREG) return true;
    const std::int64_t size = archive_entry_size(entry);
    if (size < 0 || size > left) return wrong("{} is larger than the archive", in_quotes(name));  // holes
    left -= size;
    TRY_VOID(writer.begin(found->second, size));
    for (;;) {
      const la_ssize_t got = archive_read_data(a, block.data(), block.size());
      if (got < 0) return wrong("{}: {}", in_quotes(name), text_of(a));
      if (got == 0) break;
      TRY_VOID(writer.write(std::string_view(block).substr(0, static_cast<std::size_t>(got))));
    }
    wanted.erase(found);
    return !wanted.empty();
  }));
  if (!wanted.empty()) return wrong("{} is missing", in_quotes(wanted.begin()->first));
  return {};
}

std::string manifest_of(const std::vector<std::string>& layers) {
  json::Writer w;
  w.begin_array().begin_object().key("Config").string("config.json").key("Layers");
  json::write(w, layers);
  w.end_object().end_array();
  return w.take();
}

}  // namespace

Result<std::string> rewrite_image(const fs::path& from, const fs::path& to) {
  TRY(const Entries entries, Entries::read(from));
  TRY(const Parts parts, find_parts(entries));
  TRY(const std::string config, entries.document(parts.config));
  std::map<std::string, std::string> wanted;
  std::vector<std::string> layers;
  for (const std::string& layer : parts.layers)
    layers.push_back(wanted.try_emplace(layer, fmt::format("{}.tar", wanted.size())).first->second);
  Writer writer(to);
  TRY_VOID(writer.open());
  TRY_VOID(writer.add("manifest.json", manifest_of(layers)));
  TRY_VOID(writer.add("config.json", config));
  TRY_VOID(copy_layers(from, std::move(wanted), writer));
  TRY_VOID(writer.finish());
  return encode(Base::hex, crypto::sha256(as_bytes(config)));
}

}  // namespace dms::executor
