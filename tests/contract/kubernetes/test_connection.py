"""The login works however the user or Kubernetes gives it."""

import asyncio
import base64
import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml

from serinus import __version__
from serinus.adapters.kubernetes.connection import LoginError, connect, kopf_login
from serinus.adapters.kubernetes.kube import AioKube
from serinus.objects import Ref
from serinus.ports import Forbidden
from tests.cluster.cluster import Cluster
from tests.contract.kubernetes.connections import CONFIG_MAP, Calls, config_map, kube, token, with_user

READ = {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"]}


def embedded(kubeconfig: Path, folder: Path) -> Path:
    """The same kubeconfig, with the files' contents in it."""

    def data(section: dict[str, str], *names: str) -> None:
        for name in names:
            section[f"{name}-data"] = base64.b64encode(Path(section.pop(name)).read_bytes()).decode()

    content = yaml.safe_load(kubeconfig.read_text())
    data(content["clusters"][0]["cluster"], "certificate-authority")
    data(content["users"][0]["user"], "client-certificate", "client-key")
    written = folder / "embedded"
    written.write_text(yaml.safe_dump(content))
    return written


async def can_read(kubeconfig: Path, namespace: str) -> bool:
    async with kube(kubeconfig) as adapter:
        return await adapter.get(Ref(CONFIG_MAP, namespace, "none")) is None


def test_client_certificates_in_files(kubeconfig: Path, namespace: str) -> None:
    assert asyncio.run(can_read(kubeconfig, namespace))


def test_client_certificates_as_data(kubeconfig: Path, namespace: str, tmp_path: Path) -> None:
    assert asyncio.run(can_read(embedded(kubeconfig, tmp_path), namespace))


def test_a_token(control_plane: Cluster, kubeconfig: Path, namespace: str, tmp_path: Path) -> None:
    user = {"token": token(control_plane, namespace, READ)}
    assert asyncio.run(can_read(with_user(kubeconfig, tmp_path, user), namespace))


def in_cluster(control_plane: Cluster, folder: Path, text: str) -> dict[str, str]:
    """What a pod finds: its environment, and a folder with a token that will change."""
    (folder / "token").write_text(text)
    (folder / "ca.crt").write_text((control_plane.layout.keys / "ca.crt").read_text())
    server = urlsplit(control_plane.layout.server)
    return {"KUBERNETES_SERVICE_HOST": str(server.hostname), "KUBERNETES_SERVICE_PORT": str(server.port)}


def test_a_pods_token_that_rotates(control_plane: Cluster, namespace: str, tmp_path: Path) -> None:
    async def story() -> None:
        environment = in_cluster(control_plane, tmp_path, "worn out")
        adapter = AioKube(await connect(environment, tmp_path), Calls())
        ref = Ref(CONFIG_MAP, namespace, "none")
        with pytest.raises(Forbidden, match="does not accept our login"):
            await adapter.get(ref)
        (tmp_path / "token").write_text(token(control_plane, namespace, READ))
        assert await adapter.get(ref) is None
        await adapter.close()

    asyncio.run(story())


def test_kopf_gets_the_same_login_and_follows_the_token(control_plane: Cluster, namespace: str, tmp_path: Path) -> None:
    async def story() -> None:
        environment = in_cluster(control_plane, tmp_path, "worn out")
        client = await connect(environment, tmp_path)
        login = kopf_login(client)
        address = f"{login.server}/api/v1/namespaces/{namespace}/configmaps/none"
        async with login.aiohttp_session as session:
            async with session.get(address) as answer:
                assert answer.status == 401
            (tmp_path / "token").write_text(token(control_plane, namespace, READ))
            async with session.get(address) as answer:
                assert answer.status == 404
        await AioKube(client, Calls()).close()

    asyncio.run(story())


def test_kopf_gets_client_certificates(kubeconfig: Path) -> None:
    async def story() -> None:
        client = await connect({"KUBECONFIG": str(kubeconfig)})
        login = kopf_login(client)
        async with login.aiohttp_session as session, session.get(f"{login.server}/api/v1/nodes") as answer:
            assert answer.status == 200
        await AioKube(client, Calls()).close()

    asyncio.run(story())


def test_the_server_is_told_who_asks(control_plane: Cluster, kubeconfig: Path, namespace: str) -> None:
    async def story() -> None:
        async with kube(kubeconfig) as adapter:
            await adapter.apply(CONFIG_MAP, config_map(namespace))
        client = await connect({"KUBECONFIG": str(kubeconfig)})
        assert client.user_agent == f"serinus/{__version__}"
        await AioKube(client, Calls()).close()

    asyncio.run(story())
    stored = control_plane.kubectl.get("-n", namespace, "configmap", "one", "--show-managed-fields")
    assert [entry["manager"] for entry in stored["metadata"]["managedFields"]] == ["serinus"]


@pytest.mark.parametrize("content", [None, "", "{", "[]", "apiVersion: v1\nkind: Config\n"])
@pytest.mark.filterwarnings("ignore")
def test_a_kubeconfig_that_is_none(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "config"
    if content is not None:
        path.write_text(content)
    with pytest.raises(LoginError, match=re.escape(f"KUBECONFIG={path}")):
        asyncio.run(connect({"KUBECONFIG": str(path)}))


def test_a_pod_without_token(tmp_path: Path) -> None:
    environment = {"KUBERNETES_SERVICE_HOST": "::1", "KUBERNETES_SERVICE_PORT": "443"}
    with pytest.raises(LoginError, match="ServiceAccount"):
        asyncio.run(connect(environment, tmp_path))
