"""Fill the tallies from the deploys that are there: service by service, each in a short transaction of its own."""

from django.db import migrations, transaction
from django.db.models import F

from ftp_deploy.deploys.tallies import recount


def fill(apps, schema_editor):
    Service, Deploy, Tally = (apps.get_model("ftp_deploy", name) for name in ("Service", "Deploy", "Tally"))
    for service in Service.objects.order_by("pk").values_list("pk", flat=True):
        with transaction.atomic(using=schema_editor.connection.alias):
            Service.objects.filter(pk=service).update(branch=F("branch"))  # a worker waits until it is counted
            recount(service, Deploy, Tally)


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("ftp_deploy", "0003_tally")]
    operations = [migrations.RunPython(fill, migrations.RunPython.noop, elidable=True)]
