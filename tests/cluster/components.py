"""The parts of a cluster as command lines: which program, with which flags, after what."""

from dataclasses import dataclass

from tests.cluster.layout import NODE, Layout, Profile


@dataclass(frozen=True)
class Component:
    """One long-running part. It is started once everything in `after` answers: `host:port`, `unix:path` or a URL."""

    name: str
    command: tuple[str, ...]
    after: tuple[str, ...] = ()


def components(layout: Layout) -> list[Component]:
    """All parts of the layout's profile, in the order in which they start."""
    control_plane = [_etcd(layout), _apiserver(layout)]
    match layout.profile:
        case Profile.CONTROL_PLANE:
            return control_plane
        case Profile.KWOK:
            return [*control_plane, *_controllers(layout, _FAST_CLIENTS), _kwok(layout)]
        case Profile.FULL:
            return [
                *control_plane,
                _containerd(layout),
                *_controllers(layout, {}),
                *_node(layout),
                *_addons(layout),
            ]


# The default client limits would be what a benchmark of thousands of resources measures.
_FAST_CLIENTS = {"kube-api-qps": 2000, "kube-api-burst": 4000}
_FAST_SYNCS = {f"concurrent-{kind}-syncs": 50 for kind in ("deployment", "replicaset", "job", "gc", "endpoint")}


def _flags(**flags: object) -> tuple[str, ...]:
    return tuple(f"--{name.replace('_', '-')}={value}" for name, value in flags.items())


def _ready(layout: Layout) -> str:
    """Where the API server says that it has all it needs, its roles among them."""
    return f"{layout.server}/readyz"


def _etcd(layout: Layout) -> Component:
    client = f"http://127.0.0.1:{layout.ports.etcd}"
    peer = f"http://127.0.0.1:{layout.ports.etcd_peer}"
    flags = _flags(
        data_dir=layout.state / "etcd",
        listen_client_urls=client,
        advertise_client_urls=client,
        listen_peer_urls=peer,
        initial_advertise_peer_urls=peer,
        initial_cluster=f"default={peer}",
        log_level="warn",
        quota_backend_bytes=4 * 1024**3,
    )
    # A throw-away cluster is started anew after a crash: waiting for the disk buys nothing.
    return Component("etcd", (layout.program("etcd", "server"), *flags, "--unsafe-no-fsync"))


def _apiserver(layout: Layout) -> Component:
    keys = layout.keys
    flags = _flags(
        etcd_servers=f"http://127.0.0.1:{layout.ports.etcd}",
        bind_address=layout.api_address,
        advertise_address=layout.api_address,
        secure_port=layout.ports.api,
        service_cluster_ip_range=layout.addresses.services,
        endpoint_reconciler_type="lease" if layout.profile is Profile.FULL else "none",
        authorization_mode="Node,RBAC",
        allow_privileged="true",
        client_ca_file=keys / "ca.crt",
        tls_cert_file=keys / "apiserver.crt",
        tls_private_key_file=keys / "apiserver.key",
        service_account_issuer="https://kubernetes.default.svc",
        service_account_key_file=keys / "service-accounts.key",
        service_account_signing_key_file=keys / "service-accounts.key",
        kubelet_certificate_authority=keys / "ca.crt",
        kubelet_client_certificate=keys / "apiserver.crt",
        kubelet_client_key=keys / "apiserver.key",
        # The node has no name that the machine's resolver knows.
        kubelet_preferred_address_types="InternalIP",
        requestheader_client_ca_file=keys / "front-proxy.crt",
        requestheader_allowed_names="front-proxy-client",
        requestheader_username_headers="X-Remote-User",
        requestheader_group_headers="X-Remote-Group",
        requestheader_extra_headers_prefix="X-Remote-Extra-",
        proxy_client_cert_file=keys / "front-proxy-client.crt",
        proxy_client_key_file=keys / "front-proxy-client.key",
        enable_aggregator_routing="true",
        profiling="false",
    )
    command = (layout.program("kubernetes", "kube-apiserver"), *flags)
    return Component("kube-apiserver", command, (f"127.0.0.1:{layout.ports.etcd}",))


