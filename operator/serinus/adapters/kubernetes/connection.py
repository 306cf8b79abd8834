"""How we log in to the API server, once for our own client and for Kopf's."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.request import getproxies_environment

import aiohttp
import kopf
import yaml
from kubernetes.aio import config
from kubernetes.aio.client import ApiClient, Configuration
from kubernetes.aio.config.incluster_config import InClusterConfigLoader

from serinus import __version__
from serinus.ports import KubeError

USER_AGENT: Final = f"serinus/{__version__}"

# HTTP/1.1: a connection carries one request at a time. More requests than this wait for a connection.
CONNECTIONS: Final = 32
# Where Kubernetes puts what a pod logs in with, and by what a pod knows that it is one.
ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
IN_CLUSTER: Final = "KUBERNETES_SERVICE_HOST"
KUBECONFIG: Final = "KUBECONFIG"

# The last two are what the library makes of a file that holds something else than a kubeconfig.
_UNUSABLE: Final = (config.ConfigException, OSError, ValueError, yaml.YAMLError, TypeError, AttributeError)


class LoginError(KubeError):
    """There is no usable login; the message says which one was tried and what is wrong with it."""


async def connect(environment: Mapping[str, str] = os.environ, account: Path = ACCOUNT) -> ApiClient:
    """A client of the cluster that KUBECONFIG names; without it of the one we run in, or else of ~/.kube/config.

    Close it when done. It never retries: who calls it knows better what may be done twice.
    """
    configuration = Configuration(connection_pool_maxsize=CONNECTIONS)
    configuration.retries = None
    # With trust in the environment a thread looks for a proxy before each request, a tenth of all our CPU.
    configuration.client_session_kwargs = {"trust_env": _names_a_proxy()}
    # Since 3.13 Python asks for extensions that many clusters' own authorities leave out, and that no other client of
    # Kubernetes asks for. The chain and the name are still verified.
    configuration.disable_strict_ssl_verification = True
    await _log_in(configuration, environment, account)
    client = ApiClient(configuration)
    client.user_agent = USER_AGENT
    return client


def _names_a_proxy() -> bool:
    return bool(getproxies_environment())


async def _log_in(configuration: Configuration, environment: Mapping[str, str], account: Path) -> None:
    path = environment.get(KUBECONFIG, "")
    in_cluster = not path and IN_CLUSTER in environment
    try:
        if in_cluster:
            _load_account(configuration, environment, account)
        else:
            await config.load_kube_config(  # type: ignore[no-untyped-call]
                path or None, client_configuration=configuration, persist_config=False
            )
    except _UNUSABLE as error:
        tried = f"the ServiceAccount in {account}" if in_cluster else f"{KUBECONFIG}={path or '~/.kube/config'}"
        raise LoginError(f"cannot log in to a cluster with {tried}: {error}") from error


def _load_account(configuration: Configuration, environment: Mapping[str, str], account: Path) -> None:
    """Log in as the pod that we are, with the token as it is at each request: it changes every hour or so."""
    token = account / "token"

    def read_token(of: Configuration) -> None:
        of.api_key["BearerToken"] = f"Bearer {token.read_text().strip()}"

    loader = InClusterConfigLoader(token, account / "ca.crt", try_refresh_token=False, environ=environment)  # type: ignore[no-untyped-call]
    loader.load_and_set(configuration)  # type: ignore[no-untyped-call]
    configuration.ssl_ca_cert = str(account / "ca.crt")
    configuration.refresh_api_key_hook = read_token  # type: ignore[assignment]


def kopf_login(client: ApiClient) -> kopf.AiohttpSession:
    """The same login for Kopf, as what a login handler returns. Kopf closes it.

    A `kopf.ConnectionInfo` would not do: it keeps the token that it was made with, and with it Kopf verifies the server
    more strictly than other clients do.
    """
    configuration = client.configuration
    session = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, ssl=client.rest_client.ssl_context),
        headers={"User-Agent": USER_AGENT},
        middlewares=(_authorize(configuration),),
        proxy=configuration.proxy,
        trust_env=_names_a_proxy(),
    )
    return kopf.AiohttpSession(server=configuration.host, aiohttp_session=session)


def _authorize(configuration: Configuration) -> aiohttp.ClientMiddlewareType:
    """Send the token as it is now with each request."""

    async def authorize(request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
        token = await configuration.get_api_key_with_prefix("BearerToken")
        if token:
            request.headers["Authorization"] = token
        return await send(request)

    return authorize
