// Archives of container images, as `docker save` and OCI layouts are, made safe to be loaded by an engine that others
// use.
//
// Model
//  1. An archive holds one image: in the `manifest.json` of docker save, or in the `index.json` of an OCI layout, alone
//     or as the only one for the platform of this machine. Names (RepoTags, annotations, `repositories`) are not used.
//  2. rewrite_image() makes an archive of docker save's form with the configuration and the layers of that image and
//     nothing else: under names of its own, without a tag. So loading it adds an image, and changes none.
//  3. Plain tar is read, no compressed one, so that the size of the file bounds what is read. Layers may be compressed;
//     the engine unpacks them, and refuses those that do not have the digests that the configuration names.
//
// Threads: any; blocks on the disk. Cost: the archive is read at most eight times, and written once. Failure:
// Errc::invalid_argument for what is no such archive, with the remedy; limit_exceeded for too many entries or documents
// that are too large; io for the disk. After a failure no file is left.
//
// Attacks by an archive of a stranger: tags that replace images of others (2); links and names that leave the archive
// (nothing is unpacked; a link is replaced by its target, an entry of the archive); entries without end (bounded);
// documents that are nested or large (bounded). A layer that unpacks to more than the disk has is the engine's to
// refuse, as when it is pulled.
#pragma once

#include <filesystem>
#include <string>

#include "base/result.hpp"

namespace dms::executor {

/// The id of the image: the SHA-256 of its configuration in hex. `to` is a new file.
Result<std::string> rewrite_image(const std::filesystem::path& from, const std::filesystem::path& to);

}  // namespace dms::executor