def _controllers(layout: Layout, client_limits: dict[str, int]) -> list[Component]:
    keys = layout.keys
    manager = _flags(
        **_as(layout, "controller-manager"),
        **client_limits,
        **(_FAST_SYNCS if client_limits else {}),
        secure_port=layout.ports.controller_manager,
        root_ca_file=keys / "ca.crt",
        service_account_private_key_file=keys / "service-accounts.key",
        use_service_account_credentials="true",
        # Waiting half a minute for a new load figure makes tests slow and proves nothing.
        horizontal_pod_autoscaler_sync_period="5s",
    )
    scheduler = _flags(**_as(layout, "scheduler"), **client_limits, secure_port=layout.ports.scheduler)
    after = (_ready(layout),)
    return [
        Component(
            "kube-controller-manager",
            (layout.program("kubernetes", "kube-controller-manager"), *manager),
            after,
        ),
        Component("kube-scheduler", (layout.program("kubernetes", "kube-scheduler"), *scheduler), after),
    ]


def _as(layout: Layout, identity: str) -> dict[str, object]:
    kubeconfig = layout.state / f"{identity}.kubeconfig"
    return {
        "kubeconfig": kubeconfig,
        "authentication_kubeconfig": kubeconfig,
        "authorization_kubeconfig": kubeconfig,
        "bind_address": "127.0.0.1",
        "leader_elect": "false",
        "profiling": "false",
    }


def _containerd(layout: Layout) -> Component:
    return Component("containerd", (layout.program("containerd"), f"--config={layout.state / 'containerd.toml'}"))


def _node(layout: Layout) -> list[Component]:
    kubelet = _flags(
        config=layout.state / "kubelet.yaml",
        kubeconfig=layout.state / "kubelet.kubeconfig",
        root_dir=layout.state / "kubelet",
        cert_dir=layout.state / "kubelet-certificates",
        hostname_override=NODE,
        node_ip=layout.addresses.node,
    )
    proxy = _flags(config=layout.state / "kube-proxy.yaml")
    return [
        Component(
            "kubelet",
            (layout.program("kubernetes", "kubelet"), *kubelet),
            (_ready(layout), f"unix:{layout.containerd_socket}"),
        ),
        Component("kube-proxy", (layout.program("kubernetes", "kube-proxy"), *proxy), (_ready(layout),)),
    ]


def _addons(layout: Layout) -> list[Component]:
    after = (_ready(layout),)
    kubeconfig = layout.kubeconfig
    provisioner = _flags(kubeconfig=kubeconfig, root=layout.state / "volumes", node=NODE)
    metrics = _flags(
        kubeconfig=kubeconfig,
        authentication_kubeconfig=kubeconfig,
        authorization_kubeconfig=kubeconfig,
        bind_address=layout.addresses.node,
        secure_port=4443,
        cert_dir=layout.state / "metrics-server",
        kubelet_preferred_address_types="InternalIP",
        kubelet_certificate_authority=layout.keys / "ca.crt",
        metric_resolution="10s",
        kubelet_request_timeout="5s",
    )
    return [
        Component("coredns", (layout.program("coredns"), "-conf", str(layout.state / "Corefile")), after),
        Component("provisioner", (layout.program("provisioner"), *provisioner), after),
        Component("metrics-server", (layout.program("metrics-server"), *metrics), after),
    ]


def _kwok(layout: Layout) -> Component:
    stages = layout.binaries["kwok"] / "kustomize" / "stage"
    files = ("node/fast", "node/heartbeat-with-lease", "pod/fast")
    configs = [f"--config={path}" for folder in files for path in sorted((stages / folder).glob("*-*.yaml"))]
    flags = _flags(
        kubeconfig=layout.kubeconfig,
        manage_nodes_with_annotation_selector="kwok.x-k8s.io/node=fake",
        # Without leases the heartbeats of nodes are too rare, and after 50 s their pods count as lost.
        node_lease_duration_seconds=40,
        server_address=f"127.0.0.1:{layout.ports.kwok}",
    )
    return Component("kwok", (layout.program("kwok"), *flags, *configs), (_ready(layout),))
