"""An image as an OCI layout, made of what `docker save` writes: as skopeo, buildah and BuildKit write it.

https://github.com/opencontainers/image-spec/blob/v1.1.0/image-layout.md
"""

import gzip
import hashlib
import io
import json
import tarfile

MEDIA = "application/vnd.oci.image."
FOREIGN = "s390x"  # not the architecture of this machine


class Layout:
    """The blobs of a layout, by their digests."""

    def __init__(self):
        self.blobs = {}

    def add(self, content, media, **more):
        """The descriptor of a blob."""
        digest = hashlib.sha256(content).hexdigest()
        self.blobs[digest] = content
        return {"mediaType": MEDIA + media, "digest": f"sha256:{digest}", "size": len(content), **more}

    def add_json(self, value, media, **more):
        return self.add(json.dumps(value).encode(), media, **more)

    def write(self, file, index):
        with tarfile.open(file, "w") as tar:
            entries = {"oci-layout": b'{"imageLayoutVersion":"1.0.0"}', "index.json": json.dumps(index).encode()}
            for name, content in (entries | {f"blobs/sha256/{digest}": blob for digest, blob in self.blobs.items()}).items():
                entry = tarfile.TarInfo(name)
                entry.size = len(content)
                tar.addfile(entry, io.BytesIO(content))


def manifest(config, layers):
    return {"schemaVersion": 2, "mediaType": MEDIA + "manifest.v1+json", "config": config, "layers": layers}


def convert(saved, file, platforms=False):
    """Layers are compressed. With `platforms`, an index of the image for its own platform, of another one for a foreign one, and of
    what belongs to no platform, as BuildKit adds it."""
    with tarfile.open(saved) as tar:
        read = lambda name: tar.extractfile(name).read()
        image = json.loads(read("manifest.json"))[0]
        config, layers = read(image["Config"]), [read(name) for name in image["Layers"]]
    layout, known = Layout(), json.loads(config)
    packed = [layout.add(gzip.compress(layer, mtime=0), "layer.v1.tar+gzip") for layer in layers]
    made = manifest(layout.add(config, "config.v1+json"), packed)
    platform = {"os": known["os"], "architecture": known["architecture"]}
    listed = [layout.add_json(made, "manifest.v1+json", platform=platform, annotations={"org.opencontainers.image.ref.name": "latest"})]
    if platforms:
        foreign = layout.add_json(known | {"architecture": FOREIGN}, "config.v1+json")
        listed.insert(0, layout.add_json(manifest(foreign, packed), "manifest.v1+json", platform={"os": "linux", "architecture": FOREIGN}))
        signed = layout.add_json(manifest(layout.add_json({}, "config.v1+json"), []), "manifest.v1+json",
                                 platform={"os": "unknown", "architecture": "unknown"})
        listed = [layout.add_json({"schemaVersion": 2, "manifests": [*listed, signed]}, "index.v1+json")]
    layout.write(file, {"schemaVersion": 2, "manifests": listed})
