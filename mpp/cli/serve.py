"""`mpp serve`: the gateway, until SIGTERM or Ctrl-C."""

import typer

from mpp.cli import options as given


def serve(
    settings: given.SettingsOption = None,
    listen: given.ListenOption = None,
    next_hop: given.NextHopOption = None,
    workers: given.WorkersOption = None,
    data: given.DataOption = None,
    scanner: given.ScannerOption = None,
    domain: given.DomainOption = None,
    trust: given.TrustOption = None,
    tls_cert: given.CertificateOption = None,
    tls_key: given.KeyOption = None,
    message_size: given.SizeOption = None,
    no_checks: given.NoChecksOption = False,
    print_settings: given.PrintOption = False,
) -> None:
    """Serve mail: by a settings file, or by options alone to try it."""
    options = given.Options(
        listen=tuple(listen or ()),
        next_hop=tuple(next_hop or ()),
        workers=workers,
        data=data,
        scanners=tuple(scanner or ()),
        domains=tuple(domain or ()),
        trust=tuple(trust or ()),
        tls_cert=tls_cert,
        tls_key=tls_key,
        message_size=message_size,
        no_checks=no_checks,
    )
    value, path = given.serve_settings(settings, options)
    if print_settings:
        from mpp.settings.write import write

        typer.echo(write(value), nl=False)
        return
    from mpp.gateway.background import run_background
    from mpp.gateway.supervisor import supervise
    from mpp.gateway.worker import run_worker

    raise typer.Exit(supervise(value, path, run_worker, run_background))
