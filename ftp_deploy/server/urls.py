"""The dashboard's addresses; names begin with ``ftpdeploy_``."""

from django.urls import URLPattern, path

from ftp_deploy.server.views import (
    accounts,
    actions,
    auth,
    dashboard,
    deploy,
    dialogs,
    log,
    manage,
    notifications,
    service,
    service_tools,
    statistics,
    verify,
)

urlpatterns: list[URLPattern] = [
    path("", dashboard.Dashboard.as_view(), name="ftpdeploy_dashboard"),
    path("live/", dashboard.DashboardLive.as_view(), name="ftpdeploy_dashboard_live"),
    path("login/", auth.Login.as_view(), name="ftpdeploy_login"),
    path("logout/", auth.Logout.as_view(), name="ftpdeploy_logout"),
    path("password/", auth.PasswordChange.as_view(), name="ftpdeploy_password_change"),
    # Services
    path("service/add/", service.AddService.as_view(), name="ftpdeploy_service_add"),
    path("service/<int:pk>/manage/", manage.Manage.as_view(), name="ftpdeploy_service_manage"),
    path("service/<int:pk>/edit/", service.EditService.as_view(), name="ftpdeploy_service_edit"),
    path("service/<int:pk>/delete/", service.DeleteService.as_view(), name="ftpdeploy_service_delete"),
    path("service/<int:pk>/live/", manage.ManageLive.as_view(), name="ftpdeploy_service_live"),
    path("service/<int:pk>/check/", actions.CheckService.as_view(), name="ftpdeploy_service_check"),
    path("service/<int:pk>/hook/", actions.AddHook.as_view(), name="ftpdeploy_service_hook"),
    path("service/<int:pk>/keys/", dialogs.AskNewKeys.as_view(), name="ftpdeploy_service_keys"),
    path("service/<int:pk>/keys/renew/", actions.RenewKeys.as_view(), name="ftpdeploy_service_keys_now"),
    path("service/<int:pk>/deploy/", actions.DeployNow.as_view(), name="ftpdeploy_service_deploy"),
    path("service/<int:pk>/full/", dialogs.FullPreview.as_view(), name="ftpdeploy_service_full"),
    path("service/<int:pk>/restore/", dialogs.RestorePreview.as_view(), name="ftpdeploy_service_restore"),
    path("service/<int:pk>/restore/now/", actions.Restore.as_view(), name="ftpdeploy_service_restore_now"),
    path("service/<int:pk>/rollback/now/", actions.RollBack.as_view(), name="ftpdeploy_service_rollback_now"),
    path(
        "service/<int:pk>/rollback/<slug:commit>/",
        dialogs.RollBackPreview.as_view(),
        name="ftpdeploy_service_rollback",
    ),
    path("service/<int:pk>/verify/", verify.Verify.as_view(), name="ftpdeploy_service_verify"),
    path("service/<int:pk>/notification/", dialogs.NotificationCard.as_view(), name="ftpdeploy_service_notification"),
    # While a service's form is filled in
    path("source/repositories/", service_tools.Repositories.as_view(), name="ftpdeploy_source_repositories"),
    path("source/branches/", service_tools.Branches.as_view(), name="ftpdeploy_source_branches"),
    path("source/excludes/", service_tools.ExcludePreview.as_view(), name="ftpdeploy_exclude_preview"),
    path("server/test/", service_tools.TestConnection.as_view(), name="ftpdeploy_test_connection"),
    path("server/folders/", service_tools.Folders.as_view(), name="ftpdeploy_browse"),
    # Deploys
    path("deploys/<int:pk>/", deploy.DeployPage.as_view(), name="ftpdeploy_deploy_detail"),
    path("deploys/<int:pk>/live/", deploy.DeployLive.as_view(), name="ftpdeploy_deploy_live"),
    path("deploys/<int:pk>/log/", deploy.DeployLog.as_view(), name="ftpdeploy_deploy_log"),
    path("deploys/<int:pk>/cancel/", actions.Cancel.as_view(), name="ftpdeploy_deploy_cancel"),
    path("deploys/<int:pk>/retry/", actions.Retry.as_view(), name="ftpdeploy_deploy_retry"),
    path("deploys/<int:pk>/confirm/", actions.ConfirmDeletes.as_view(), name="ftpdeploy_deploy_confirm"),
    path("deploys/<int:pk>/skip/", dialogs.AskSkip.as_view(), name="ftpdeploy_deploy_skip"),
    path("deploys/<int:pk>/skip/now/", actions.Skip.as_view(), name="ftpdeploy_deploy_skip_now"),
    # The rest
    path("log/", log.Log.as_view(), name="ftpdeploy_log"),
    path("log/csv/", log.LogCSV.as_view(), name="ftpdeploy_log_csv"),
    path("log/audit/", log.Audit.as_view(), name="ftpdeploy_audit"),
    path("statistics/", statistics.Statistics.as_view(), name="ftpdeploy_statistics"),
    path("notification/", notifications.Notifications.as_view(), name="ftpdeploy_notifications"),
    path("notification/add/", notifications.AddNotification.as_view(), name="ftpdeploy_notification_add"),
    path("notification/<int:pk>/edit/", notifications.EditNotification.as_view(), name="ftpdeploy_notification_edit"),
    path(
        "notification/<int:pk>/delete/", notifications.DeleteNotification.as_view(), name="ftpdeploy_notification_delete"
    ),
    path("notification/<int:pk>/test/", notifications.SendTest.as_view(), name="ftpdeploy_notification_test"),
    path("account/", accounts.Accounts.as_view(), name="ftpdeploy_accounts"),
    path("account/add/", accounts.AddAccount.as_view(), name="ftpdeploy_account_add"),
    path("account/<int:pk>/edit/", accounts.EditAccount.as_view(), name="ftpdeploy_account_edit"),
    path("account/<int:pk>/delete/", accounts.DeleteAccount.as_view(), name="ftpdeploy_account_delete"),
    path("account/<int:pk>/try/", accounts.TryAccount.as_view(), name="ftpdeploy_account_try"),
]
