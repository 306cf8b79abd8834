"""The configuration of the parts: made from one layout, without contradictions."""

import json
import tarfile
import tomllib
from ipaddress import IPv4Network
from pathlib import Path

import pytest
import yaml
from cryptography import x509
from cryptography.x509.oid import ExtensionOID, NameOID

from tests.cluster import binaries, components, containers, files, layout, plan
from tests.cluster.errors import ClusterError
from tests.cluster.layout import Layout, Ports, Profile
from tests.cluster.settings import Addresses, Settings


def make(state: Path, profile: Profile = Profile.FULL) -> Layout:
    """A layout with programs that need not exist."""
    programs = {name: Path("/cache/bin") / name for name in layout.modules(profile)}
    return Layout("dev-abc123", profile, state, programs, Addresses(IPv4Network("10.213.0.0/16")), Ports())


@pytest.mark.parametrize("profile", list(Profile))
def test_every_file_that_a_part_names_is_written(tmp_path: Path, profile: Profile) -> None:
    planned = make(tmp_path, profile)
    files.write(planned)
    words = [word for part in components.components(planned) for word in part.command[1:]]
    values = [Path(word.partition("=")[2] or word) for word in words]
    read = [path for path in values if path.suffix in {".crt", ".key", ".kubeconfig", ".yaml", ".toml"}]
    assert read
    assert [path for path in read if not path.is_file()] == []


def test_formats_are_what_the_parts_read(tmp_path: Path) -> None:
    texts = files.contents(make(tmp_path))
    containerd = tomllib.loads(texts["containerd.toml"])
    kubelet = yaml.safe_load(texts["kubelet.yaml"])
    network = json.loads(texts["cni/10-serinus.conflist"])
    assert kubelet["containerRuntimeEndpoint"] == f"unix://{containerd['grpc']['address']}"
    assert containerd["plugins"]["io.containerd.cri.v1.images"]["pinned_images"]["sandbox"] == layout.PAUSE_IMAGE
    assert network["plugins"][0]["ipam"]["ranges"] == [[{"subnet": "10.213.0.0/20"}]]
    assert kubelet["clusterDNS"] == ["10.213.128.10"]


def test_certificates_name_those_who_hold_them(tmp_path: Path) -> None:
    planned = make(tmp_path)
    files.write(planned)
    authority = x509.load_pem_x509_certificate((planned.keys / "ca.crt").read_bytes())
    kubelet = x509.load_pem_x509_certificate((planned.keys / "kubelet.crt").read_bytes())
    kubelet.verify_directly_issued_by(authority)
    assert kubelet.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value == f"system:node:{layout.NODE}"
    assert kubelet.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)[0].value == "system:nodes"
    server = x509.load_pem_x509_certificate((planned.keys / "apiserver.crt").read_bytes())
    names = server.extensions.get_extension_for_oid(ExtensionOID.SUBJECT_ALTERNATIVE_NAME).value
    assert isinstance(names, x509.SubjectAlternativeName)
    assert {str(a) for a in names.get_values_for_type(x509.IPAddress)} == {"127.0.0.1", "10.213.128.1", "10.213.255.2"}


def test_private_keys_are_private(tmp_path: Path) -> None:
    planned = make(tmp_path)
    files.write(planned)
    modes = {path.name: path.stat().st_mode & 0o077 for path in [*planned.keys.glob("*.key"), planned.kubeconfig]}
    assert set(modes.values()) == {0}, modes


def test_a_plan_is_read_as_it_was_written(tmp_path: Path) -> None:
    chosen = Settings(
        cache=tmp_path, name="dev", checkout="abc123", external=False, registry="", network=IPv4Network("10.213.0.0/16")
    )
    planned = plan.make(chosen, Profile.KWOK, {name: Path("/bin") / name for name in layout.modules(Profile.KWOK)})
    planned.state.mkdir(parents=True)
    plan.write(planned)
    assert plan.read(chosen) == planned


def test_a_torn_plan_is_no_plan(tmp_path: Path) -> None:
    chosen = Settings(cache=tmp_path, name="dev", checkout="abc123", external=False, registry="", network=None)
    assert plan.read(chosen) is None
    chosen.state.mkdir(parents=True)
    (chosen.state / plan.FILE).write_text('{"profile": "fu')
    assert plan.read(chosen) is None


@pytest.mark.parametrize(
    ("state", "words"),
    [
        pytest.param("/home/" + "x" * 60, "too long", id="too-long-for-sockets"),
        pytest.param("/var/lib/serinus", "/var/lib", id="hidden-from-the-node"),
    ],
)
def test_folders_in_which_a_node_cannot_live_are_refused(state: str, words: str) -> None:
    with pytest.raises(ClusterError, match=words) as caught:
        layout.check(Path(state), Profile.FULL)
    assert "SERINUS_CACHE" in caught.value.remedy


def test_interface_names_fit_the_kernel() -> None:
    assert len(make(Path("/s")).interface) <= 15


def test_a_single_file_image_is_a_docker_archive(tmp_path: Path) -> None:
    program = tmp_path / "hello"
    program.write_text("#!/bin/sh\n")
    archive = tmp_path / "hello.tar"
    containers.write_single_file_image(archive, program, "serinus/hello:1")
    with tarfile.open(archive) as tar:
        manifest = json.load(tar.extractfile("manifest.json") or pytest.fail("no manifest"))
        assert manifest[0]["RepoTags"] == ["serinus/hello:1"]
        assert set(tar.getnames()) == {"config.json", "manifest.json", *manifest[0]["Layers"]}


def test_every_module_has_its_folder_and_its_sums() -> None:
    folders = {path.parent.name for path in binaries.SOURCES.glob("*/go.mod")}
    assert folders == set(binaries.MODULES)
    requiring = {name for name in folders if "require" in (binaries.SOURCES / name / "go.mod").read_text()}
    assert {path.parent.name for path in binaries.SOURCES.glob("*/go.sum")} == requiring


def test_the_version_that_is_told_is_the_version_that_is_built() -> None:
    required = (binaries.SOURCES / "kubernetes" / "go.mod").read_text().split()
    assert required[required.index("k8s.io/kubernetes") + 1] == binaries.KUBERNETES_VERSION


def test_a_build_depends_on_its_files_and_on_the_compiler() -> None:
    pause, etcd = binaries.MODULES["pause"], binaries.MODULES["etcd"]
    keys = {binaries.key(pause, "go1.26.1"), binaries.key(pause, "go1.26.2"), binaries.key(etcd, "go1.26.1")}
    assert len(keys) == 3
    assert binaries.key(pause, "go1.26.1") == binaries.key(pause, "go1.26.1")
