import dataclasses

from nbtransfer.magics.configuration import NbTransfer
from nbtransfer.settings import options


def test_config_lists_every_option_with_help(cells):
    printed = cells.ok("%config NbTransfer").printed
    for name in ("runs_dir", "show_traceback", "worker_idle_s", "worker_lease_s"):
        assert f"NbTransfer.{name}" in printed
    assert "Folder that keeps the runs" in printed


def test_config_lists_the_class(cells):
    assert "NbTransfer" in cells.ok("%config").printed


def test_setting_a_trait_changes_the_option(cells):
    cells.ok("%config NbTransfer.show_traceback = True")
    cells.ok("%config NbTransfer.runs_dir = 'elsewhere'")
    cells.ok("%config NbTransfer.worker_idle_s = 5")
    assert (options.show_traceback, options.runs_dir, options.worker_idle_s) == (
        True,
        "elsewhere",
        5.0,
    )


def test_a_changed_option_shows_in_config(cells):
    options.worker_idle_s = 7.5
    assert cells.ok("%config NbTransfer.worker_idle_s").value == 7.5
    assert "Current: 7.5" in cells.ok("%config NbTransfer").printed


def test_a_wrong_value_is_refused_and_changes_nothing(cells):
    cells.run("%config NbTransfer.worker_idle_s = -1")
    cells.run("%config NbTransfer.show_traceback = 'perhaps'")
    assert (options.worker_idle_s, options.show_traceback) == (600.0, False)


def test_the_runs_folder_can_be_unset(cells):
    options.runs_dir = "elsewhere"
    cells.ok("%config NbTransfer.runs_dir = None")
    assert options.runs_dir is None


def test_a_worker_s_lease_is_set_and_unset(cells):
    assert options.worker_lease_s is None
    cells.ok("%config NbTransfer.worker_lease_s = 90")
    assert options.worker_lease_s == 90.0
    cells.run("%config NbTransfer.worker_lease_s = -1")
    assert options.worker_lease_s == 90.0
    cells.ok("%config NbTransfer.worker_lease_s = None")
    assert options.worker_lease_s is None


def test_every_option_is_in_config():
    assert set(NbTransfer.class_trait_names(config=True)) == {
        field.name for field in dataclasses.fields(options)
    }
