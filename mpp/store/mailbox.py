"""The form in which the catalog keeps addresses for searching: domain first, so that a whole domain is one range of an index."""


def mailbox(address: str) -> str:
    """Return "example.org/anna" for Anna@Example.org; letter case goes, "" stays."""
    local, _, domain = address.lower().rpartition("@")
    return f"{domain}/{local}" if local else f"{domain}/" if domain else ""


def domain_range(domain: str) -> tuple[str, str]:
    """Return the least mailbox of a domain, and what is just above the greatest ("0" follows "/")."""
    return f"{domain.lower()}/", f"{domain.lower()}0"
