"""Which addresses are on the public Internet: those that a name of somebody else's may lead to.

An IPv6 address may carry an IPv4 one, to which a translator or a tunnel brings whatever is sent: then that one counts as well.

Source: security.md §2.3 P-13; RFC 6890; RFC 6052 §2.1 and §3.1 (NAT64); RFC 3056 §2 (6to4); RFC 4291 §2.5.5.
"""

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

_ENDING_IN_IPV4 = (IPv6Network("64:ff9b::/96"), IPv6Network("::/96"))
# RFC 8215; older releases of Python take it for global.
_LOCAL_NAT64 = IPv6Network("64:ff9b:1::/48")


def is_public(text: str) -> bool:
    """Tell whether an address is one of the public Internet, for a single host."""
    address = ip_address(text)
    if address.is_multicast or not address.is_global:
        return False
    if isinstance(address, IPv4Address):
        return True
    carried = _carried(address)
    is_inner = address.is_site_local or address in _LOCAL_NAT64
    return not is_inner and (carried is None or is_public(str(carried)))


def _carried(address: IPv6Address) -> IPv4Address | None:
    if any(address in network for network in _ENDING_IN_IPV4):
        return IPv4Address(address.packed[-4:])
    return address.ipv4_mapped or address.sixtofour
