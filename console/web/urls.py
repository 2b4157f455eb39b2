"""The pages' URL map; the names are `web:…`."""

from django.urls import path

from console.web import audit, cache, cache_find, deployments, environments, home, invoke, kept, runs, tokens, traffic
from console.web.wizard.urls import urlpatterns as wizard_urls

app_name = "web"

urlpatterns = [
    *wizard_urls,
    path("", home.home, name="home"),
    path("sample/", home.sample, name="sample"),
    path("search/", home.search, name="search"),
    path("traffic/", traffic.traffic, name="traffic"),
    path("test/", home.pick_test, name="pick_test"),
    path("cache/", home.pick_cache, name="pick_cache"),
    path("deployments/", deployments.deployments, name="deployments"),
    path("deployments/<slug:name>/", deployments.deployment, name="deployment"),
    path("deployments/<slug:name>/health/", deployments.deployment_health, name="deployment_health"),
    path("deployments/<slug:name>/runs/", deployments.deployment_run, name="deployment_run"),
    path("deployments/<slug:name>/diff/", deployments.revisions_diff, name="revisions_diff"),
    path("deployments/<slug:name>/destroy/", deployments.deployment_destroy, name="deployment_destroy"),
    path("deployments/<slug:name>/forget/", deployments.deployment_forget, name="deployment_forget"),
    path("deployments/<slug:name>/test/", invoke.test, name="test"),
    path("deployments/<slug:name>/test/<int:number>/again/", invoke.test_again, name="test_again"),
    path("deployments/<slug:name>/test/<int:number>/pin/", invoke.test_pin, name="test_pin"),
    path("deployments/<slug:name>/samples/<int:number>/delete/", invoke.sample_delete, name="sample_delete"),
    path("deployments/<slug:name>/cache/", cache.cache, name="cache"),
    path("deployments/<slug:name>/cache/find/", cache_find.cache_find, name="cache_find"),
    path("deployments/<slug:name>/cache/erase/", cache_find.cache_erase, name="cache_erase"),
    path("deployments/<slug:name>/cache/compare/", cache.cache_compare, name="cache_compare"),
    path("deployments/<slug:name>/cache/delete/", cache.cache_delete, name="cache_delete"),
    path("deployments/<slug:name>/cache/epoch/", cache.cache_epoch, name="cache_epoch"),
    path("deployments/<slug:name>/kept/", kept.kept, name="kept"),
    path("runs/", runs.runs, name="runs"),
    path("runs/<int:run_id>/", runs.run, name="run"),
    path("runs/<int:run_id>/log/", runs.run_log, name="run_log"),
    path("runs/<int:run_id>/log.txt", runs.run_log_download, name="run_log_download"),
    path("runs/<int:run_id>/cancel/", runs.run_cancel, name="run_cancel"),
    path("runs/<int:run_id>/retry/", runs.run_retry, name="run_retry"),
    path("runs/<int:run_id>/fix/", runs.run_fix, name="run_fix"),
    path("environments/", environments.environments, name="environments"),
    path("environments/new/", environments.environment_new, name="environment_new"),
    path("environments/<slug:name>/", environments.environment, name="environment"),
    path("environments/<slug:name>/edit/", environments.environment_edit, name="environment_edit"),
    path("environments/<slug:name>/members/", environments.member_set, name="member_set"),
    path("environments/<slug:name>/members/remove/", environments.member_remove, name="member_remove"),
    path("tokens/", tokens.tokens, name="tokens"),
    path("tokens/new/", tokens.token_new, name="token_new"),
    path("tokens/<int:token_id>/revoke/", tokens.token_revoke, name="token_revoke"),
    path("audit/", audit.audit, name="audit"),
]
