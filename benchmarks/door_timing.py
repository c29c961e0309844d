"""How long the webhook takes to refuse an unknown key and a bad signature, interleaved: can a stranger tell them apart?

``python -m benchmarks.door_timing [ROUNDS]`` prints medians in microseconds for small and large bodies. The sample of
each kind is split in two halves, and their difference shown beside: what is smaller than that is noise.
"""

import os
import statistics
import sys
import time


def main(rounds: int) -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    import django

    django.setup()
    import logging

    from django.core.management import call_command
    from django.test import RequestFactory

    from ftp_deploy import views
    from ftp_deploy.models import Service

    logging.disable(logging.CRITICAL)
    call_command("migrate", verbosity=0)
    from django.conf import settings

    settings.FTP_DEPLOY_WEBHOOK_RATE = 1_000_000_000
    service = Service.objects.create(host="h", username="u", repository_slug="o/r", repository_name="r")
    factory = RequestFactory(headers={"x-hub-signature-256": "sha256=" + "0" * 64})
    for size in (200, 8_000, 1_000_000):
        found: dict[str, list[float]] = {"known": [], "unknown": []}
        for number in range(rounds if size < 100_000 else rounds // 10):
            for kind in ("known", "unknown") if number % 2 else ("unknown", "known"):
                key = service.secret_key if kind == "known" else "x" * 30
                request = factory.post("/", b"x" * size, content_type="application/json")
                start = time.perf_counter()
                response = views.deploy(request, key)
                found[kind].append((time.perf_counter() - start) * 1e6)
                assert response.status_code == (403 if kind == "known" else 404)
        noise = [abs(statistics.median(times[::2]) - statistics.median(times[1::2])) for times in found.values()]
        known, unknown = (statistics.median(found[kind]) for kind in ("known", "unknown"))
        print(
            f"{size:>9} bytes: known key, bad signature {known:8.1f} us; unknown key {unknown:8.1f} us; "
            f"difference {known - unknown:+8.1f} us; halves of one sample differ by up to {max(noise):.1f} us"
        )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3000)
