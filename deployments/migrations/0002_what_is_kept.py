"""Days that test calls are kept, and seeing inputs as a permission and a scope of its own."""

from django.conf import settings
from django.db import migrations, models


def keep_what_tokens_show(apps, schema_editor):
    """Until now `read` showed inputs too: tokens that were made with it go on doing so."""
    for token in apps.get_model('deployments', 'ApiToken').objects.all():
        if 'read' in token.scopes and 'inputs' not in token.scopes:
            token.scopes = sorted([*token.scopes, 'inputs'])
            token.save(update_fields=['scopes'])


def forget_the_scope(apps, schema_editor):
    for token in apps.get_model('deployments', 'ApiToken').objects.all():
        if 'inputs' in token.scopes:
            token.scopes = [scope for scope in token.scopes if scope != 'inputs']
            token.save(update_fields=['scopes'])


class Migration(migrations.Migration):

    dependencies = [
        ('deployments', '0001_initial'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            model_name='deployment',
            name='keep_invocations_days',
            field=models.PositiveSmallIntegerField(default=30, help_text='0: none are kept', verbose_name='days that test calls are kept'),
        ),
        migrations.AddField(
            model_name='historicaldeployment',
            name='keep_invocations_days',
            field=models.PositiveSmallIntegerField(default=30, help_text='0: none are kept', verbose_name='days that test calls are kept'),
        ),
        migrations.AddField(
            model_name='historicalmembership',
            name='inputs',
            field=models.CharField(choices=[('role', 'as the role has it'), ('granted', 'seen'), ('withheld', 'not seen')], default='role', help_text='Whether what was sent to functions is shown; by the role it is from the tester on.', max_length=10, verbose_name='inputs'),
        ),
        migrations.AddField(
            model_name='membership',
            name='inputs',
            field=models.CharField(choices=[('role', 'as the role has it'), ('granted', 'seen'), ('withheld', 'not seen')], default='role', help_text='Whether what was sent to functions is shown; by the role it is from the tester on.', max_length=10, verbose_name='inputs'),
        ),
        migrations.AddConstraint(
            model_name='deployment',
            constraint=models.CheckConstraint(condition=models.Q(('keep_invocations_days__lte', 366)), name='invocations_kept_a_year_at_most'),
        ),
        migrations.RunPython(keep_what_tokens_show, forget_the_scope),
    ]
