"""The webhook as the user guide mounts it, and the one-insert view that the load benchmark compares it with."""

from django.http import HttpRequest, HttpResponse
from django.urls import include, path
from django.views.decorators.csrf import csrf_exempt

from ftp_deploy.models import AuditEntry


@csrf_exempt
def insert(request: HttpRequest) -> HttpResponse:
    """Read the body and insert one row: the least that any view does that keeps what it was sent."""
    AuditEntry.objects.create(action="measure", subject=str(len(request.body)))
    return HttpResponse(status=202)


urlpatterns = [path("ftpdeploy/", include("ftp_deploy.urls")), path("insert", insert)]
