// nunet key import, key export: keys from and to other machines and programs.
//
// Secrets are not accepted on the command line, where every user of the machine can read them: they are read from a file
// or from standard input, and written to a file or to standard output.
#include <fstream>

#include "base/file.hpp"
#include "cli/client/session.hpp"
#include "cli/commands/groups.hpp"
#include "crypto/key_formats.hpp"
#include "crypto/key_import.hpp"
#include "encoding/multibase.hpp"

namespace dms::cli {
namespace {

constexpr std::string_view kKeyFile = "keystore";

/// The whole stream, without a buffer that keeps a copy.
Result<crypto::Secret> read_all(std::istream& in, const std::string& what) {
  crypto::Secret buffer(crypto::kMaxKeyFile + 1);
  in.read(reinterpret_cast<char*>(buffer.mutable_view().data()), static_cast<std::streamsize>(buffer.size()));
  const auto size = static_cast<std::size_t>(in.gcount());
  if (size > crypto::kMaxKeyFile)
    return fail(Errc::failed, "{}: more than {} bytes; key files are smaller", what, crypto::kMaxKeyFile);
  return crypto::Secret(buffer.view().first(size));
}

Result<crypto::Secret> read_source(Session& session, const std::string& source) {
  if (source == "-") return read_all(session.input(), "standard input");
  std::ifstream file;
  file.rdbuf()->pubsetbuf(nullptr, 0);
  file.open(source, std::ios::binary);
  if (file) return read_all(file, source);
  if (crypto::read_private_key(as_bytes(source)))
    return fail(
        Errc::usage,
        "a private key on the command line can be read by other users: write it to a file, or pipe it and give - as "
        "the file");
  return fail(Errc::failed, "{}: no such file, or not readable", source);
}

bool is_key_file(BytesView text) {
  const auto first = as_text(text).find_first_not_of(" \t\r\n");
  return first != std::string_view::npos && text[first] == '{' && !crypto::is_json_web_key(text);
}

Result<crypto::KeyText> read_form(const Arguments& arguments) {
  const std::string form = arguments.get("format", "recognise");
  if (form == "recognise") return crypto::KeyText::recognise;
  if (form == "raw") return crypto::KeyText::raw;
  if (form == "hex") return crypto::KeyText::hex;
  if (form == "base64") return crypto::KeyText::base64;
  return fail(Errc::usage, "--format: expected keystore, raw, hex or base64, found \"{}\"", form);
}

Result<crypto::KeyType> read_type(const Arguments& arguments) {
  const std::string type = arguments.get("type", "ed25519");
  if (type == "ed25519") return crypto::KeyType::ed25519;
  if (type == "secp256k1") return crypto::KeyType::secp256k1;
  return fail(Errc::usage, "--type: expected ed25519 or secp256k1, found \"{}\"", type);
}

/// A key, and the passphrase of the file it was in, if there was one.
struct Imported {
  crypto::PrivateKey key;
  std::optional<crypto::Secret> passphrase;
};

Result<Imported> read_key(Session& session, const Arguments& arguments) {
  const std::string source = arguments.get("file", "");
  const bool must_be_key_file = arguments.get("format") == kKeyFile;
  crypto::KeyText form = crypto::KeyText::recognise;
  if (!must_be_key_file) {
    TRY(form, read_form(arguments));
  }
  TRY(auto type, read_type(arguments));
  TRY(auto text, read_source(session, source));
  if (must_be_key_file || (form == crypto::KeyText::recognise && is_key_file(text))) {
    TRY(auto secret, session.passphrase(fmt::format("Passphrase of the key in {}: ", source)));
    auto key = crypto::decrypt_key(as_text(text), secret);
    if (!key) return fail(key.error(), "{}", source);
    return Imported{*std::move(key), std::move(secret)};
  }
  auto key = crypto::read_private_key(text, form, type);
  if (!key) return fail(key.error(), "{}", source);
  return Imported{*std::move(key), std::nullopt};
}

Result<void> confirm_replacing(Session& session, const Arguments& arguments, const std::string& name) {
  TRY(auto store, session.keystore());
  if (!store.exists(name) || arguments.has("force")) return {};
  return session.confirm(
      fmt::format("A key \"{}\" already exists; replacing it loses its identity and capabilities. Replace it?", name),
      "Choose another name, or use --force.");
}

Result<void> key_import(Session& session, const Arguments& arguments) {
  const std::string name = arguments.get("name", "");
  TRY_VOID(check_name(name));
  TRY(auto imported, read_key(session, arguments));
  TRY_VOID(confirm_replacing(session, arguments, name));
  TRY_VOID(session.store_key(name, imported.key, std::move(imported.passphrase)));
  TRY(auto did, did::Did::from(imported.key.public_key()));
  session.print(did.uri());
  return {};
}

/// To standard output, or to a file that only its owner can read.
Result<void> deliver(Session& session, const Arguments& arguments, BytesView text) {
  const auto file = arguments.get("output");
  if (!file) {
    session.print_raw(as_text(text));  // not print(): its escaped copy would not be wiped
    session.print_raw("\n");
    return {};
  }
  std::error_code error;
  if (std::filesystem::exists(*file, error) && !arguments.has("force"))
    TRY_VOID(
        session.confirm(fmt::format("The file {} already exists. Replace it?", *file), "Use --force to replace it."));
  TRY_VOID(write_file(*file, as_text(text), 0600));
  session.note(fmt::format("Written to {}.", *file));
  return {};
}

Result<void> key_export(Session& session, const Arguments& arguments) {
  const std::string name = arguments.get("name", "");
  if (!arguments.has("unencrypted")) {
    TRY_VOID(check_name(name));
    TRY(auto store, session.keystore());
    TRY(auto text, store.read(name));
    return deliver(session, arguments, as_bytes(text));
  }
  if (!arguments.has("force"))
    TRY_VOID(session.confirm(
        fmt::format("Anyone who reads the unencrypted key \"{}\" can act as its owner. Write it out?", name),
        "Use --force to confirm."));
  TRY(auto key, session.load_key(name));
  std::string text = base64_encode(key.marshal());
  return deliver(session, arguments, crypto::Secret::take(text));
}

}  // namespace

Command key_import_command() {
  return {
      .name = "import",
      .summary = "Import a key from another machine or program",
      .detail =
          "Reads a key file of NuNet's keystore, which keeps its passphrase, or an unencrypted private key, which gets "
          "a "
          "new one:\n"
          "- PEM (`openssl genpkey`), OpenSSH (`ssh-keygen -t ed25519`), a JWK, or a JSON array of 64 numbers;\n"
          "- libp2p's protobuf, a 64-byte Ed25519 key or a 32-byte seed, as bytes, hex or base64. 32 bytes that are "
          "neither hex\n"
          "  nor base64 are read only with --format raw.\n"
          "The key's type is Ed25519 or secp256k1. Prints the DID.",
      .examples = {"nunet key import user old-machine/user.json", "nunet key import node1 - < key.pem",
                   "nunet key import node1 --format raw seed.bin"},
      .options = {{.name = "format",
                   .value = "form",
                   .help = "format of the file: keystore, raw, hex or base64 [recognised]"},
                  {.name = "type",
                   .value = "type",
                   .help = "key type of 32 bytes: ed25519 or secp256k1 [ed25519]",
                   .choices = {"ed25519", "secp256k1"}},
                  {.name = "force", .letter = 'f', .help = "replace an existing key of that name without asking"}},
      .positionals = {{"name", "name of the new key"}, {"file", "the file to read; - reads standard input"}},
      .action = key_import};
}

Command key_export_command() {
  return {
      .name = "export",
      .summary = "Export a key for another machine or program",
      .detail =
          "Writes the key file, encrypted under its passphrase. With --unencrypted, writes libp2p's protobuf of the "
          "private\nkey in base64, after asking.",
      .examples = {"nunet key export user --output user.json", "nunet key export user --unencrypted"},
      .options = {{.name = "output",
                   .letter = 'o',
                   .value = "file",
                   .help = "write to this file, with mode 0600, instead of standard output"},
                  {.name = "unencrypted", .help = "write the private key unencrypted"},
                  {.name = "force", .letter = 'f', .help = "do not ask, and replace an existing file"}},
      .positionals = {{.name = "name", .help = "name of the key", .known = Known::keys}},
      .action = key_export};
}

}  // namespace dms::cli
