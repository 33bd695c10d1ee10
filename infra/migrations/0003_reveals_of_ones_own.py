"""A reveal belongs to the student whose login it shows: foreign-key checks bypass policies."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("infra", "0002_clocks_and_row_security")]

    operations = [
        migrations.AddConstraint(
            model_name="credential",
            constraint=models.UniqueConstraint(fields=("id", "student"), name="infra_credential_id_student"),
        ),
        migrations.RunSQL(
            "ALTER TABLE infra_credentialreveal ADD CONSTRAINT infra_credentialreveal_credential_same_student"
            " FOREIGN KEY (credential_id, student_id) REFERENCES infra_credential (id, student_id)"
            " DEFERRABLE INITIALLY DEFERRED",
            "ALTER TABLE infra_credentialreveal DROP CONSTRAINT infra_credentialreveal_credential_same_student",
        ),
    ]
