"""The configuration files of the parts, written before anything starts."""

import json
from typing import Any

import yaml

from tests.cluster.certificates import Authority, write_service_account_key
from tests.cluster.layout import NODE, PAUSE_IMAGE, Identity, Layout, Profile, identities


def write(layout: Layout) -> None:
    """Write keys, kubeconfigs and every part's configuration below the state folder."""
    for folder in ("logs", "volumes", "pod-logs", "kernel"):
        (layout.state / folder).mkdir(parents=True, exist_ok=True)
    _write_keys(layout)
    for file, content in contents(layout).items():
        path = layout.state / file
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_text(content)
    layout.kubeconfig.chmod(0o600)


def contents(layout: Layout) -> dict[str, str]:
    """File name → text of everything that is not a key."""
    files = {"kubeconfig": _kubeconfig(layout, "admin")}
    if layout.profile is not Profile.CONTROL_PLANE:
        files |= {f"{who}.kubeconfig": _kubeconfig(layout, who) for who in ("controller-manager", "scheduler")}
    if layout.profile is Profile.FULL:
        files |= {f"{who}.kubeconfig": _kubeconfig(layout, who) for who in ("kubelet", "proxy")}
        files |= {
            "containerd.toml": _containerd(layout),
            "cni/10-serinus.conflist": json.dumps(_cni(layout), indent=2),
            f"registries/{layout.registry}/hosts.toml": f"server = 'http://{layout.registry}'\n",
            "kubelet.yaml": yaml.safe_dump(_kubelet(layout)),
            "kube-proxy.yaml": yaml.safe_dump(_proxy(layout)),
            "Corefile": _corefile(layout),
            "resolv.conf": f"nameserver {layout.addresses.dns}\n",
        }
    return files


def _write_keys(layout: Layout) -> None:
    authority = Authority(layout.keys)
    for identity in identities(layout):
        authority.issue(identity)
    Authority(layout.keys, "front-proxy").issue(Identity("front-proxy-client", "front-proxy-client"))
    write_service_account_key(layout.keys / "service-accounts.key")


def _kubeconfig(layout: Layout, who: str) -> str:
    """Paths, not embedded keys: the file is short and shows at a glance whom it speaks for."""
    name = f"serinus-{layout.identity}"
    keys = layout.keys
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {
                "name": name,
                "cluster": {"server": layout.server, "certificate-authority": str(keys / "ca.crt")},
            },
        ],
        "users": [
            {
                "name": who,
                "user": {
                    "client-certificate": str(keys / f"{who}.crt"),
                    "client-key": str(keys / f"{who}.key"),
                },
            },
        ],
        "contexts": [{"name": name, "context": {"cluster": name, "user": who}}],
        "current-context": name,
    }
    return yaml.safe_dump(config, sort_keys=False)


def _containerd(layout: Layout) -> str:
    state = layout.state
    return f"""\
version = 3
root = '{state}/containerd'
state = '/run/containerd'
disabled_plugins = ['io.containerd.nri.v1.nri', 'io.containerd.image-verifier.v1.bindir']

[grpc]
  address = '{layout.containerd_socket}'

[plugins.'io.containerd.metadata.v1.bolt']
  # A throw-away store: waiting for the disk buys nothing.
  no_sync = true

[plugins.'io.containerd.cri.v1.images'.pinned_images]
  sandbox = '{PAUSE_IMAGE}'

[plugins.'io.containerd.cri.v1.images'.registry]
  config_path = '{state}/registries'

[plugins.'io.containerd.cri.v1.runtime']
  # Not every machine lets root lower a process's OOM score (CAP_SYS_RESOURCE).
  restrict_oom_score_adj = true

[plugins.'io.containerd.cri.v1.runtime'.cni]
  bin_dirs = ['/usr/lib/cni']
  conf_dir = '{state}/cni'
  use_internal_loopback = true

[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
  runtime_type = 'io.containerd.runc.v2'
  runtime_path = '{layout.program("containerd", "containerd-shim-runc-v2")}'

[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
  BinaryName = '{layout.program("runc")}'
  SystemdCgroup = false
"""


def _cni(layout: Layout) -> dict[str, Any]:
    """A link of its own for every pod: all traffic passes the node's routing, as kube-proxy needs it."""
    ipam = {
        "type": "host-local",
        "dataDir": "/run/cni",
        "ranges": [[{"subnet": str(layout.addresses.pods)}]],
        "routes": [{"dst": "0.0.0.0/0"}],
    }
    return {
        "cniVersion": "1.0.0",
        "name": "serinus",
        "plugins": [{"type": "ptp", "ipMasq": False, "ipam": ipam}],
    }


def _kubelet(layout: Layout) -> dict[str, Any]:
    keys = layout.keys
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(keys / "ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": str(keys / "kubelet.crt"),
        "tlsPrivateKeyFile": str(keys / "kubelet.key"),
        "address": str(layout.addresses.node),
        "healthzBindAddress": "127.0.0.1",
        "containerRuntimeEndpoint": f"unix://{layout.containerd_socket}",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": layout.cgroup,
        # Machines with the old cgroups are still about, and do well enough here.
        "failCgroupV1": False,
        "failSwapOn": False,
        "clusterDomain": "cluster.local",
        "clusterDNS": [str(layout.addresses.dns)],
        "resolvConf": str(layout.state / "resolv.conf"),
        "podLogsDir": str(layout.state / "pod-logs"),
        # The disk is shared with everything else on the machine: it is not the node's to police.
        "imageGCHighThresholdPercent": 100,
        "evictionHard": {"memory.available": "100Mi"},
        # Not every machine lets root lower its own.
        # Images are loaded by hand: one that was pulled under another name, too, must not be asked of its registry.
        "imagePullCredentialsVerificationPolicy": "NeverVerify",
        "oomScoreAdj": 0,
        "makeIPTablesUtilChains": False,
    }


def _proxy(layout: Layout) -> dict[str, Any]:
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "nftables",
        # A second's wait for each new endpoint is for clusters with thousands of them.
        "nftables": {"minSyncPeriod": "100ms"},
        "hostnameOverride": NODE,
        "bindAddress": str(layout.addresses.node),
        "clusterCIDR": str(layout.addresses.pods),
        "oomScoreAdj": 0,
        "clientConnection": {"kubeconfig": str(layout.state / "proxy.kubeconfig")},
        # These limits belong to the machine, not to the node's namespace.
        "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
    }


def _corefile(layout: Layout) -> str:
    """Names of the cluster and nothing else: nothing outside is reachable, so nothing outside has a name."""
    return f"""\
cluster.local:53 in-addr.arpa:53 {{
    bind {layout.addresses.node}
    errors
    kubernetes {{
        kubeconfig {layout.kubeconfig}
        pods insecure
        ttl 5
    }}
}}
.:53 {{
    bind {layout.addresses.node}
    errors
    template ANY ANY {{
        rcode NXDOMAIN
    }}
}}
"""
