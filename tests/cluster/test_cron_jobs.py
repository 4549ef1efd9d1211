"""The CronJobs of the retention and of k8s/backup.yaml; a backup is restored with the steps of docs/operations.md."""

from datetime import datetime, timedelta

import pytest

from tests.cluster.release import ROOT, Release
from tests.cluster.test_faults import stored
from tests.kit.waiting import eventually

pytestmark = pytest.mark.nightly

RATE = 100
COUNT = 60 * RATE
LARGEST_LAG = timedelta(seconds=20)
"""How far the consumers may have been behind when the backup started."""


def test_a_lost_database_is_restored_from_a_backup_and_the_topic(release: Release) -> None:
    release.install()
    release.generate(COUNT, "--rate", str(RATE))
    eventually(lambda: stored(release) > RATE, within=60, what="orders are stored")
    before = stored(release)
    file = backup(release)
    after = stored(release)
    release.wait_for_generator()
    release.check(COUNT)
    assert stored(release) > after

    scale(release, 0)
    release.psql("DROP DATABASE orders WITH (FORCE); CREATE DATABASE orders OWNER orders", "postgres")
    release.run_example("restore.yaml", FILE=file)
    assert before <= stored(release) <= after
    release.psql("\\i /etc/orders/roles.sql")
    rewind(release, datetime.fromisoformat(file.removesuffix(".dump")) - LARGEST_LAG)
    scale(release, 1)
    release.check(COUNT, "--after-crash")
    release.helm("test", release.name)


def test_the_cron_job_of_the_retention_deletes_the_orders_that_are_too_old(release: Release) -> None:
    release.install()
    release.generate(COUNT)
    release.wait_for_generator()
    release.check(COUNT)
    age = "SELECT floor(avg(extract(epoch FROM now() - date_created)) / 3600) FROM orders"
    hours = int(release.psql(age))
    newer = f"SELECT count(*) FROM orders WHERE date_created > now() - interval '{hours} hours'"  # noqa: S608 - a number
    kept = int(release.psql(newer))
    assert 0 < kept < stored(release)
    release.upgrade("--set", f"retention.enabled=true,retention.maxAge={hours}h")
    run_now(release, "orders-prune")
    assert stored(release) == kept


def backup(release: Release) -> str:
    """Run the CronJob, and return the name of the file."""
    release.kubectl("apply", "--filename", str(ROOT / "k8s" / "backup.yaml"))
    return run_now(release, "orders-backup").strip()


def run_now(release: Release, cron_job: str) -> str:
    """Run the Job of a CronJob, and return its log."""
    job = f"{cron_job}-now"
    release.kubectl("create", "job", f"--from=cronjob/{cron_job}", job)
    release.kubectl("wait", f"job/{job}", "--for=condition=complete", "--timeout=120s", within=130)
    return release.kubectl("logs", f"job/{job}")


def scale(release: Release, replicas: int) -> None:
    """Upgrade to this number of consumers, and block until there are no others."""
    release.upgrade("--reuse-values", "--no-hooks", "--set", f"consumer.replicas={replicas}")
    eventually(lambda: len(release.items("pods", "consumer")) == replicas, within=90, what=f"{replicas} consumers")


def rewind(release: Release, timestamp: datetime) -> None:
    api = (f"deployment/{release.name}-api", "--container", "api")
    release.kubectl("exec", *api, "--", "orders", "rewind", "--to-timestamp", timestamp.isoformat())
