#include "jobs/ensemble/references.hpp"

#include <set>

#include "jobs/ensemble/fields.hpp"

namespace dms::jobs {
namespace {

constexpr std::size_t kMaxNested = 8;
constexpr std::size_t kLongestPlaceholder = 8192;  ///< bytes of one placeholder

struct Placeholder {
  std::size_t begin, end;  ///< of the whole, from `$` to behind `}`
  bool file;
  std::string_view key;
  std::optional<std::string_view> fallback;
};

/// What opens with `${` and where its own `}` ends it, past those of placeholders inside; npos if nothing does.
struct Opening {
  std::size_t begin, end;
};

std::vector<Opening> openings_of(std::string_view text) {
  std::vector<Opening> all;
  std::vector<std::size_t> open;  // of `all`
  for (std::size_t i = text.find_first_of("$}"); i < text.size(); i = text.find_first_of("$}", i + 1)) {
    if (text[i] == '}' && !open.empty()) {
      all[open.back()].end = i + 1;
      open.pop_back();
    } else if (text.substr(i, 2) == "${") {
      open.push_back(all.size());
      all.push_back({i, std::string_view::npos});
    }
  }
  return all;
}

/// Empty for shell expansions such as `${file:-x}` and `${file:0:3}`.
std::optional<Placeholder> parse(std::string_view text, Opening at) {
  if (at.end == std::string_view::npos || at.end - at.begin > kLongestPlaceholder) return std::nullopt;
  std::string_view inner = text.substr(at.begin, at.end - 1 - at.begin);
  const bool file = inner.starts_with("${file:");
  if (!file && !inner.starts_with("${env:")) return std::nullopt;
  inner.remove_prefix(inner.find(':') + 1);
  if (inner.empty() || std::string_view("-+=?").find(inner.front()) != std::string_view::npos) return std::nullopt;
  if (inner.find_first_not_of("0123456789:") == std::string_view::npos) return std::nullopt;
  Placeholder found{at.begin, at.end, file, inner, std::nullopt};
  const std::size_t inside = inner.find("${");
  if (const auto split = inner.find(":-"); split != std::string_view::npos && split < std::min(inside, inner.size())) {
    found.key = inner.substr(0, split);
    found.fallback = inner.substr(split + 2);
  }
  return found;
}

/// The outermost placeholders, in their order.
std::vector<Placeholder> placeholders_of(std::string_view text) {
  std::vector<Placeholder> all;
  std::size_t done = 0;
  for (const Opening& at : openings_of(text)) {
    if (at.begin < done) continue;
    if (const auto found = parse(text, at)) {
      all.push_back(*found);
      done = found->end;
    }
  }
  return all;
}

class Resolver {
 public:
  explicit Resolver(const References& references) : references_(references) {}

  /// The contents of the file that `value` names, if it is one line without a placeholder.
  void read_named(json::Value& value, const Path& path, bool any_bytes) {
    auto* text = value.if_string();
    if (text == nullptr || !references_.file || text->find('\n') != std::string_view::npos ||
        !placeholders_of(*text).empty())
      return;
    const auto contents = references_.file(std::string(*text));
    if (!contents)
      path.record(path.wrong(
          fmt::format("{}: expected a file, or the text itself in several lines", contents.error().message())));
    else if (!any_bytes && !json::is_utf8(*contents))
      path.record(path.wrong(fmt::format("{} is not text in UTF-8", std::string_view(*text))));
    else
      text->assign(contents->data(), contents->size());
    read_.insert(&value);
  }

  /// Every text of the document but those that read_named() has put there.
  void fill_all(json::Value& value, const Path& path) {
    if (auto* text = value.if_string(); text != nullptr && !read_.contains(&value)) {
      const std::string filled = fill(std::string(*text), path, 0);
      text->assign(filled.data(), filled.size());
    }
    if (auto* array = value.if_array())
      for (std::size_t i = 0; i < array->size(); ++i) fill_all((*array)[i], path / i);
    if (auto* object = value.if_object())
      for (auto& member : *object) fill_all(member.value(), path / member.key());
  }

 private:
  std::string fill(std::string_view text, const Path& path, std::size_t depth) {
    std::string out;
    std::size_t done = 0;
    for (const Placeholder& found : placeholders_of(text)) {
      out += text.substr(done, found.begin - done);
      done = found.end;
      const Result<std::string> filled = look_up(found, path, depth);
      if (filled)
        out += *filled;
      else
        path.record(path.wrong(
            fmt::format("{}: {}", text.substr(found.begin, found.end - found.begin), filled.error().message())));
    }
    out += text.substr(done);
    return out;
  }

  Result<std::string> look_up(const Placeholder& placeholder, const Path& path, std::size_t depth) {
    if (depth >= kMaxNested) return fail(Errc::limit_exceeded, "nested deeper than {} levels", kMaxNested);
    Result<std::string> value = placeholder.file ? read(fill(placeholder.key, path, depth + 1))
                                                 : variable(fill(placeholder.key, path, depth + 1));
    if (!value && placeholder.fallback) return fill(*placeholder.fallback, path, depth + 1);
    if (value && !json::is_utf8(*value)) return fail(Errc::invalid_argument, "not text in UTF-8");
    return value;
  }

  [[nodiscard]] Result<std::string> read(const std::string& file) const {
    if (!references_.file) return fail(Errc::unsupported, "files are read by the command line only");
    return references_.file(file);
  }

  [[nodiscard]] Result<std::string> variable(const std::string& name) const {
    if (!references_.variable) return fail(Errc::unsupported, "variables are read by the command line only");
    const auto value = references_.variable(name);
    if (!value || value->empty()) return fail(Errc::invalid_argument, "the variable {} is not set", name);
    return *value;
  }

  const References& references_;
  std::set<const json::Value*> read_;
};

/// Calls `visit(name, member)` for the members of `parent[key]`.
template <class F>
void for_members(json::Value& parent, std::string_view key, F visit) {
  auto* object = parent.if_object();
  auto* inner = object == nullptr ? nullptr : object->if_contains(key);
  if (inner == nullptr || !inner->is_object()) return;
  for (auto& member : inner->get_object()) visit(std::string_view(member.key()), member.value());
}

void read_keys(Resolver& resolver, json::Value& allocation, const Path& path) {
  auto* object = allocation.if_object();
  auto* keys = object == nullptr ? nullptr : object->if_contains("keys");
  if (keys == nullptr || !keys->is_array()) return;
  for (std::size_t i = 0; i < keys->get_array().size(); ++i) {
    json::Value& key = keys->get_array()[i];
    auto* file = key.is_object() ? key.get_object().if_contains("file") : &key;
    if (file != nullptr) resolver.read_named(*file, path / i, false);
  }
}

}  // namespace

Result<void> resolve_references(json::Value& document, const References& references) {
  std::vector<std::string> problems;
  const Path root(problems);
  Resolver resolver(references);
  for_members(document, "scripts", [&](std::string_view name, json::Value& script) {
    resolver.read_named(script, root / "scripts" / name, true);
  });
  for_members(document, "allocations", [&](std::string_view name, json::Value& allocation) {
    read_keys(resolver, allocation, root / "allocations" / name / "keys");
  });
  resolver.fill_all(document, root);
  return failure(problems);
}

}  // namespace dms::jobs
