"""The Docker engine of this machine, for the time of the demonstration.

It gets one image, made of the machine's busybox, and gives that back at the end with whatever containers are left of it. The hosts of
the demonstration share the engine, so containers outlive their host: kill() ends them. Standard library only.
"""

import http.client
import io
import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import tarfile
import urllib.parse

IMAGE = "nunet-demo:busybox"
STANDARD_SOCKET = "/var/run/docker.sock"
LABEL = "nunet-executor"  # of each container that a daemon makes: the daemon's peer id


def of_docker(ensemble):
    """An ensemble of sandboxes as one of containers."""
    return re.sub(r"^( +)type: sandbox$", rf"\1type: docker\n\1image: {IMAGE}", ensemble.replace("executor: sandbox", "executor: docker"),
                  flags=re.MULTILINE)


class EngineError(Exception):
    """What the engine, or the way to it, has said."""


class Connection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("docker", timeout=30)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Engine:
    """`with Engine() as engine`: `engine.obstacle` says why it cannot be used; empty if it can."""

    def __init__(self):
        host = os.environ.get("DOCKER_HOST", "")
        self.socket = host.removeprefix("unix://") if host else STANDARD_SOCKET
        self.obstacle, self.imported = "it was not asked", False

    def __enter__(self):
        try:
            self.call("GET", "/_ping")
        except EngineError as error:
            self.obstacle = f"no Docker engine answers on {self.socket} ({error})"
            return self
        try:
            self.import_image()
            self.obstacle = ""
        except EngineError as error:
            self.obstacle = f"the Docker engine on {self.socket} has no image for it: {error}"
        return self

    def __exit__(self, *exception):
        if not self.imported:
            return
        for container in self.containers():
            self.call("DELETE", f"/containers/{container}?force=1&v=1")
        self.call("DELETE", f"/images/{IMAGE}?force=1")

    def call(self, method, path, body=None):
        connection = Connection(self.socket)
        try:
            connection.request(method, path, body, {"Content-Type": "application/x-tar" if isinstance(body, bytes) else "application/json"})
            answer = connection.getresponse()
            text = answer.read().decode(errors="replace")
        except (OSError, http.client.HTTPException) as error:
            raise EngineError(getattr(error, "strerror", None) or str(error)) from error
        finally:
            connection.close()
        if answer.status >= 400:
            raise EngineError(text.strip())
        return text

    def import_image(self):
        busybox = shutil.which("busybox")
        if not busybox:
            raise EngineError("busybox is not installed (apt-get install busybox-static)")
        content = pathlib.Path(busybox).read_bytes()
        if b"/ld-linux" in content[:4096]:
            raise EngineError(f"{busybox} needs libraries (apt-get install busybox-static)")
        image = io.BytesIO()
        with tarfile.open(fileobj=image, mode="w") as tar:
            program = tarfile.TarInfo("bin/busybox")
            program.size, program.mode = len(content), 0o755
            tar.addfile(program, io.BytesIO(content))
            for name in subprocess.run([busybox, "--list"], capture_output=True, text=True, check=True).stdout.split():
                if name != "busybox":
                    link = tarfile.TarInfo(f"bin/{name}")
                    link.type, link.linkname = tarfile.SYMTYPE, "busybox"
                    tar.addfile(link)
        name, tag = IMAGE.split(":")
        query = urllib.parse.urlencode({"fromSrc": "-", "repo": name, "tag": tag, "changes": "WORKDIR /work"})
        text = self.call("POST", f"/images/create?{query}", image.getvalue())
        if "sha256:" not in text:
            raise EngineError(text.strip())
        self.imported = True

    def check_folder(self, folder):
        """Whether what is in a folder here is there in its containers: not so for an engine with another view of the disk. Sets the
        obstacle."""
        if self.obstacle:
            return
        (folder / "probe").write_text("")
        try:
            made = json.loads(self.call("POST", "/containers/create", json.dumps({
                "Image": IMAGE, "Cmd": ["test", "-e", "/probe/probe"],
                "HostConfig": {"NetworkMode": "none", "Mounts": [{"Type": "bind", "Source": str(folder), "Target": "/probe"}]}})))["Id"]
            self.call("POST", f"/containers/{made}/start")
            status = json.loads(self.call("POST", f"/containers/{made}/wait"))["StatusCode"]
            self.call("DELETE", f"/containers/{made}?force=1&v=1")
            if status != 0:
                self.obstacle = f"the Docker engine on {self.socket} does not see {folder}"
        except EngineError as error:
            self.obstacle = f"the Docker engine on {self.socket} runs no container here: {error}"
        (folder / "probe").unlink()

    def containers(self, peer=None, running=False):
        """Ids: those of the image, or of the daemon with this peer id."""
        filters = {"label": [f"{LABEL}={peer}"]} if peer else {"ancestor": [IMAGE]}
        if running:
            filters["status"] = ["running"]
        query = urllib.parse.urlencode({"all": 1, "filters": json.dumps(filters)})
        return [container["Id"] for container in json.loads(self.call("GET", f"/containers/json?{query}"))]

    def kill(self, peer):
        """All that runs for the daemon with this peer id."""
        for container in self.containers(peer, running=True):
            self.call("POST", f"/containers/{container}/kill")
